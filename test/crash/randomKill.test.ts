/** C1, C5 and the promises of the time away: `kill -9` at random moments, during work and during starts. MOORED_CRASH_SEED repeats a run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Daemon } from '../fixtures/daemon.ts';
import { Model, randomFrom } from './model.ts';
import { dieStarting, round } from './rounds.ts';
import { Witnesses } from './witnesses.ts';

/** So that there is something to work on. */
const SETTLE_MS = 5000;
const WORK_MS = 20_000;
const CRASH_LOOP = 100;

test('random kills: what was answered holds, no line, run, end or event is lost or told twice, nothing leaks', async (context) => {
  const seed = Number(process.env['MOORED_CRASH_SEED'] ?? Math.floor(Date.now() / 1000) % 1_000_000);
  const daemon = new Daemon({ config: { 'live-restore': true } });
  const random = randomFrom(seed);
  const witnesses = new Witnesses(daemon, random);
  let kills = 0;
  try {
    await daemon.prepare();
    await witnesses.begin();
    const model = new Model(daemon, random);
    const settled = performance.now() + SETTLE_MS;
    await model.work(() => performance.now() > settled);
    await model.check();
    const until = performance.now() + WORK_MS;
    while (performance.now() < until) kills += await round({ daemon, model, witnesses, random });
    // C5: a daemon that never gets to serve.
    await daemon.kill9();
    for (let crash = 0; crash < CRASH_LOOP; crash += 1) await dieStarting(daemon, 50 + random(100));
    kills += CRASH_LOOP + 1;
    await daemon.start();
    await model.check();
    await witnesses.check();
    await witnesses.end();
    assert.ok((model.answered.get('start') ?? 0) > 0, `nothing was done: ${JSON.stringify([...model.answered])}`);
    context.diagnostic(`seed ${seed}: ${kills} kills, ${JSON.stringify(witnesses.counts)}`);
    await daemon.assertClean();
  } catch (error) {
    throw new Error(`seed ${seed}, after ${kills} kills: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  } finally {
    witnesses.abandon();
    await daemon.dispose();
  }
});
