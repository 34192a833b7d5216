/**
 * Is the shim there, is its process there? A pid says nothing by itself: init counts with its start time and the boot
 * id, a shim with its working directory, which is the directory it holds.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import type { Liveness, Read, ShimStatus } from '../core/ports/shim.ts';
import { isFolderLocked } from '../sys/flock.ts';
import { isSpoken } from './codec.ts';
import { readStatus, readStatusNow } from './files.ts';
import type { SocketShimHandle } from './handle.ts';

/** A shim answers from its loop, at once; one that does not within this time is looked at through /proc. */
const HELLO_TIMEOUT_MS = 1_000;

export async function liveness(handle: SocketShimHandle): Promise<Liveness> {
  const status = await readStatus(handle.dir);
  const shim = await shimLiveness(handle, status);
  return { status, ...shim, init: initLiveness(status) };
}

/** As in ShimPort. */
export function glance(dir: string): ShimStatus | undefined {
  const status = readStatusNow(dir);
  if (status === undefined || status.state !== 'running' || status.bootId !== bootId() || !isSpoken(status.contract)) return undefined;
  if (processStart(status.pid) !== status.pidStart) return undefined;
  return worksIn(status.shimPid, dir) && !isStopped(status.shimPid) ? status : undefined;
}

async function shimLiveness(handle: SocketShimHandle, status: Read<ShimStatus>): Promise<Pick<Liveness, 'shim' | 'contract'>> {
  if (status.kind === 'ok' && isStopped(status.value.shimPid) && worksIn(status.value.shimPid, handle.dir)) return { shim: 'silent', contract: '' };
  try {
    const { contract } = await handle.hello({ timeoutMs: HELLO_TIMEOUT_MS });
    return { shim: isSpoken(contract) ? 'answering' : 'foreign', contract };
  } catch {
    return { shim: isThere(handle.dir, status) ? 'silent' : 'gone', contract: '' };
  }
}

/** Whether a shim that does not answer is there all the same. */
function isThere(dir: string, status: Read<ShimStatus>): boolean {
  if (isFolderLocked(dir)) return true;
  if (status.kind !== 'ok' || status.value.bootId !== bootId()) return false;
  return worksIn(status.value.shimPid, dir);
}

function initLiveness(status: Read<ShimStatus>): Liveness['init'] {
  if (status.kind === 'missing') return 'gone';
  if (status.kind === 'problem') return 'unknown';
  const { pid, pidStart, bootId: boot } = status.value;
  if (pid === 0 || boot !== bootId()) return 'gone';
  return processStart(pid) === pidStart ? 'alive' : 'gone';
}

/** Start time of a process (field 22 of its stat, clock ticks since the boot); undefined if there is none, or only a zombie. */
export function processStart(pid: number): bigint | undefined {
  const fields = pid > 0 ? statFields(pid) : [];
  const state = fields[0];
  const start = fields[19];
  return start === undefined || state === 'Z' || state === 'X' ? undefined : BigInt(start);
}

/** Stopped by a signal: it answers nobody, and need not be waited for. */
const isStopped = (pid: number): boolean => pid > 0 && statFields(pid)[0] === 'T';

/** The fields of a process's stat from the third on; none if there is no such process. */
function statFields(pid: number): string[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name (field 2) may hold anything, also parentheses and spaces.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  } catch {
    return [];
  }
}

function worksIn(pid: number, dir: string): boolean {
  try {
    return pid > 0 && readlinkSync(`/proc/${pid}/cwd`) === dir;
  } catch {
    return false;
  }
}

let boot: string | undefined;
const bootId = (): string => (boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
