/** Files inside a root that is not ours to trust: openat2(2) with RESOLVE_IN_ROOT, so that no symlink leads out of it. */
import { close, constants, fstat, open, read, readlink } from 'node:fs';
import { promisify } from 'node:util';
import { cPath } from './cPath.ts';
import { check, prototype, SyscallError } from './libc.ts';

const SYS_OPENAT2 = 437;
const RESOLVE_IN_ROOT = 0x10;
const O_CLOEXEC = 0x80000;
const O_PATH = 0x200000;

type Openat2 = (...call: [number: number, dirfd: number, path: Buffer, how: Buffer, size: bigint]) => number;
const openat2 = prototype<Openat2>('long syscall(long number, int dirfd, const void *path, const void *how, size_t size)');

/** struct open_how: flags, mode, resolve, each 64 bits. */
function openInRoot(rootFd: number, path: string, flags: number): number {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(flags | O_CLOEXEC), 0);
  how.writeBigUInt64LE(BigInt(RESOLVE_IN_ROOT), 16);
  return check('openat2', openat2()(SYS_OPENAT2, rootFd, cPath(path), how, 24n));
}

async function withRoot<T>(root: string, work: (fd: number) => Promise<T>): Promise<T> {
  const fd = await promisify(open)(root, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await work(fd);
  } finally {
    await promisify(close)(fd);
  }
}

const isMissing = (error: unknown): boolean => error instanceof SyscallError && (error.code === 'ENOENT' || error.code === 'ENOTDIR' || error.code === 'ELOOP');

/** At most `maxBytes` of a regular file; undefined if it is not there or is no regular file. */
export function readFileInRoot(root: string, path: string, maxBytes: number): Promise<Buffer | undefined> {
  return withRoot(root, async (rootFd) => {
    let fd: number;
    try {
      // Without blocking: a FIFO in its place must not hold us up.
      fd = openInRoot(rootFd, path, constants.O_RDONLY | constants.O_NONBLOCK);
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
    try {
      const stat = await promisify(fstat)(fd);
      if (!stat.isFile()) return undefined;
      const buffer = Buffer.alloc(Math.min(stat.size, maxBytes));
      const { bytesRead } = await promisify(read)(fd, buffer, 0, buffer.length, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await promisify(close)(fd);
    }
  });
}

/** The host's path of what lies at `path` inside a root; undefined if it is not there. */
export function pathInRoot(root: string, path: string): Promise<string | undefined> {
  return withRoot(root, async (rootFd) => {
    try {
      const fd = openInRoot(rootFd, path, O_PATH);
      try {
        return await promisify(readlink)(`/proc/self/fd/${fd}`);
      } finally {
        await promisify(close)(fd);
      }
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  });
}

