/** `make soak`: random kills until interrupted, for SOAK_SECONDS, or until something is wrong. SOAK_SEED repeats a run. */
import { Daemon } from '../fixtures/daemon.ts';
import { Model, randomFrom } from './model.ts';
import { round } from './rounds.ts';
import { Witnesses } from './witnesses.ts';

const seed = Number(process.env['SOAK_SEED'] ?? Math.floor(Date.now() / 1000));
const until = performance.now() + Number(process.env['SOAK_SECONDS'] ?? Number.POSITIVE_INFINITY) * 1000;
const random = randomFrom(seed);
const daemon = new Daemon({ config: { 'live-restore': true } });
let interrupted = false;
process.once('SIGINT', () => {
  interrupted = true;
});

const witnesses = new Witnesses(daemon, random);
let rounds = 0;
let kills = 0;
try {
  await daemon.prepare();
  await witnesses.begin();
  const model = new Model(daemon, random);
  console.log(`seed ${seed}`);
  while (!interrupted && performance.now() < until) {
    kills += await round({ daemon, model, witnesses, random });
    rounds += 1;
    if (rounds % 5 === 0) console.log(`${rounds} rounds, ${kills} kills, ${JSON.stringify(witnesses.counts)}; answered: ${[...model.answered].map(([name, count]) => `${name} ${count}`).join(', ')}`);
  }
  await witnesses.end();
  await daemon.assertClean();
  console.log(`${rounds} rounds, ${kills} kills, ${JSON.stringify(witnesses.counts)}, nothing wrong`);
} catch (error) {
  console.error(`seed ${seed}, round ${rounds}:`, error, daemon.complaints());
  process.exitCode = 1;
} finally {
  witnesses.abandon();
  await daemon.dispose();
}
