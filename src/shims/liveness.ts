/**
 * Is the shim there, is its process there? A pid says nothing by itself: init counts with its start time and the boot
 * id, a shim with its working directory, which is the directory it holds.
 */
import { readFile, readlink } from 'node:fs/promises';
import type { Liveness, Read, ShimStatus } from '../core/ports/shim.ts';
import { isFolderLocked } from '../sys/flock.ts';
import { isSpoken } from './codec.ts';
import { readStatus } from './files.ts';
import type { SocketShimHandle } from './handle.ts';

/** A shim answers from its loop, at once; one that does not within this time is looked at through /proc. */
const HELLO_TIMEOUT_MS = 1_000;

export async function liveness(handle: SocketShimHandle): Promise<Liveness> {
  const status = await readStatus(handle.dir);
  const [shim, init] = await Promise.all([shimLiveness(handle, status), initLiveness(status)]);
  return { status, ...shim, init };
}

async function shimLiveness(handle: SocketShimHandle, status: Read<ShimStatus>): Promise<Pick<Liveness, 'shim' | 'contract'>> {
  if (status.kind === 'ok' && (await isStopped(status.value.shimPid)) && (await worksIn(status.value.shimPid, handle.dir))) return { shim: 'silent', contract: '' };
  try {
    const { contract } = await handle.hello({ timeoutMs: HELLO_TIMEOUT_MS });
    return { shim: isSpoken(contract) ? 'answering' : 'foreign', contract };
  } catch {
    return { shim: (await isThere(handle.dir, status)) ? 'silent' : 'gone', contract: '' };
  }
}

/** Whether a shim that does not answer is there all the same. */
async function isThere(dir: string, status: Read<ShimStatus>): Promise<boolean> {
  if (isFolderLocked(dir)) return true;
  if (status.kind !== 'ok' || status.value.bootId !== (await bootId())) return false;
  return worksIn(status.value.shimPid, dir);
}

async function initLiveness(status: Read<ShimStatus>): Promise<Liveness['init']> {
  if (status.kind === 'missing') return 'gone';
  if (status.kind === 'problem') return 'unknown';
  const { pid, pidStart, bootId: boot } = status.value;
  if (pid === 0 || boot !== (await bootId())) return 'gone';
  return (await processStart(pid)) === pidStart ? 'alive' : 'gone';
}

/** Start time of a process (field 22 of its stat, clock ticks since the boot); undefined if there is none, or only a zombie. */
export async function processStart(pid: number): Promise<bigint | undefined> {
  const fields = await statFields(pid);
  const state = fields[0];
  const start = fields[19];
  return start === undefined || state === 'Z' || state === 'X' ? undefined : BigInt(start);
}

/** Stopped by a signal: it answers nobody, and need not be waited for. */
const isStopped = async (pid: number): Promise<boolean> => pid > 0 && (await statFields(pid))[0] === 'T';

/** The fields of a process's stat from the third on; none if there is no such process. */
async function statFields(pid: number): Promise<string[]> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
    // The name (field 2) may hold anything, also parentheses and spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

async function worksIn(pid: number, dir: string): Promise<boolean> {
  try {
    return pid > 0 && (await readlink(`/proc/${pid}/cwd`)) === dir;
  } catch {
    return false;
  }
}

const bootId = async (): Promise<string> => (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
