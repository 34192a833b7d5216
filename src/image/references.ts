/**
 * Which name stands for which image: one record, `repositories.json`. A tag names one image at a time; a digest reference
 * (`name@sha256:…`) remembers from which manifest an image came.
 */
import { join } from 'node:path';
import { conflict, internal } from '../base/errors.ts';
import { Mutex } from '../base/mutex.ts';
import { familiarString, parseReference, wholeString, withDigest } from '../core/image/reference.ts';
import type { Reference } from '../core/image/reference.ts';
import { readRecord, writeRecord } from '../store/record.ts';

const SCHEMA = 1;

interface Repositories {
  schema: number;
  /** Whole reference → image id. */
  references: Record<string, string>;
}

export class ReferenceStore {
  readonly #path: string;
  readonly #mutex = new Mutex();
  readonly #ids = new Map<string, string>();
  readonly #parsed = new Map<string, Reference>();
  #writable = true;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Reads the record of that folder; `problem` hears of one that cannot be read (it is kept, and names are lost until it is mended). */
  static async open(folder: string, problem: (message: string) => void): Promise<ReferenceStore> {
    const store = new ReferenceStore(join(folder, 'repositories.json'));
    const read = await readRecord<Repositories>(store.#path, { schema: SCHEMA, parse: parseRepositories });
    if (read.kind === 'ok') {
      for (const [name, id] of Object.entries(read.value.references)) store.#remember(name, id);
    } else if (read.kind === 'damaged') {
      problem(`image names could not be read and were put aside as ${read.quarantined}: ${read.reason}`);
    } else if (read.kind === 'newer') {
      store.#writable = false;
      problem(`image names were written by a newer release (schema ${read.schema}) and are left alone`);
    }
    return store;
  }

  /** The image that a tagged or digested reference names. */
  get(reference: Reference): string | undefined {
    return this.#ids.get(keyOf(reference));
  }

  /** Everything that names an image, tags first, in order of spelling. */
  of(id: string): Reference[] {
    const names = [...this.#ids].filter(([, other]) => other === id).map(([name]) => name).toSorted();
    const references = names.flatMap((name) => this.#parsed.get(name) ?? []);
    return [...references.filter(({ digest }) => digest === ''), ...references.filter(({ digest }) => digest !== '')];
  }

  /** Everything that names something in a repository (`docker.io/library/busybox`). */
  inRepository(reference: Reference): { reference: Reference; id: string }[] {
    return [...this.#ids].flatMap(([name, id]) => {
      const other = this.#parsed.get(name);
      const same = other !== undefined && other.domain === reference.domain && other.path === reference.path;
      return same ? [{ reference: other, id }] : [];
    });
  }

  /** Every image that has a name. */
  namedIds(): Set<string> {
    return new Set(this.#ids.values());
  }

  /** Names an image durably; the image that had the name before, if another. A digest reference is never moved: `conflict`. */
  async set(reference: Reference, id: string): Promise<string | undefined> {
    return this.#mutex.run(async () => {
      const name = keyOf(reference);
      const before = this.#ids.get(name);
      if (before === id) return undefined;
      if (reference.digest !== '' && before !== undefined) {
        throw conflict(`Cannot overwrite digest ${familiarString(reference)}`);
      }
      await this.#write({ ...Object.fromEntries(this.#ids), [name]: id });
      this.#remember(name, id);
      return before;
    });
  }

  /** Removes a name durably; true if it was there. */
  async remove(reference: Reference): Promise<boolean> {
    return this.#mutex.run(async () => {
      const name = keyOf(reference);
      if (!this.#ids.has(name)) return false;
      await this.#write(Object.fromEntries([...this.#ids].filter(([other]) => other !== name)));
      this.#ids.delete(name);
      this.#parsed.delete(name);
      return true;
    });
  }

  async #write(references: Record<string, string>): Promise<void> {
    if (!this.#writable) throw internal('image names were written by a newer release: they cannot be changed');
    const record: Repositories = { schema: SCHEMA, references };
    await writeRecord(this.#path, record);
  }

  #remember(name: string, id: string): void {
    this.#ids.set(name, id);
    this.#parsed.set(name, parseReference(name));
  }
}

/** A digest says it all: a tag beside it does not count. */
const keyOf = (reference: Reference): string =>
  wholeString(reference.digest === '' ? reference : withDigest(reference, reference.digest));

function parseRepositories(value: Record<string, unknown>): Repositories {
  const references = value['references'];
  if (typeof references !== 'object' || references === null) throw new Error('no references');
  const entries = Object.entries(references).map(([name, id]): [string, string] => {
    parseReference(name);
    if (typeof id !== 'string') throw new Error(`${name} names no image`);
    return [name, id];
  });
  return { schema: SCHEMA, references: Object.fromEntries(entries) };
}
