/** Rounds of random work, each ended by `kill -9` of the daemon at a random moment and a check of the next daemon. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';
import type { Model } from './model.ts';

export interface Round {
  readonly daemon: Daemon;
  readonly model: Model;
  readonly random: (below: number) => number;
}

export async function round({ daemon, model, random }: Round): Promise<void> {
  let over = false;
  const work = model.work(() => over);
  // The moment: after some answers, whatever the machine's speed, and a little later.
  const answers = model.answers + 1 + random(12);
  const delay = random(60);
  const moment = eventually(() => model.answers >= answers, `${answers} answers`, 30_000).then(() => sleep(delay));
  // When the work fails first, nobody waits for the moment any more.
  moment.catch(() => undefined);
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
