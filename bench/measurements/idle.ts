/** What an engine holds in memory when nothing runs. */
import { setTimeout as sleep } from 'node:timers/promises';
import { ratioAtMost } from '../rows.ts';
import type { Measurement } from '../rows.ts';

/** Start-up work (a garbage collection, a first snapshot) has settled after this. */
const SETTLED_MS = 5000;

export const idle: Measurement = {
  name: 'idle',
  about: 'memory (PSS) of every process of the engine, no container, one image',
  minutes: 1,
  rows: [{ id: 'idle.memory', title: 'idle memory (PSS)', unit: 'MB', ...ratioAtMost(1.3) }],
  async measure(engine, { record }) {
    await sleep(SETTLED_MS);
    record('idle.memory', engine.memory());
  },
};
