/**
 * A thread with a root of its own. After `detachThread` the calling worker thread no longer shares root, working
 * directory and umask with the process; `enter` makes a directory its root, so that for every *synchronous* file call
 * of this thread the kernel itself resolves symlinks, `..` and absolute names inside of it. Asynchronous calls run on
 * other threads and are not confined. Everything the thread needs must be loaded before it enters.
 */
import { closeSync, mkdirSync, openSync, statSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { cPath } from './cPath.ts';
import { check, prototype } from './libc.ts';
import { attachMountTree, cloneMountTree, MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SLAVE, mountSync } from './mount.ts';

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;

const unshare = prototype<(flags: number) => number>('int unshare(int flags)');
const setns = prototype<(fd: number, type: number) => number>('int setns(int fd, int type)');
const chroot = prototype<(path: Buffer) => number>('int chroot(const void *path)');
const chdir = prototype<(path: Buffer) => number>('int chdir(const void *path)');
const fchdir = prototype<(fd: number) => number>('int fchdir(int fd)');
const umask = prototype<(mask: number) => number>('int umask(int mask)');

/** A mount to be made over the root while a thread is in it. */
export interface PrivateMount {
  readonly source: string;
  /** Absolute path inside the root; symlinks in it stay inside. Made if it is missing. */
  readonly target: string;
  readonly readOnly: boolean;
}

let origin: { root: number; namespace: number } | undefined;

/** Gives the calling thread a root, working directory and umask (0) of its own. Once per thread. */
export function detachThread(): void {
  if (isMainThread) throw new Error('the main thread cannot be confined');
  if (origin !== undefined) return;
  check('unshare', unshare()(CLONE_FS));
  umask()(0);
  origin = { root: openSync('/', 'r'), namespace: openSync('/proc/thread-self/ns/mnt', 'r') };
}

/**
 * Makes `root` the thread's root. With mounts, the thread first gets a mount namespace of its own, in which they are
 * made: nobody else sees them, and they end with `leave`.
 */
export function enter(root: string, mounts: readonly PrivateMount[] = []): void {
  if (origin === undefined) throw new Error('the thread shares its root with the process');
  if (mounts.length === 0) {
    changeRoot(cPath(root));
    return;
  }
  check('unshare', unshare()(CLONE_NEWNS));
  // Slave: an unmount on the host reaches us, so that we pin nothing; ours reach nobody.
  mountSync({ target: '/', flags: MS_SLAVE | MS_REC });
  const trees = mounts.map((mount) => cloneMountTree(mount.source));
  try {
    const files = mounts.map((mount) => !statSync(mount.source).isDirectory());
    changeRoot(cPath(root));
    mounts.forEach((mount, index) => {
      const tree = trees[index];
      if (tree === undefined) return;
      makeTarget(mount.target, files[index] === true);
      attachMountTree(tree, mount.target);
      if (mount.readOnly) mountSync({ target: mount.target, flags: MS_REMOUNT | MS_BIND | MS_RDONLY });
    });
  } finally {
    for (const tree of trees) closeSync(tree);
  }
}

/** Back to the process's root and mount namespace. */
export function leave(): void {
  if (origin === undefined) return;
  check('setns', setns()(origin.namespace, CLONE_NEWNS));
  check('fchdir', fchdir()(origin.root));
  changeRoot(cPath('.'));
}

function changeRoot(path: Buffer): void {
  check('chroot', chroot()(path));
  check('chdir', chdir()(cPath('/')));
}

function makeTarget(target: string, isFile: boolean): void {
  if (!isFile) {
    mkdirSync(target, { recursive: true });
    return;
  }
  mkdirSync(target.slice(0, target.lastIndexOf('/')) || '/', { recursive: true });
  try {
    writeFileSync(target, '', { flag: 'wx' });
  } catch {
    // It is there, which is what is wanted; if it is not, mounting on it says so.
  }
}
