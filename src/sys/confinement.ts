/**
 * A thread with a root of its own. After `detachThread` the calling worker thread no longer shares root, working
 * directory and umask with the process; `enter` makes a directory its root, so that for every *synchronous* file call
 * of this thread the kernel itself resolves symlinks, `..` and absolute names inside of it. Asynchronous calls run on
 * other threads and are not confined. Everything the thread needs must be loaded before it enters.
 */
import { mkdirSync, openSync, statSync, writeFileSync } from 'node:fs';
import { isMainThread } from 'node:worker_threads';
import { internal, messageOf } from '../base/errors.ts';
import { cPath } from './cPath.ts';
import { check, prototype } from './libc.ts';
import { attachMountTree, cloneMountTree, MNT_DETACH, MS_BIND, MS_RDONLY, MS_REC, MS_REMOUNT, MS_SLAVE, mountSync, releaseMountTree, umountSync } from './mount.ts';

const CLONE_FS = 0x200;
const CLONE_NEWNS = 0x20000;

const unshare = prototype<(flags: number) => number>('int unshare(int flags)');
const setns = prototype<(fd: number, type: number) => number>('int setns(int fd, int type)');
const chroot = prototype<(path: Buffer) => number>('int chroot(const void *path)');
const chdir = prototype<(path: Buffer) => number>('int chdir(const void *path)');
const fchdir = prototype<(fd: number) => number>('int fchdir(int fd)');
const pivotRoot = prototype<(newRoot: Buffer, putOld: Buffer) => number>('int pivot_root(const void *newRoot, const void *putOld)');
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
 * Makes `root` the thread's root. With mounts, the thread first gets a mount namespace of its own, which holds nothing
 * but the root and them: nobody else sees them, no mount of the host's is pinned, and they end with `leave`.
 */
export function enter(root: string, mounts: readonly PrivateMount[] = []): void {
  if (origin === undefined) throw new Error('the thread shares its root with the process');
  if (mounts.length === 0) {
    changeRoot(cPath(root));
    return;
  }
  check('unshare', unshare()(CLONE_NEWNS));
  // Slave: what is unmounted on the host goes here too; what is mounted here reaches nobody.
  mountSync({ target: '/', flags: MS_SLAVE | MS_REC });
  const trees: { mount: PrivateMount; fd: number; isFile: boolean }[] = [];
  try {
    for (const mount of mounts) trees.push({ mount, fd: cloneSource(mount.source), isFile: !statSync(mount.source).isDirectory() });
    mountSync({ source: root, target: root, flags: MS_BIND | MS_REC });
    check('chdir', chdir()(cPath(root)));
    // The old root lands upon the new one (pivot_root(2), NOTES), from where it is taken away with all that is in it.
    check('pivot_root', pivotRoot()(cPath('.'), cPath('.')));
    umountSync('.', MNT_DETACH);
    check('chdir', chdir()(cPath('/')));
    for (const { mount, fd, isFile } of trees) {
      makeTarget(mount.target, isFile);
      attachMountTree(fd, mount.target);
      if (mount.readOnly) mountSync({ target: mount.target, flags: MS_REMOUNT | MS_BIND | MS_RDONLY });
    }
  } finally {
    for (const { fd } of trees) releaseMountTree(fd);
  }
}

function cloneSource(source: string): number {
  try {
    return cloneMountTree(source);
  } catch (error) {
    throw internal(`cannot mount ${source}: ${messageOf(error)}`, error);
  }
}

/** Makes `directory` the thread's working directory, without confining it; `leave` undoes it. */
export function workIn(directory: string): void {
  if (origin === undefined) throw new Error('the thread shares its working directory with the process');
  check('chdir', chdir()(cPath(directory)));
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
