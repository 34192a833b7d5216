/**
 * Network namespaces. A thread may enter one only for the length of a synchronous function: JavaScript runs on one
 * thread, so nothing else of ours happens meanwhile, and libuv's threads stay where they are.
 */
import { closeSync, existsSync, mkdirSync, openSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { SyscallError, check, lastErrno, prototype } from './libc.ts';

const CLONE_NEWNET = 0x40000000;
const MS_BIND = 4096n;
const MNT_DETACH = 2;

const unshare = prototype<(flags: number) => number>('int unshare(int flags)');
const setns = prototype<(fd: number, type: number) => number>('int setns(int fd, int type)');
const mount = prototype<(...args: [source: string, target: string, type: null, flags: bigint, data: null]) => number>(
  'int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data)',
);
const umount2 = prototype<(target: string, flags: number) => number>('int umount2(const char *target, int flags)');

/** Runs a synchronous function in the namespace of an open descriptor. */
export function withNetns<T>(fd: number, action: () => T): T {
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    check('setns', setns()(fd, CLONE_NEWNET));
    try {
      return action();
    } finally {
      comeBack(home);
    }
  } finally {
    closeSync(home);
  }
}

/** Enters a namespace for good: the calling thread, and the processes it starts from now on. */
export function enterNetns(path: string): void {
  const fd = openSync(path, 'r');
  try {
    check('setns', setns()(fd, CLONE_NEWNET));
  } finally {
    closeSync(fd);
  }
}

/** The same as `withNetns`, by the path of a pin. */
export function withNetnsAt<T>(path: string, action: (fd: number) => T): T {
  const fd = openSync(path, 'r');
  try {
    return withNetns(fd, () => action(fd));
  } finally {
    closeSync(fd);
  }
}

/** True if a path is the pin of a namespace: its file lies on the kernel's own filesystem for them. */
export function isNetns(path: string): boolean {
  const NSFS_MAGIC = 0x6e736673;
  return existsSync(path) && statfsSync(path).type === NSFS_MAGIC;
}

/**
 * Makes a namespace that lives as long as the file `path`, its pin; runs `prepare` inside. Nothing is left if any of
 * it fails.
 */
export function createNetns(path: string, prepare: () => void): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  // A pin left by a crash must not get a second mount over it.
  removeNetns(path);
  writeFileSync(path, '', { mode: 0o600 });
  const home = openSync('/proc/thread-self/ns/net', 'r');
  try {
    check('unshare', unshare()(CLONE_NEWNET));
    try {
      prepare();
      check('mount', mount()('/proc/thread-self/ns/net', path, null, MS_BIND, null));
    } finally {
      comeBack(home);
    }
  } catch (error) {
    removeNetns(path);
    throw error;
  } finally {
    closeSync(home);
  }
}

/** Lets go of a pin: the kernel takes the namespace down when its last process and descriptor are gone. Idempotent. */
export function removeNetns(path: string): void {
  // There may be mounts one over the other: each is taken off until there is none.
  while (umount2()(path, MNT_DETACH) === 0);
  const error = new SyscallError('umount', lastErrno());
  if (error.code !== 'EINVAL' && error.code !== 'ENOENT') throw error;
  rmSync(path, { force: true });
}

/** Carrying on in a container's namespace would be worse than ending: containers do not need the daemon. */
function comeBack(home: number): void {
  if (setns()(home, CLONE_NEWNET) === 0) return;
  process.stderr.write('moored: cannot come back from a network namespace\n');
  process.abort();
}
