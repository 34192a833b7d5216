/** Advisory locks that die with their holder, so that no crash leaves a stale one (flock(2)). */
import { closeSync, constants, openSync } from 'node:fs';
import { errnoOf } from '../base/errors.ts';
import { check, prototype, SyscallError } from './libc.ts';

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;

const flock = prototype<(fd: number, operation: number) => number>('int flock(int fd, int operation)');

/** A held lock. The file itself stays: removing it would let two processes lock two files of one name. */
export interface FileLock extends Disposable {
  readonly path: string;
  release(): void;
}

/** Locks the file (made 0600 if absent) for this process alone, or gives undefined if another one holds it. */
export function tryLock(path: string): FileLock | undefined {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  try {
    check('flock', flock()(fd, LOCK_EX | LOCK_NB));
  } catch (error) {
    closeSync(fd);
    if (error instanceof SyscallError && error.code === 'EAGAIN') return undefined;
    throw error;
  }
  let held = true;
  const release = () => {
    if (held) closeSync(fd);
    held = false;
  };
  return { path, release, [Symbol.dispose]: release };
}

/** Whether some process has a folder locked; a folder that is not there is not. */
export function isFolderLocked(path: string): boolean {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
  try {
    check('flock', flock()(fd, LOCK_SH | LOCK_NB));
    return false;
  } catch (error) {
    if (error instanceof SyscallError && error.code === 'EAGAIN') return true;
    throw error;
  } finally {
    closeSync(fd);
  }
}
