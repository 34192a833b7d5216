/** C1, C5 and the promises of the time away: deaths at random moments and places, during work and during starts. MOORED_CRASH_SEED repeats a run. */
import { test } from 'node:test';
import { campaign } from './campaign.ts';

const WORK_MS = 50_000;
const MOST_ROUNDS = 60;
const CRASH_LOOP = 40;

test('random deaths: what was answered holds, no line, run, end, probe or event is lost or there twice, nothing leaks', { timeout: 280_000 }, async (context) => {
  const seed = Number(process.env['MOORED_CRASH_SEED'] ?? Math.floor(Date.now() / 1000) % 1_000_000);
  const until = performance.now() + WORK_MS;
  context.diagnostic(await campaign({ seed, loop: CRASH_LOOP, more: (rounds) => rounds < 2 || (rounds < MOST_ROUNDS && performance.now() < until) }));
});
