/** Of the model: objects that are there or not, and nothing else: networks, volumes, image names. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import type { HttpAnswer } from '../fixtures/http.ts';
import { layeredArchive } from '../fixtures/images.ts';
import type { Ask, Known } from './model.ts';

interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: () => Promise<unknown>;
}

interface PlainKind {
  readonly what: string;
  readonly name: string;
  readonly create: Request;
  readonly remove: Request;
  /** 200 if it is there. */
  readonly where: string;
}

/** `pulled`: a reference that can be pulled, if there is a registry. */
export const plainKinds = (pulled: string | undefined): PlainKind[] => [
  {
    what: 'network', name: 'net-0', where: '/networks/net-0',
    create: { method: 'POST', path: '/networks/create', body: () => Promise.resolve({ Name: 'net-0' }) },
    remove: { method: 'DELETE', path: '/networks/net-0' },
  },
  {
    what: 'volume', name: 'vol-0', where: '/volumes/vol-0',
    create: { method: 'POST', path: '/volumes/create', body: () => Promise.resolve({ Name: 'vol-0' }) },
    remove: { method: 'DELETE', path: '/volumes/vol-0' },
  },
  {
    what: 'tag', name: 'busybox:tagged', where: '/images/busybox:tagged/json',
    create: { method: 'POST', path: '/images/busybox/tag?repo=busybox&tag=tagged' },
    remove: { method: 'DELETE', path: '/images/busybox:tagged' },
  },
  {
    what: 'load', name: 'busybox:layered', where: '/images/busybox:layered/json',
    create: { method: 'POST', path: '/images/load?quiet=1', body: async () => readFileSync(await layeredArchive()) },
    remove: { method: 'DELETE', path: '/images/busybox:layered' },
  },
  ...(pulled === undefined ? [] : [{
    what: 'pull', name: pulled, where: `/images/${pulled}/json`,
    create: { method: 'POST', path: `/images/create?fromImage=${encodeURIComponent(pulled)}&tag=latest` },
    remove: { method: 'DELETE', path: `/images/${pulled}` },
  }]),
];

export class PlainFact {
  readonly #kind: PlainKind;
  readonly #ask: Ask;
  #exists: Known = 'no';

  constructor(kind: PlainKind, ask: Ask) {
    this.#kind = kind;
    this.#ask = ask;
  }

  /** Makes it, or removes it. Gives false when the daemon did not answer. */
  async work(): Promise<boolean> {
    const create = this.#exists !== 'yes';
    const { method, path, body } = create ? this.#kind.create : this.#kind.remove;
    this.#exists = 'unknown';
    const answer = await this.#ask(`${create ? '' : 'rm '}${this.#kind.what}`, { method, path, body: await body?.() });
    if (answer === undefined) return false;
    assert.ok([200, 201, 204].includes(answer.status), `${this.#kind.what}: ${answer.text}`);
    this.#exists = create ? 'yes' : 'no';
    return true;
  }

  async check(get: (where: string) => Promise<HttpAnswer>): Promise<void> {
    const there = (await get(this.#kind.where)).status === 200;
    if (this.#exists !== 'unknown') assert.equal(there, this.#exists === 'yes', `${this.#kind.what} ${this.#kind.name} exists`);
    this.#exists = there ? 'yes' : 'no';
  }
}
