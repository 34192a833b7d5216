/** Device nodes of the host: for `--device`, `--privileged` and block I/O limits. */
import { lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';

/** A node; `relative` to the path that was asked for, empty for that path itself. */
export interface DeviceNode {
  readonly relative: string;
  readonly type: 'c' | 'b' | 'p';
  readonly major: number;
  readonly minor: number;
  readonly fileMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** Folders of /dev that every container has of its own. */
const NOT_SHARED = new Set(['pts', 'shm', 'fd', 'mqueue', '.lxc', '.lxd-mounts', '.udev', 'console']);

const MAX_DEPTH = 16;

/** The node at a path, links followed, or all nodes below a folder; empty if there is none. Throws with the reason. */
export function devicesAt(path: string): DeviceNode[] {
  let target: string;
  let stats: Stats;
  try {
    target = realpathSync(path);
    stats = lstatSync(target);
  } catch (error) {
    throw new Error(errnoOf(error) === 'ENOENT' ? 'no such file or directory' : String(errnoOf(error)), { cause: error });
  }
  const own = nodeOf(stats, '');
  if (own !== undefined) return [own];
  return stats.isDirectory() ? nodesBelow(target, '', new Set()) : [];
}

/** All device nodes of /dev, but not those that a container has of its own, and no pipes. */
export const allDevices = (dev = '/dev'): DeviceNode[] => nodesBelow(dev, '', NOT_SHARED).filter(({ type }) => type !== 'p');

function nodesBelow(root: string, relative: string, skip: ReadonlySet<string>): DeviceNode[] {
  if (relative.split('/').length > MAX_DEPTH) return [];
  return namesIn(join(root, relative)).filter((name) => !skip.has(name)).flatMap((name) => {
    const path = relative === '' ? name : `${relative}/${name}`;
    const stats = lstatSync(join(root, path), { throwIfNoEntry: false });
    if (stats === undefined) return [];
    if (stats.isDirectory()) return nodesBelow(root, path, skip);
    const node = nodeOf(stats, path);
    return node === undefined ? [] : [node];
  });
}

/** A folder may go while we look. */
function namesIn(path: string): string[] {
  try {
    return readdirSync(path).toSorted();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EACCES') return [];
    throw error;
  }
}

function nodeOf(stats: Stats, relative: string): DeviceNode | undefined {
  const type = stats.isCharacterDevice() ? 'c' : stats.isBlockDevice() ? 'b' : stats.isFIFO() ? 'p' : undefined;
  if (type === undefined) return undefined;
  return { relative, type, ...split(stats.rdev), fileMode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid };
}

/** Numbers of the device that a path names. Throws `stat /x: no such file or directory`. */
export function deviceNumbers(path: string): { major: number; minor: number } {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) throw new Error(`stat ${path}: no such file or directory`);
  return split(stats.rdev);
}

/** glibc's dev_t: 12 bits of major and 20 of minor, interleaved, beyond them the rest of both. */
function split(device: number): { major: number; minor: number } {
  const value = BigInt(device);
  return {
    major: Number(((value >> 8n) & 0xfffn) | ((value >> 32n) & ~0xfffn)),
    minor: Number((value & 0xffn) | ((value >> 12n) & ~0xffn)),
  };
}
