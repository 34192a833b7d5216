/** A6, B7: a container whose probes number themselves. They go on at their interval, and its status never begins anew. */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { lines } from '../../fixtures/daemon.ts';
import { history } from '../history.ts';
import type { Stage, Witness } from './witness.ts';

const INTERVAL_MS = 1000;

export class Healthy implements Witness {
  readonly #stage: Stage;
  readonly #folder: string;
  #id = '';
  #last = 0;
  readonly counts = { 'health probes': 0 };

  constructor(stage: Stage) {
    this.#stage = stage;
    this.#folder = path.join(stage.daemon.dir, 'health');
  }

  async begin(): Promise<void> {
    const { daemon } = this.#stage;
    mkdirSync(this.#folder, { recursive: true });
    this.#id = await daemon.ok('run', '-d', '--name', 'healthy', '-v', `${this.#folder}:/health`, '--health-cmd', 'date +%s%N >> /health/probes', '--health-interval', `${INTERVAL_MS}ms`, '--health-timeout', '20s', 'busybox', 'sleep', '60000');
    await daemon.untilState(this.#id, ({ Health }) => Health.Status === 'healthy');
  }

  async check(): Promise<void> {
    const { Health } = (await this.#stage.daemon.inspect(this.#id)).State;
    assert.equal(Health.Status, 'healthy');
    assert.equal(Health.FailingStreak, 0);
    const newest = Date.parse((Health.Log as { Start: string }[]).at(-1)?.Start ?? '');
    assert.ok(newest >= this.#last, 'its probes went back');
    this.#last = newest;
  }

  async end(): Promise<void> {
    const { daemon } = this.#stage;
    const told = await history(daemon, { container: [this.#id], event: ['health_status'] });
    assert.deepEqual(told.map(({ Action }) => Action), ['health_status: healthy']);
    this.counts['health probes'] = lines(readFileSync(path.join(this.#folder, 'probes'), 'utf8')).length;
    await daemon.ok('rm', '-f', this.#id);
  }
}
