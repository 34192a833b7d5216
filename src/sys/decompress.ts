/** Archives and layers as they come: plain, gzip, bzip2, xz or zstd, told apart by their first bytes as Docker does. */
import { once } from 'node:events';
import { Readable, pipeline } from 'node:stream';
import type { Duplex } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';
import { filterThrough } from './filter.ts';

export type Compression = 'none' | 'gzip' | 'bzip2' | 'xz' | 'zstd';

const MAGIC: readonly (readonly [Compression, Buffer])[] = [
  ['gzip', Buffer.from([0x1f, 0x8b, 0x08])],
  ['bzip2', Buffer.from('BZh')],
  ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
  ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
];
const LONGEST = 6;

export function detectCompression(head: Uint8Array): Compression {
  return MAGIC.find(([, magic]) => magic.equals(head.subarray(0, magic.length)))?.[0] ?? 'none';
}

/**
 * The stream's bytes without their compression. An error of either stream, and the destruction of either, ends both.
 * Waits for the first bytes.
 */
export async function decompress(input: Readable): Promise<Readable> {
  // An error that comes while nobody reads stays in the stream for whoever reads next; unheard it would end the process.
  input.on('error', () => {});
  const head = await peek(input, LONGEST);
  if (head.length < LONGEST) return Readable.from([head], { objectMode: false });
  switch (detectCompression(head)) {
    case 'none': return input;
    case 'gzip': return through(input, createGunzip());
    case 'zstd': return through(input, createZstdDecompress());
    case 'bzip2': return filterThrough(['bzip2', '-dc'], input);
    case 'xz': return filterThrough(['xz', '-dc'], input);
  }
}

function through(input: Readable, decoder: Duplex): Readable {
  // pipeline destroys the decoder with the input's errors; one that nobody hears yet is kept for the reader.
  decoder.on('error', () => {});
  pipeline(input, decoder, () => {});
  return decoder;
}

/** The first bytes of a stream. They stay in the stream; if there are fewer than asked for, it has ended and these are all. */
export async function peek(stream: Readable, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let have = 0;
  while (have < length) {
    if (stream.errored !== null) throw stream.errored;
    const chunk: unknown = stream.read();
    if (Buffer.isBuffer(chunk)) {
      chunks.push(chunk);
      have += chunk.length;
    } else if (stream.readableEnded || stream.destroyed) {
      break;
    } else {
      await readableOrEnd(stream);
    }
  }
  const head = Buffer.concat(chunks);
  if (have >= length) stream.unshift(head);
  return head;
}

async function readableOrEnd(stream: Readable): Promise<void> {
  const done = new AbortController();
  const { signal } = done;
  try {
    await Promise.race([
      once(stream, 'readable', { signal }),
      once(stream, 'end', { signal }),
      once(stream, 'close', { signal }),
    ]);
  } finally {
    done.abort();
  }
}
