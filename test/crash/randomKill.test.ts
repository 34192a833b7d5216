/** C1: `kill -9` at random moments, during work and during starts. MOORED_CRASH_SEED repeats a run. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Daemon } from '../fixtures/daemon.ts';
import { Model, randomFrom } from './model.ts';
import { round } from './rounds.ts';

const ROUNDS = 12;

test('random kills: what was answered holds, nothing leaks', async (context) => {
  const seed = Number(process.env['MOORED_CRASH_SEED'] ?? Math.floor(Date.now() / 1000) % 1_000_000);
  context.diagnostic(`seed ${seed}`);
  const daemon = new Daemon({ config: { 'live-restore': true } });
  try {
    await daemon.prepare();
    const random = randomFrom(seed);
    const model = new Model(daemon, random);
    for (let index = 0; index < ROUNDS; index += 1) {
      await round({ daemon, model, random }).catch((error: unknown) => {
        throw new Error(`seed ${seed}, round ${index}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
      });
    }
    assert.ok((model.answered.get('start') ?? 0) > 0, `nothing was done but ${JSON.stringify([...model.answered])}`);
    await daemon.assertClean();
  } finally {
    await daemon.dispose();
  }
});
