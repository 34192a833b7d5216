/**
 * Whether a container's names count, by what its shim says about it (docs/shim-contract.md section 6) and by its process:
 * looked up at each answer, so that no daemon has to be there, nor anybody to be told.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Seen {
  readonly state: string;
  readonly pid: string;
  readonly pidStart: string;
  readonly shimPid: string;
}

/** The shim's `status`; undefined if there is none that can be read. */
export function readStatus(shimDir: string): Seen | undefined {
  const text = read(join(shimDir, 'status'));
  if (text === undefined || !text.startsWith('moored-status 1.') || !text.includes('\nend\n')) return undefined;
  const field = (key: string): string => new RegExp(`^${key} (\\S+)$`, 'm').exec(text)?.[1] ?? '';
  return { state: field('state'), pid: field('pid'), pidStart: field('pid-start'), shimPid: field('shim-pid') };
}

/** Created counts: a container that begins by looking itself up finds itself. */
export function isRunning(shimDir: string): boolean {
  const seen = readStatus(shimDir);
  return seen !== undefined && (seen.state === 'running' || seen.state === 'created') && startOf(seen.pid) === seen.pidStart;
}

/** True once nothing of a container will come back by itself: its shim has left, or died together with it. */
export function isOver(shimDir: string): boolean {
  const seen = readStatus(shimDir);
  if (seen === undefined) return read(join(shimDir, 'spec')) === undefined;
  if (seen.state === 'exited') return true;
  return startOf(seen.shimPid) === undefined && (seen.pid === '0' || startOf(seen.pid) !== seen.pidStart);
}

/** Start time of a process (field 22 of its stat); undefined if there is none, or only a zombie. */
function startOf(pid: string): string | undefined {
  if (!/^[1-9]\d*$/.test(pid)) return undefined;
  const stat = read(`/proc/${pid}/stat`);
  // The name (field 2) may hold anything.
  const fields = stat?.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields === undefined || fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return undefined;
  }
}
