/** A5, B2, B13: a container that ends again and again and counts its runs itself. Nobody may count otherwise. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { lines } from '../../fixtures/daemon.ts';
import { history } from '../history.ts';
import type { Stage, Witness } from './witness.ts';

export class Restarter implements Witness {
  readonly #stage: Stage;
  readonly #folder: string;
  #id = '';
  readonly counts = { restarts: 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#folder = path.join(stage.daemon.dir, 'runs');
  }

  async begin(): Promise<void> {
    mkdirSync(this.#folder, { recursive: true });
    const run = 'echo run >> /runs/count; echo run; sleep 0.6; exit 7';
    this.#id = await this.#stage.daemon.ok('run', '-d', '--name', 'restarter', '--restart', 'always', '-v', `${this.#folder}:/runs`, 'busybox', 'sh', '-c', run);
  }

  async end(): Promise<void> {
    const { daemon } = this.#stage;
    await daemon.ok('stop', '-t', '5', this.#id);
    const { RestartCount, State } = await daemon.inspect(this.#id);
    assert.equal(State.Running, false);
    const own = lines(readFileSync(path.join(this.#folder, 'count'), 'utf8')).length;
    const logged = lines(await daemon.ok('logs', this.#id)).length;
    const events = await history(daemon, { container: [this.#id], type: ['container'] });
    const starts = events.filter(({ Action }) => Action === 'start').length;
    const dies = events.filter(({ Action }) => Action === 'die');
    this.counts.restarts = RestartCount as number;
    assert.equal(starts, RestartCount + 1, 'starts told and restarts counted');
    assert.equal(dies.length, starts, 'every start has its end');
    // The stop may have met a run before its first word.
    for (const [what, count] of [['by itself', own], ['in its log', logged]] as const) assert.ok(count === starts || count === starts - 1, `${count} runs were counted ${what}, ${starts} were started`);
    assert.equal(own, logged);
    assert.ok(dies.slice(0, -1).every(({ Actor }) => Actor.Attributes['exitCode'] === '7'));
    await daemon.ok('rm', '-f', this.#id);
  }
}
