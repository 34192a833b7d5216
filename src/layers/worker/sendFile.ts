import { readSync } from 'node:fs';
import { internal } from '../../base/errors.ts';
import { textOf } from '../../base/tar/header.ts';
import type { ByteString } from '../../base/tar/header.ts';
import type { Ring } from '../ring.ts';

/** Sends exactly `size` bytes of an open file; one that has become shorter is an error, or padded with zeros. */
export function sendFile(ring: Ring, fd: number, file: { path: ByteString; size: number; pad: boolean }): void {
  for (let left = file.size; left > 0; ) {
    const got = ring.fillSync((room) => {
      const length = Math.min(room.length, left);
      const read = readSync(fd, room, 0, length, null);
      if (read === 0 && file.pad) return room.fill(0, 0, length) && length;
      return read;
    });
    if (got === 0) throw internal(`${textOf(file.path)} is shorter than it was`);
    left -= got;
  }
}
