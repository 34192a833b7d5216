/** mount(2), umount2(2) and the newer calls that handle mounts as descriptors (Linux 5.2). */
import { cPath } from './cPath.ts';
import { check, lastErrno, prototype, SyscallError } from './libc.ts';

export const MS_RDONLY = 0x1;
export const MS_REMOUNT = 0x20;
export const MS_BIND = 0x1000;
export const MS_REC = 0x4000;
export const MS_PRIVATE = 0x40000;
export const MS_SLAVE = 0x80000;

export const MNT_DETACH = 0x2;
const UMOUNT_NOFOLLOW = 0x8;

type MountCall = (...call: MountArguments) => number;
type MountArguments = [source: Buffer | null, target: Buffer, type: Buffer | null, flags: number, data: Buffer | null];
type UmountCall = (target: Buffer, flags: number) => number;

const mountCall = prototype<MountCall>('int mount(const void *source, const void *target, const void *type, unsigned long flags, const void *data)');
const umountCall = prototype<UmountCall>('int umount2(const void *target, int flags)');

export interface MountRequest {
  readonly source?: string;
  readonly target: string;
  readonly type?: string;
  readonly flags?: number;
  readonly data?: string;
}

const optional = (text: string | undefined): Buffer | null => (text === undefined ? null : cPath(text));

const mountArguments = (request: MountRequest): MountArguments => [
  optional(request.source),
  cPath(request.target),
  optional(request.type),
  request.flags ?? 0,
  optional(request.data),
];

/** Mounts on the calling thread, in its mount namespace. */
export function mountSync(request: MountRequest): void {
  check('mount', mountCall()(...mountArguments(request)));
}

/** Mounts on another thread, in the process's mount namespace: a disk that hangs holds up nobody else. */
export async function mount(request: MountRequest): Promise<void> {
  await background('mount', mountCall(), mountArguments(request));
}

/** Unmounts the topmost mount at `target`; a symlink at its end is not followed. */
export async function umount(target: string, flags = 0): Promise<void> {
  await background('umount2', umountCall(), [cPath(target), flags | UMOUNT_NOFOLLOW]);
}

export function umountSync(target: string, flags = 0): void {
  check('umount2', umountCall()(cPath(target), flags | UMOUNT_NOFOLLOW));
}

/** The mount in which `path` lies, with those below it, as a descriptor that belongs to no namespace. */
export function cloneMountTree(path: string): number {
  const OPEN_TREE_CLONE = 1;
  const AT_RECURSIVE = 0x8000;
  const O_CLOEXEC = 0x80000;
  return check('open_tree', openTree()(428, AT_FDCWD, cPath(path), OPEN_TREE_CLONE | AT_RECURSIVE | O_CLOEXEC));
}

/** Lets go of a tree; one that was not attached is gone with it. Node did not open the descriptor, so it must not close it. */
export function releaseMountTree(fd: number): void {
  check('close', closeCall()(fd));
}

/** Mounts what `cloneMountTree` gave at `target`, which is looked up as this thread sees it (its root, its symlinks). */
export function attachMountTree(fd: number, target: string): void {
  const MOVE_MOUNT_F_EMPTY_PATH = 0x4;
  const MOVE_MOUNT_T_SYMLINKS = 0x10;
  check('move_mount', moveMount()(429, fd, cPath(''), AT_FDCWD, cPath(target), MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS));
}

const AT_FDCWD = -100;

// By number, since the C library knows them from 2.36 on only; the numbers are the same on every architecture.
const openTree = prototype<(number: number, dirFd: number, path: Buffer, flags: number) => number>(
  'long syscall(long number, long dirFd, const void *path, long flags)',
);
const moveMount = prototype<(...call: [number: number, fromFd: number, from: Buffer, toFd: number, to: Buffer, flags: number]) => number>(
  'long syscall(long number, long fromFd, const void *from, long toFd, const void *to, long flags)',
);

const closeCall = prototype<(fd: number) => number>('int close(int fd)');
const syncfsCall = prototype<(fd: number) => number>('int syncfs(int fd)');

/** Writes back everything of the filesystem in which the open file lies. */
export async function syncfs(fd: number): Promise<void> {
  await background('syncfs', syncfsCall(), [fd]);
}

interface Asynchronous {
  async(...args: unknown[]): void;
}

/** Calls a function of libc on a thread of koffi's; its errno is given to the callback's thread. */
function background(syscall: string, call: (...args: never[]) => number, args: unknown[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const done = (error: Error | null, result: number): void => {
      const errno = lastErrno();
      if (error !== null) reject(error);
      else if (result < 0) reject(new SyscallError(syscall, errno));
      else resolve();
    };
    // koffi hangs `async` on every function that it binds.
    (call as unknown as Asynchronous).async(...args, done);
  });
}
