/**
 * The birth of a shim (docs/shim-contract.md section 2): its spec is written, it is started with the ready pipe and the
 * port sockets, and its one line is awaited. After a failure nothing of it stays, whoever failed.
 */
import { once } from 'node:events';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { internal, messageOf, MooredError, unavailable } from '../base/errors.ts';
import { writeFileAtomic } from '../store/record.ts';
import { run, spawnDetached } from '../sys/spawn.ts';
import type { DetachedProcess } from '../sys/spawn.ts';
import { shimError } from './client.ts';
import { DamagedError, decodePairs } from './codec.ts';
import { shimName } from './naming.ts';

/** The runtime creates a container in some 20 ms; a machine that is busy may need far longer. */
const READY_TIMEOUT_MS = 120_000;
/** A shim that lost its reader takes back what it made. */
const LEAVE_TIMEOUT_MS = 5_000;
const MAX_READY_BYTES = 64 * 1024;
const SHIM_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export interface Birth {
  readonly shim: string;
  readonly mode: 'run' | 'exec' | 'adopt';
  readonly dir: string;
  /** The text of `spec`. */
  readonly spec: string;
  readonly portFds: readonly number[];
  readonly signal?: AbortSignal | undefined;
  /** What to delete a half-made container with, if the shim can no longer: a whole command. */
  readonly deleteCommand?: readonly string[];
}

/** Gives the pid of the created container's init (0 for `exec` and `adopt`). */
export async function launchShim(birth: Birth): Promise<number> {
  birth.signal?.throwIfAborted();
  const before = await readdir(birth.dir);
  try {
    await writeFileAtomic(join(birth.dir, 'spec'), birth.spec, { durable: false, mode: 0o600 });
    return await birthOf(birth);
  } catch (error) {
    // An adopted container has not become less alive: its files still tell about it.
    if (birth.mode !== 'adopt') await removeAllBut(before, birth.dir);
    throw error;
  }
}

async function birthOf(birth: Birth): Promise<number> {
  const { shim, mode, dir, portFds } = birth;
  const child = await spawnDetached([shim, mode, dir], { cwd: '/', env: { PATH: SHIM_PATH }, fds: ['pipe', ...portFds] });
  const [ready] = child.pipes;
  try {
    if (ready === undefined) throw internal('a shim was started without its ready pipe');
    return await readyPid(ready, birth);
  } catch (error) {
    ready?.destroy();
    await endShim(child, birth);
    throw error;
  } finally {
    ready?.destroy();
  }
}

async function readyPid(ready: Duplex, birth: Birth): Promise<number> {
  const line = await readyLine(ready, birth);
  try {
    const [head, ...pairs] = line.split(' ');
    const fields = decodePairs(pairs);
    if (head === 'ok') return fields.integer('pid');
    if (head === 'err') throw shimError(fields, birth.dir, birth.mode);
  } catch (error) {
    if (!(error instanceof DamagedError)) throw error;
  }
  throw internal(`${shimName(birth.dir)} said something that cannot be read`);
}

/** The one line on the ready pipe. A shim that ends without it has crashed. */
async function readyLine(ready: Duplex, { dir, signal }: Birth): Promise<string> {
  const timeout = AbortSignal.timeout(READY_TIMEOUT_MS);
  const bound = signal === undefined ? timeout : AbortSignal.any([timeout, signal]);
  let text = '';
  ready.on('error', () => {});
  ready.on('data', (chunk: Buffer) => {
    text += chunk.toString('latin1');
    if (text.length > MAX_READY_BYTES) ready.destroy(new Error('its first line is too long'));
  });
  try {
    await once(ready, 'end', { signal: bound });
  } catch (error) {
    signal?.throwIfAborted();
    if (timeout.aborted) throw unavailable(`${shimName(dir)} was not ready within ${READY_TIMEOUT_MS} ms`, error);
    throw internal(`${shimName(dir)} failed at its start: ${messageOf(error)}`, error);
  }
  if (!text.endsWith('\n')) throw internal(`${shimName(dir)} died at its start`);
  return Buffer.from(text, 'latin1').toString('utf8').trimEnd();
}

/** The shim takes back by itself what it made; one that cannot (hung, killed) is ended and its work taken back from here. */
async function endShim(child: DetachedProcess, birth: Birth): Promise<void> {
  const waiting = new AbortController();
  const left = await Promise.race([
    child.exited.then(({ signal }) => signal === null),
    sleep(LEAVE_TIMEOUT_MS, false, { signal: waiting.signal }).catch(() => false),
  ]);
  waiting.abort();
  if (left) return;
  child.kill();
  await child.exited;
  if (birth.deleteCommand !== undefined) await takeBack(birth.deleteCommand, birth.dir);
}

async function removeAllBut(kept: readonly string[], dir: string): Promise<void> {
  const names = (await readdir(dir)).filter((name) => !kept.includes(name));
  // Not recursive: a shim makes no folders.
  await Promise.allSettled(names.map((name) => rm(join(dir, name), { force: true })));
}

async function takeBack(command: readonly string[], dir: string): Promise<void> {
  const { code, stderr } = await run(command, { timeoutMs: 30_000 });
  if (code !== 0 && !stderr.includes('does not exist')) {
    throw internal(`${shimName(dir)} left a container behind that cannot be deleted: ${stderr.trim().slice(-1000)}`);
  }
}

/** The spec of a shim that died, without the sockets that died with it. */
export async function inheritedSpec(dir: string): Promise<string> {
  try {
    const text = await readFile(join(dir, 'spec'), 'utf8');
    return text.split('\n').filter((line) => !/^(?:port|hold) /.test(line)).join('\n');
  } catch (error) {
    throw new MooredError('not-found', `${shimName(dir)} left no spec to go on with`, { cause: error });
  }
}
