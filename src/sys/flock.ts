/** Advisory locks that die with their holder, so that no crash leaves a stale one (flock(2)). */
import { closeSync, constants, openSync } from 'node:fs';
import { check, prototype, SyscallError } from './libc.ts';

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
