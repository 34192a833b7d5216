/** The daemon's hold on its roots: there is one daemon per data root and per exec root, whatever pid files say. */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { conflict, errnoOf } from '../base/errors.ts';
import { tryLock } from '../sys/flock.ts';
import type { FileLock } from '../sys/flock.ts';

export interface Roots {
  readonly dataRoot: string;
  readonly execRoot: string;
}

/** Makes the roots and takes both; throws `conflict` if another daemon has one. The locks end with the process. */
export function takeRoots({ dataRoot, execRoot }: Roots): Disposable {
  // Processes of other users pass through the data root to their files; the exec root is nobody's business.
  mkdirSync(dataRoot, { recursive: true, mode: 0o711 });
  mkdirSync(execRoot, { recursive: true, mode: 0o700 });
  const data = take(dataRoot, 'data root');
  try {
    const exec = take(execRoot, 'exec root');
    return {
      [Symbol.dispose]() {
        exec.release();
        data.release();
      },
    };
  } catch (error) {
    data.release();
    throw error;
  }
}

function take(root: string, what: string): FileLock {
  const file = path.join(root, 'lock');
  const lock = tryLock(file);
  if (lock === undefined) {
    const holder = readFileSync(file, 'utf8').trim();
    throw conflict(`failed to start daemon: the ${what} ${root} is in use by another daemon${holder === '' ? '' : ` (process ${holder})`}`);
  }
  nameHolder(file);
  return lock;
}

/** For messages only: a full disk does not keep a daemon from starting. */
function nameHolder(file: string): void {
  try {
    writeFileSync(file, `${process.pid}\n`);
  } catch (error) {
    if (errnoOf(error) !== 'ENOSPC' && errnoOf(error) !== 'EDQUOT') throw error;
  }
}

/** Writes the pid file, over whatever an earlier process left; disposing removes it. An empty path means none. */
export function writePidFile(file: string): Disposable {
  if (file === '') return { [Symbol.dispose]() {} };
  mkdirSync(path.dirname(file), { recursive: true, mode: 0o755 });
  // Anew and not through what is there, which may be a link.
  rmSync(file, { force: true });
  const fd = openSync(file, 'wx', 0o644);
  try {
    writeSync(fd, String(process.pid));
  } finally {
    closeSync(fd);
  }
  return { [Symbol.dispose]: () => rmSync(file, { force: true }) };
}
