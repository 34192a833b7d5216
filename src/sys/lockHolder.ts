/** Who holds a lock, without taking it: taking it for a moment could refuse a daemon that starts just then. */
import { readFileSync, statSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';

/** The process that has the file locked by flock; undefined if none has, or there is no such file. */
export function lockHolder(path: string, locks = '/proc/locks'): number | undefined {
  let inode: bigint;
  try {
    inode = statSync(path, { bigint: true }).ino;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  // `1: FLOCK  ADVISORY  WRITE 1234 fe:01:5678 0 EOF`. The device is left out: overlay and btrfs show another one there than in stat.
  for (const line of readFileSync(locks, 'utf8').split('\n')) {
    const [, type, , access, pid = '', place = ''] = line.split(/\s+/);
    if (type === 'FLOCK' && access === 'WRITE' && place.endsWith(`:${inode}`) && /^[1-9]\d*$/.test(pid)) return Number(pid);
  }
  return undefined;
}
