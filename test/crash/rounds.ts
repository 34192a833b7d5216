/** Rounds of random work, each ended by `kill -9` of the daemon at a random moment and a check of the next daemon. */
import type { Daemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';
import type { Model } from './model.ts';

export interface Round {
  readonly daemon: Daemon;
  readonly model: Model;
  readonly random: (below: number) => number;
}

export async function round({ daemon, model, random }: Round): Promise<void> {
  const end = performance.now() + random(700);
  let over = false;
  const work = model.work(() => over);
  // Work may fail with an assertion before the moment has come.
  const moment = eventually(() => performance.now() >= end, 'the moment', 10_000);
  await Promise.race([moment, work]);
  await daemon.kill9();
  over = true;
  await Promise.all([moment, work]);
  // Now and then the daemon dies during its start, too.
  for (let deaths = random(3); deaths > 0; deaths -= 1) {
    const child = daemon.launch();
    const until = performance.now() + random(400);
    await eventually(() => performance.now() >= until, 'the moment');
    child.kill('SIGKILL');
    await eventually(() => child.exitCode !== null || child.signalCode !== null, 'its end');
  }
  await daemon.start();
  await model.check();
}
