/** The files over which the engine mounts in every container, made in the root of an init layer (moby `initlayer`). */
import { closeSync, lstatSync, mkdirSync, openSync, symlinkSync, unlinkSync } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { enter } from '../../sys/confinement.ts';
import type { Jobs } from './protocol.ts';

const POINTS: readonly (readonly [path: string, kind: 'directory' | 'file' | { link: string }])[] = [
  ['/dev/pts', 'directory'],
  ['/dev/shm', 'directory'],
  ['/proc', 'directory'],
  ['/sys', 'directory'],
  ['/.dockerenv', 'file'],
  ['/etc/resolv.conf', 'file'],
  ['/etc/hosts', 'file'],
  ['/etc/hostname', 'file'],
  ['/dev/console', 'file'],
  ['/etc/mtab', { link: '/proc/mounts' }],
];

export function makeMountPoints({ root }: Jobs['makeMountPoints']['input']): null {
  enter(root);
  for (const [path, kind] of POINTS) {
    clearWay(path);
    const directory = kind === 'directory' ? path : path.slice(0, path.lastIndexOf('/'));
    if (directory !== '') mkdirSync(directory, { recursive: true, mode: 0o755 });
    if (kind === 'directory' || exists(path)) continue;
    if (kind === 'file') closeSync(openSync(path, 'wx', 0o755));
    else symlinkSync(kind.link, path);
  }
  return null;
}

/** Whatever is no directory on the way to the path, and the thing itself, gives way, so that no mount lands elsewhere. */
function clearWay(path: string): void {
  for (let end = path.indexOf('/', 1); ; end = path.indexOf('/', end + 1)) {
    const part = end < 0 ? path : path.slice(0, end);
    try {
      unlinkSync(part);
    } catch (error) {
      if (!['EISDIR', 'ENOENT'].includes(errnoOf(error) ?? '')) throw error;
    }
    if (end < 0) return;
  }
}

function exists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
