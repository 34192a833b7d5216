/** Rounds of random work, each ended by `kill -9` of the daemon at a random moment and a check of the next daemon. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';
import type { Model } from './model.ts';
import type { Witnesses } from './witnesses.ts';

export interface Round {
  readonly daemon: Daemon;
  readonly model: Model;
  readonly witnesses: Witnesses;
  readonly random: (below: number) => number;
}

/** Gives the number of daemons killed. */
export async function round({ daemon, model, witnesses, random }: Round): Promise<number> {
  // Mostly soon, so that the first verbs of a daemon are met; now and then when much was done.
  const end = performance.now() + 200 + random(random(3) === 0 ? 4000 : 1300);
  let over = false;
  const work = Promise.all([model.work(() => over), witnesses.work()]);
  // Work may fail with an assertion before the moment has come.
  const moment = eventually(() => performance.now() >= end, 'the moment', 10_000);
  await Promise.race([moment, work]);
  await moment;
  await daemon.kill9();
  over = true;
  await work;
  // Now and then the daemon dies during its start, too.
  const deaths = random(4);
  for (let death = 0; death < deaths; death += 1) await dieStarting(daemon, random(600));
  await daemon.start();
  await model.check();
  await witnesses.check();
  return deaths + 1;
}

/** A daemon that is killed so long after it was started. */
export async function dieStarting(daemon: Daemon, afterMs: number): Promise<void> {
  const child = daemon.launch();
  await sleep(afterMs);
  child.kill('SIGKILL');
  await eventually(() => child.exitCode !== null || child.signalCode !== null, 'its end');
}
