/**
 * C6, B15: containers whose shims are killed or stopped at any time. A plain one loses its shim again and again: it runs on,
 * and its log lacks at most what the shim was just writing. One whose shim hangs is listed with the reason, delays nobody,
 * and is managed again when its shim goes on.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { alive, ended, eventually, startTime } from '../../fixtures/processes.ts';
import { COUNTING, numberedLines } from './counter.ts';
import type { Stage, Witness } from './witness.ts';

const LOST_PER_SHIM = 2;

export class Orphan implements Witness {
  readonly #stage: Stage;
  readonly #containers: { readonly id: string; readonly init: number; readonly born: string | undefined }[] = [];
  #hung = 0;
  readonly counts = { 'shims killed': 0, 'shims stopped': 0, 'lines lost with a shim': 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async begin(): Promise<void> {
    const { daemon } = this.#stage;
    for (const name of ['orphan', 'hung']) {
      const id = await daemon.ok('run', '-d', '--name', name, 'busybox', 'sh', '-c', COUNTING);
      const { Pid } = (await daemon.inspect(id)).State;
      this.#containers.push({ id, init: Pid as number, born: startTime(Pid as number) });
    }
  }

  /** Of the first. True if there was one that could be killed. */
  killShim(): boolean {
    const [orphan] = this.#containers;
    const shim = orphan === undefined ? undefined : shimOf(orphan.init);
    if (shim === undefined) return false;
    process.kill(shim, 'SIGKILL');
    this.counts['shims killed'] += 1;
    return true;
  }

  /** Of the second, until `wakeShim`. */
  stopShim(): boolean {
    const hung = this.#containers[1];
    const shim = hung === undefined ? undefined : shimOf(hung.init);
    if (shim === undefined || this.#hung !== 0) return false;
    process.kill(shim, 'SIGSTOP');
    this.#hung = shim;
    this.counts['shims stopped'] += 1;
    return true;
  }

  wakeShim(): void {
    if (this.#hung !== 0 && alive(this.#hung)) process.kill(this.#hung, 'SIGCONT');
    this.#hung = 0;
  }

  async check(): Promise<void> {
    const { daemon } = this.#stage;
    for (const { id, init, born } of this.#containers) {
      const { State } = await daemon.inspect(id);
      assert.deepEqual({ pid: State.Pid, born: startTime(init) }, { pid: init, born }, 'the death of a shim took its container along');
    }
    const hung = this.#containers[1]?.id ?? '';
    if (this.#hung !== 0) assert.match((await daemon.inspect(hung)).State.Error as string, /does not answer/);
    this.wakeShim();
    for (const { id } of this.#containers) {
      await eventually(async () => (await daemon.request('POST', `/containers/${id}/exec`, { body: { Cmd: ['true'] } })).status === 201, `${id} to be managed again`);
    }
  }

  async end(): Promise<void> {
    const { daemon } = this.#stage;
    this.wakeShim();
    for (const [index, { id }] of this.#containers.entries()) {
      const { numbers } = await numberedLines(this.#stage, id);
      assert.ok(numbers.every((number, at) => at === 0 || number > (numbers[at - 1] ?? 0)), 'a line is out of order, or there twice');
      const lost = (numbers.at(-1) ?? 0) - numbers.length;
      this.counts['lines lost with a shim'] += lost;
      const bound = index === 0 ? LOST_PER_SHIM * this.counts['shims killed'] : 0;
      assert.ok(lost <= bound, `${lost} lines are missing, ${this.counts['shims killed']} shims were killed`);
      await daemon.ok('stop', '-t', '0', id);
      if (index === 0 && this.counts['shims killed'] > 0) assert.equal((await daemon.inspect(id)).State.ExitCode, 255);
      await daemon.ok('rm', id);
    }
    for (const { init } of this.#containers) await ended(init);
  }

  abandon(): void {
    this.wakeShim();
  }
}

/** The shim that watches a process, by its parent; undefined while there is none. */
function shimOf(init: number): number | undefined {
  try {
    const parent = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${init}/status`, 'utf8'))?.[1]);
    return readFileSync(`/proc/${parent}/cmdline`, 'utf8').includes('moored-shim') ? parent : undefined;
  } catch {
    return undefined;
  }
}
