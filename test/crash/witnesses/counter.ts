/** B1, A4: a container that numbers its lines. None is lost, none is there twice, each has a later time than the one before. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { lines } from '../../fixtures/daemon.ts';
import { startTime } from '../../fixtures/processes.ts';
import type { Stage, Witness } from './witness.ts';

export const COUNTING = 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done';

/** Lines as the log has them. */
export async function numberedLines({ daemon }: Stage, id: string): Promise<{ numbers: number[]; times: string[] }> {
  const found = lines(await daemon.ok('logs', '-t', id)).map((line) => line.split(' '));
  return { numbers: found.map(([, , number]) => Number(number)), times: found.map(([time = '']) => time) };
}

export class Counter implements Witness {
  readonly #stage: Stage;
  #id = '';
  #init = { pid: 0, born: '' as string | undefined };
  readonly counts = { lines: 0, 'lines lost': 0, 'lines doubled': 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async begin(): Promise<void> {
    const { daemon } = this.#stage;
    this.#id = await daemon.ok('run', '-d', '--name', 'counter', 'busybox', 'sh', '-c', COUNTING);
    const { Pid } = (await daemon.inspect(this.#id)).State;
    this.#init = { pid: Pid as number, born: startTime(Pid as number) };
  }

  async check(): Promise<void> {
    const { Pid } = (await this.#stage.daemon.inspect(this.#id)).State;
    assert.deepEqual({ pid: Pid as number, born: startTime(Pid as number) }, this.#init, 'the counter is another process');
  }

  async end(): Promise<void> {
    const { daemon } = this.#stage;
    const { numbers, times } = await numberedLines(this.#stage, this.#id);
    this.counts.lines = numbers.length;
    this.counts['lines doubled'] = numbers.length - new Set(numbers).size;
    this.counts['lines lost'] = (numbers.at(-1) ?? 0) - new Set(numbers).size;
    assert.deepEqual(numbers, numbers.map((_, index) => index + 1), 'the log has a gap, or a line twice or out of order');
    assert.deepEqual(times, times.toSorted(), 'the times are out of order');
    // The client gave what is in the file.
    const file = readFileSync(path.join(daemon.dataRoot, 'containers', this.#id, `${this.#id}-json.log`), 'utf8');
    assert.ok(lines(file).length >= numbers.length);
    await daemon.ok('rm', '-f', this.#id);
  }
}
