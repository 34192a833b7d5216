/** A daemon that dies at a named place, and what must hold of everything it was working on. */
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Daemon } from '../fixtures/daemon.ts';
import { historyProblems } from './history.ts';
import type { HttpAnswer } from '../fixtures/http.ts';
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
  /** What must hold as soon as the next daemon serves. */
  readonly afterDeath?: (daemon: Daemon) => Promise<unknown>;
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
  await historyRight(daemon);
  await death.afterDeath?.(daemon);
  await allWhole(daemon);
  await death.check?.(daemon);
  await historyRight(daemon);
  const removed = await removeAll(daemon);
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

/** As a user would, but without the client's processes. */
async function removeAll(daemon: Daemon): Promise<string[]> {
  const list = async (where: string): Promise<readonly { Id: string; Name: string; Names?: string[] }[]> => {
    const answer = (await daemon.request('GET', where)).json();
    return answer.Volumes ?? (where === '/volumes' ? [] : answer);
  };
  const ids = (await list('/containers/json?all=1')).map(({ Id }) => Id);
  const remove = async (where: string): Promise<void> => {
    const { status, text } = await daemon.request('DELETE', where);
    assert.ok(status < 400 || status === 404, `${where}: ${text}\n${daemon.complaints()}`);
  };
  await Promise.all(ids.map((id) => remove(`/containers/${id}?force=1&v=1`)));
  for (const { Id, Name } of await list('/networks')) if (!['bridge', 'host', 'none'].includes(Name)) await remove(`/networks/${Id}`);
  for (const { Name } of await list('/volumes')) await remove(`/volumes/${Name}`);
  return ids;
}

/** B3: every event was told, and once. */
export async function historyRight(daemon: Daemon): Promise<void> {
  let problems: string[] = [];
  try {
    await eventually(async () => (problems = await historyProblems(daemon)).length === 0, 'the events to agree with what there is', 10_000);
  } catch {
    assert.deepEqual(problems, [], 'what the events tell is not what there is');
  }
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
  if (status === 'paused') await post(daemon, `/containers/${id}/unpause`);
  if (status === 'running') await works(daemon, id);
  await post(daemon, `/containers/${id}/stop?t=0`);
  await post(daemon, `/containers/${id}/start`);
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

async function post(daemon: Daemon, where: string, body?: unknown): Promise<HttpAnswer> {
  const answer = await daemon.request('POST', where, body === undefined ? {} : { body });
  assert.ok(answer.status < 400, `${where}: ${answer.text}\n${daemon.complaints()}`);
  return answer;
}

/** The exit code of a session that ends with 3. */
async function execCode(daemon: Daemon, id: string): Promise<number> {
  const exec = (await post(daemon, `/containers/${id}/exec`, { Cmd: ['sh', '-c', 'exit 3'] })).json().Id as string;
  await post(daemon, `/exec/${exec}/start`, { Detach: true });
  return eventually(async () => {
    const { ExitCode, Running } = (await daemon.request('GET', `/exec/${exec}/json`)).json() as { ExitCode: number | null; Running: boolean };
    return Running || ExitCode === null ? undefined : ExitCode;
  }, 'the end of an exec session');
}

async function works(daemon: Daemon, id: string): Promise<void> {
  assert.equal(await execCode(daemon, id), 3);
  const { NetworkSettings, HostConfig } = await daemon.inspect(id);
  if (Object.keys(HostConfig.PortBindings ?? {}).length === 0) return;
  const port = Number(NetworkSettings.Ports['7/tcp'][0].HostPort);
  await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', port)).stdout === 'hello\n', `port ${port} to answer`, 10_000);
}
