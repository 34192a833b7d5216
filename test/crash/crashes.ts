/** A daemon that dies at a named place, and what must hold of everything it was working on. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../fixtures/daemon.ts';
import { assertNothingLeaked } from '../fixtures/leaks.ts';
import type { Held } from '../fixtures/leaks.ts';
import { eventually } from '../fixtures/processes.ts';

export interface Death {
  /** Name of the failpoint. */
  readonly point: string;
  /** How often it is passed before. */
  readonly passes?: number;
  /** By a daemon without the failpoint, which it may kill. */
  readonly before?: (daemon: Daemon) => Promise<unknown>;
  /** With the failpoint set, but not to reach it. */
  readonly prepare?: (daemon: Daemon) => Promise<unknown>;
  /** What the daemon dies of. It may fail; nothing of it may reach the place more often than expected. */
  readonly verb: (daemon: Daemon) => Promise<unknown>;
  /** What must hold afterwards, apart from what holds always. */
  readonly check?: (daemon: Daemon) => Promise<unknown>;
}

/**
 * One death: gives false if the place was not reached, with the daemon that passed. In any case everything works
 * afterwards, and removing everything leaves nothing.
 */
export async function die(daemon: Daemon, clean: Held, death: Death): Promise<boolean> {
  if (death.before !== undefined) {
    if (daemon.pid === undefined) await daemon.start();
    await death.before(daemon);
  }
  if (daemon.pid !== undefined) await daemon.kill9();
  const env = { MOORED_FAILPOINTS: `${death.point}=${death.passes ?? 0}*off->1*crash` };
  if (await daemon.startOrDie([], env)) {
    await death.prepare?.(daemon);
    if (daemon.pid !== undefined) await Promise.race([death.verb(daemon).catch(() => undefined), untilGone(daemon)]);
  }
  const died = await untilGone(daemon, 500);
  const ids = readdirSync(path.join(daemon.dataRoot, 'containers')).map((name) => name.replace(/^\.gone-/, ''));
  if (died) await daemon.start();
  await allWhole(daemon);
  await death.check?.(daemon);
  const removed = await daemon.removeAll();
  let failure: unknown;
  await eventually(() => {
    try {
      assertNothingLeaked(clean, daemon.held([...ids, ...removed]));
      return true;
    } catch (error) {
      failure = error;
      return false;
    }
  }, 'nothing to be left', 5000).catch(() => {
    throw failure;
  });
  return died;
}

async function untilGone(daemon: Daemon, withinMs = 60_000): Promise<boolean> {
  const end = performance.now() + withinMs;
  while (daemon.pid !== undefined && performance.now() < end) await sleep(10);
  return daemon.pid === undefined;
}

interface Listed {
  readonly Id: string;
}

/** Every container that is listed is whole: it has a state that is understood, and can be stopped and started. */
async function allWhole(daemon: Daemon): Promise<void> {
  for (const { Id } of (await daemon.request('GET', '/containers/json?all=1')).json() as Listed[]) await whole(daemon, Id);
  for (const { Name } of ((await daemon.request('GET', '/volumes')).json() as { Volumes: { Name: string }[] | null }).Volumes ?? []) {
    assert.equal((await daemon.request('GET', `/volumes/${Name}`)).status, 200);
  }
}

async function whole(daemon: Daemon, id: string): Promise<void> {
  const status = await steady(daemon, id);
  if (status === undefined) return;
  assert.ok(['created', 'running', 'exited', 'paused'].includes(status), `it is ${status}: ${daemon.complaints()}`);
  if (status === 'paused') await daemon.ok('unpause', id);
  if (status === 'running') await works(daemon, id);
  await daemon.ok('stop', '-t', '0', id);
  await daemon.ok('start', id);
  await works(daemon, id);
}

/** The state when nothing is under way any more; undefined if the container was removed. */
async function steady(daemon: Daemon, id: string): Promise<string | undefined> {
  const status = await eventually(async () => {
    const answer = await daemon.request('GET', `/containers/${id}/json`);
    if (answer.status === 404) return { gone: true as const };
    const { Status } = answer.json().State as { Status: string };
    return Status === 'removing' || Status === 'restarting' ? undefined : { gone: false as const, Status };
  }, `${id} to be steady`);
  return status.gone ? undefined : status.Status;
}

async function works(daemon: Daemon, id: string): Promise<void> {
  assert.equal(await daemon.ok('exec', id, 'echo', 'works'), 'works');
  const { NetworkSettings, HostConfig } = await daemon.inspect(id);
  if (Object.keys(HostConfig.PortBindings ?? {}).length === 0) return;
  const port = Number(NetworkSettings.Ports['7/tcp'][0].HostPort);
  await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', port)).stdout === 'hello\n', `port ${port} to answer`, 10_000);
}
