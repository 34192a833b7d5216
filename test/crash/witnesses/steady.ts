/** S4, A9: containers to which nothing happens show the same after every start, to the last field of their state. */
import assert from 'node:assert/strict';
import { startTime } from '../../fixtures/processes.ts';
import type { Stage, Witness } from './witness.ts';

interface Shown {
  readonly state: unknown;
  readonly born: string | undefined;
  readonly restarts: number;
  readonly networks: unknown;
}

export class Steady implements Witness {
  readonly #stage: Stage;
  readonly #known = new Map<string, Shown>();
  readonly counts = {};

  constructor(stage: Stage) {
    this.#stage = stage;
  }

  async begin(): Promise<void> {
    const { daemon } = this.#stage;
    const still = await daemon.ok('run', '-d', '--name', 'still', '--restart', 'always', '-v', 'kept:/kept', 'busybox', 'sleep', '60000');
    const paused = await daemon.ok('run', '-d', '--name', 'paused', 'busybox', 'sleep', '60000');
    await daemon.ok('pause', paused);
    for (const id of [still, paused]) this.#known.set(id, await this.#look(id));
  }

  async #look(id: string): Promise<Shown> {
    const { State, RestartCount, NetworkSettings } = await this.#stage.daemon.inspect(id);
    return { state: State, born: startTime(State.Pid as number), restarts: RestartCount as number, networks: NetworkSettings };
  }

  async check(): Promise<void> {
    for (const [id, known] of this.#known) assert.deepEqual(await this.#look(id), known, 'a container to which nothing happened is not as it was');
  }

  async end(): Promise<void> {
    await this.#stage.daemon.ok('rm', '-f', '-v', ...this.#known.keys());
  }
}
