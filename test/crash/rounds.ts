/** Rounds of random work, each ended by a death at a random moment or place, and a check of the next daemon. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../fixtures/daemon.ts';
import { alive, eventually, processesOf } from '../fixtures/processes.ts';
import { projectRoot } from '../fixtures/target.ts';
import { historyRight } from './crashes.ts';
import type { Model } from './model.ts';
import { pick } from './random.ts';
import type { Random } from './random.ts';
import type { Party } from './party.ts';

export interface Round {
  readonly daemon: Daemon;
  readonly model: Model;
  readonly party: Party;
  readonly random: Random;
  /** What died, and how often. */
  readonly deaths: Map<string, number>;
}

const LONGEST_WORK_MS = 8000;
const BASE = { 'live-restore': true };

/** Options under which everything that runs goes on; a start has one of them now and then. */
const CHANGES: readonly Record<string, unknown>[] = [
  {}, { debug: true }, { mtu: 1400 }, { icc: false }, { 'default-shm-size': '32M' }, { 'log-opts': { 'max-size': '10m' } }, { 'max-concurrent-downloads': 1 },
  { 'default-address-pools': [{ base: '10.210.0.0/16', size: 24 }] },
];

/** Every failpoint of the source. */
export const failpoints = (): string[] => [...new Set(globSync('src/**/*.ts', { cwd: projectRoot })
  .filter((file) => !file.endsWith('.test.ts'))
  .flatMap((file) => [...readFileSync(path.join(projectRoot, file), 'utf8').matchAll(/\bfailpoint\('([^']+)'\)/g)].map((match) => match[1] ?? '')))].toSorted();

const POINTS = failpoints();

/** One round: work, a death, a start, a check. */
export async function round(run: Round): Promise<void> {
  const { daemon, model, party, random } = run;
  await arm(run);
  // Mostly soon, so that the first verbs of a daemon are met; now and then when much was done. Counted in answers, not in
  // time: a machine that is slow gets as far.
  const enough = model.answers + random(random(3) === 0 ? 40 : 10);
  const latest = performance.now() + LONGEST_WORK_MS;
  const pause = random(300);
  let over = false;
  const work = Promise.all([model.work(() => over), party.work()]);
  // It may have been started to die somewhere, or work may fail with an assertion, before the moment has come.
  const moment = eventually(() => model.answers >= enough || performance.now() >= latest || daemon.pid === undefined, 'the moment', 2 * LONGEST_WORK_MS).then(() => sleep(pause));
  await Promise.race([moment, work]);
  await moment;
  harm(run);
  if (daemon.pid === undefined) count(run, 'at a failpoint');
  else if (random(8) === 0) await restartOtherwise(run);
  else await daemon.kill9().then(() => count(run, 'killed'));
  over = true;
  await withTimeout(work, 'the work to end');
  // Now and then the daemon dies during its start, too.
  for (let death = random(4); death > 0; death -= 1) await dieStarting(daemon, random(600)).then(() => count(run, 'killed at its start'));
  await daemon.start();
  await model.check();
  await party.check();
  await addressesDiffer(daemon);
  await historyRight(daemon);
}

/** What else may happen around a death. */
function harm(run: Round): void {
  const { daemon, party, random } = run;
  switch (random(6)) {
    case 0:
      if (party.orphan.killShim()) count(run, 'shims killed');
      return;
    case 1:
      if (party.orphan.stopShim()) count(run, 'shims stopped');
      return;
    case 2: {
      const resolver = processesOf(daemon.dir).find(({ command }) => command.includes('moored-dns'));
      if (resolver === undefined || !alive(resolver.pid)) return;
      process.kill(resolver.pid, 'SIGKILL');
      count(run, 'resolvers killed');
      return;
    }
    default:
  }
}

/** A graceful stop; what runs goes on, and the next start has other options. */
async function restartOtherwise(run: Round): Promise<void> {
  const { daemon, random } = run;
  assert.equal(await daemon.stop(), 0, 'the daemon did not stop well');
  daemon.configure({ ...BASE, ...pick(random, CHANGES) });
  count(run, 'restarted with other options');
}

/**
 * Every other round's work is done by a daemon that dies at a place: in its start, or when work comes by there. Checks are
 * made with a daemon that has no such place, as they remove things too.
 */
async function arm(run: Round): Promise<void> {
  const { daemon, random } = run;
  if (random(2) === 0) return;
  await daemon.kill9();
  count(run, 'killed at rest');
  const point = pick(random, POINTS);
  if (await daemon.startOrDie([], { MOORED_FAILPOINTS: `${point}=${random(4)}*off->1*crash` })) return;
  count(run, 'at a failpoint of its start');
  await daemon.start();
}

/** A daemon that is killed so long after it was started. */
export async function dieStarting(daemon: Daemon, afterMs: number): Promise<void> {
  const child = daemon.launch();
  await sleep(afterMs);
  child.kill('SIGKILL');
  await eventually(() => child.exitCode !== null || child.signalCode !== null, 'its end');
}

/** No two containers have one address. */
async function addressesDiffer(daemon: Daemon): Promise<void> {
  const listed = (await daemon.request('GET', '/containers/json')).json() as { NetworkSettings: { Networks: Record<string, { IPAddress: string }> } }[];
  const addresses = listed.flatMap(({ NetworkSettings }) => Object.values(NetworkSettings.Networks).map(({ IPAddress }) => IPAddress)).filter((address) => address !== '');
  assert.equal(new Set(addresses).size, addresses.length, `an address is there twice: ${addresses.toSorted().join(' ')}`);
}

const count = ({ deaths }: Round, what: string): void => void deaths.set(what, (deaths.get(what) ?? 0) + 1);

async function withTimeout<T>(promise: Promise<T>, what: string, ms = 60_000): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited ${ms} ms for ${what}`)), ms);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
