/** Calls for files that Node lacks: device nodes and FIFOs, times to the nanosecond. */
import { cPath } from './cPath.ts';
import { check, prototype } from './libc.ts';

const mknodCall = prototype<(path: Buffer, mode: number, device: bigint) => number>('int mknod(const void *path, unsigned int mode, uint64_t device)');
const utimensat = prototype<(dirFd: number, path: Buffer, times: BigInt64Array, flags: number) => number>(
  'int utimensat(int dirFd, const void *path, const void *times, int flags)',
);

/** `mode` has the type (S_IFCHR, …); the thread's umask applies. */
export function makeNode(path: Buffer, mode: number, device: bigint): void {
  check('mknod', mknodCall()(cPath(path), mode, device));
}

/** glibc's encoding of a device number. */
export function makeDevice(major: number, minor: number): bigint {
  const a = BigInt(major);
  const b = BigInt(minor);
  return ((a & 0xfff_ff000n) << 32n) | ((a & 0xfffn) << 8n) | ((b & 0xffff_ff00n) << 12n) | (b & 0xffn);
}

export const majorOf = (device: bigint): number => Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xffff_f000n));
export const minorOf = (device: bigint): number => Number((device & 0xffn) | ((device >> 12n) & 0xffff_ff00n));

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const times = new BigInt64Array(4);

/** Sets access and modification time of the path itself (a symlink is not followed), nanoseconds. */
export function setTimes(path: Buffer, atimeNs: bigint, mtimeNs: bigint): void {
  put(0, atimeNs);
  put(2, mtimeNs);
  check('utimensat', utimensat()(AT_FDCWD, cPath(path), times, AT_SYMLINK_NOFOLLOW));
}

function put(index: number, ns: bigint): void {
  // tv_nsec is never negative: times before the epoch round towards the past.
  const fraction = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  times[index] = (ns - fraction) / 1_000_000_000n;
  times[index + 1] = fraction;
}
