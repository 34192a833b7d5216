/** A daemon with everything that a campaign of crashes needs, from its beginning to the summary. */
import { Daemon } from '../fixtures/daemon.ts';
import { startRegistry } from '../fixtures/registry.ts';
import { LANE, Model } from './model.ts';
import { Party } from './party.ts';
import { randomFrom } from './random.ts';
import { dieStarting, round } from './rounds.ts';

export interface Campaign {
  readonly seed: number;
  /** Whether there is to be another round; asked after each. */
  readonly more: (rounds: number) => boolean;
  /** Deaths in a row of daemons that never get to serve, at the end (C5). */
  readonly loop: number;
  readonly tell?: (line: string) => void;
}

/** Gives the summary. Throws, with the seed and the round, when something is wrong. */
export async function campaign({ seed, more, loop, tell = () => undefined }: Campaign): Promise<string> {
  const random = randomFrom(seed);
  const daemon = new Daemon({ config: { 'live-restore': true } });
  const party = new Party({ daemon, random });
  const deaths = new Map<string, number>();
  let rounds = 0;
  await using stack = new AsyncDisposableStack();
  stack.defer(() => daemon.dispose());
  stack.defer(() => party.abandon());
  const registry = await startRegistry({ netns: daemon.netns });
  stack.use(registry);
  const summary = (model: Model): string => [
    `seed ${seed}: ${rounds} rounds`,
    `deaths: ${text(deaths)}`,
    `seen: ${text(new Map(Object.entries(party.counts)))}`,
    `answered: ${text(model.answered)}`,
  ].join('\n');
  try {
    await daemon.prepare();
    const pulled = await pushed(daemon, registry.host);
    await daemon.ok('network', 'create', LANE);
    await party.begin();
    const model = new Model({ daemon, random, pulled });
    while (more(rounds)) {
      await round({ daemon, model, party, random, deaths });
      rounds += 1;
      if (rounds % 10 === 0) tell(summary(model));
    }
    await daemon.kill9();
    for (let crash = 0; crash < loop; crash += 1) await dieStarting(daemon, 50 + random(100));
    deaths.set('in a loop', loop + 1);
    await daemon.start();
    await model.check();
    await party.check();
    await party.end();
    await daemon.assertClean();
    return `${summary(model)}\nleft behind: nothing`;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`seed ${seed}, round ${rounds}, deaths: ${text(deaths)}: ${reason}\n${daemon.complaints()}`, { cause: error });
  }
}

/** An image in the registry that is not here. */
async function pushed(daemon: Daemon, host: string): Promise<string> {
  const name = `${host}/busybox`;
  await daemon.ok('tag', 'busybox', name);
  await daemon.ok('push', '-q', name);
  await daemon.ok('rmi', name);
  return name;
}

const text = (counts: ReadonlyMap<string, number>): string => [...counts].map(([name, count]) => `${count} ${name}`).join(', ');
