/** Extended attributes of a path itself, never of what a symlink points at. Names and values are bytes. */
import { cPath } from './cPath.ts';
import { lastErrno, prototype, SyscallError } from './libc.ts';

type Set = (...call: [path: Buffer, name: Buffer, value: Buffer, size: number, flags: number]) => number;
type Get = (path: Buffer, name: Buffer, value: Buffer | null, size: number) => number;
type List = (path: Buffer, list: Buffer | null, size: number) => number;

const lsetxattr = prototype<Set>('int lsetxattr(const void *path, const void *name, const void *value, size_t size, int flags)');
const lgetxattr = prototype<Get>('long lgetxattr(const void *path, const void *name, void *value, size_t size)');
const llistxattr = prototype<List>('long llistxattr(const void *path, void *list, size_t size)');

const latin1 = (text: string): Buffer => Buffer.from(`${text}\0`, 'latin1');

export function setXattr(path: Buffer, name: string, value: Buffer): void {
  if (lsetxattr()(cPath(path), latin1(name), value, value.length, 0) < 0) throw new SyscallError('lsetxattr', lastErrno());
}

// One that is large enough for nearly everything; kernels allow 64 KiB for a value and for a list.
const scratch = Buffer.alloc(4096);
const LARGEST = 64 * 1024;

/** The value, or undefined if there is none or the filesystem has no attributes. */
export function getXattr(path: Buffer, name: string): Buffer | undefined {
  const file = cPath(path);
  const key = latin1(name);
  return read('lgetxattr', (into) => lgetxattr()(file, key, into, into.length));
}

/** All names, as far as the caller may see them. */
export function listXattrs(path: Buffer): string[] {
  const file = cPath(path);
  const list = read('llistxattr', (into) => llistxattr()(file, into, into.length));
  return list === undefined || list.length === 0 ? [] : list.toString('latin1', 0, list.length - 1).split('\0');
}

function read(syscall: string, call: (into: Buffer) => number): Buffer | undefined {
  for (let into = scratch; ; into = Buffer.alloc(LARGEST)) {
    const length = call(into);
    if (length >= 0) return Buffer.from(into.subarray(0, length));
    const error = new SyscallError(syscall, lastErrno());
    if (error.code === 'ENODATA' || error.code === 'EOPNOTSUPP' || error.code === 'ENOTSUP') return undefined;
    if (error.code !== 'ERANGE' || into.length === LARGEST) throw error;
  }
}
