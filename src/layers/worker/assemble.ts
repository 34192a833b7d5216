/** A layer's tar again, from its metadata and its files. */
import { closeSync, constants, openSync } from 'node:fs';
import type { ByteString } from '../../base/tar/header.ts';
import { enter } from '../../sys/confinement.ts';
import { Ring } from '../ring.ts';
import { target } from './extractor.ts';
import type { Jobs } from './protocol.ts';
import { sendFile } from './sendFile.ts';
import { readSplit } from './split.ts';

export function assembleLayer(input: Jobs['assembleLayer']['input']): null {
  const ring = new Ring(input.sink);
  try {
    const split = openSync(input.split, 'r');
    try {
      enter(input.root);
      for (const record of readSplit(split)) {
        if (record.kind === 'raw') ring.writeSync(record.bytes);
        else copyFile(ring, record.path, record.size);
      }
    } finally {
      closeSync(split);
    }
    ring.end();
    return null;
  } catch (error) {
    ring.fail();
    throw error;
  }
}

/** Sends exactly `size` bytes of the file, which must have as many. */
function copyFile(ring: Ring, path: ByteString, size: number): void {
  const fd = openSync(target(path), constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    sendFile(ring, fd, { path, size, pad: false });
  } finally {
    closeSync(fd);
  }
}
