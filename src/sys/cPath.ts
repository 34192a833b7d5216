/** Paths for system calls: bytes with a NUL at the end. Text is taken as UTF-8, bytes as they are. */
export function cPath(path: string | Buffer): Buffer {
  const bytes = typeof path === 'string' ? Buffer.from(path) : path;
  if (bytes.includes(0)) throw new RangeError('a path cannot contain a NUL');
  const result = Buffer.alloc(bytes.length + 1);
  result.set(bytes);
  return result;
}
