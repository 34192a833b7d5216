/**
 * How a layer's tar is put together again, byte for byte: everything of the archive that is not file content, and in
 * its midst references to the files (the idea of vbatts/tar-split). Compressed in frames, so that neither writing nor
 * reading needs much memory.
 *
 * File: magic line, then frames: compressed length, plain length (both u32 LE), deflate data. The plain bytes are
 * records: 0, u32 length, bytes | 1, u64 size, u32 length, path.
 */
import { readSync, writeSync } from 'node:fs';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { internal } from '../../base/errors.ts';
import { bytesOf } from '../../base/tar/header.ts';
import type { ByteString } from '../../base/tar/header.ts';

const MAGIC = Buffer.from('moored-split 1\n');
const FRAME = 1 << 20;
const LONGEST = 1 << 16;

const RAW = 0;
const FILE = 1;

export class SplitWriter {
  readonly #fd: number;
  readonly #frame = Buffer.alloc(FRAME);
  #used = 0;

  constructor(fd: number) {
    this.#fd = fd;
    writeAll(fd, MAGIC);
  }

  raw(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; at += LONGEST) {
      const piece = bytes.subarray(at, at + LONGEST);
      const head = this.#reserve(5 + piece.length);
      head.writeUInt8(RAW, 0);
      head.writeUInt32LE(piece.length, 1);
      head.set(piece, 5);
    }
  }

  file(path: ByteString, size: number): void {
    const name = bytesOf(path);
    const record = this.#reserve(13 + name.length);
    record.writeUInt8(FILE, 0);
    record.writeBigUInt64LE(BigInt(size), 1);
    record.writeUInt32LE(name.length, 9);
    record.set(name, 13);
  }

  finish(): void {
    this.#flush();
  }

  #reserve(length: number): Buffer {
    if (length > FRAME) throw internal('a path is too long');
    if (this.#used + length > FRAME) this.#flush();
    this.#used += length;
    return this.#frame.subarray(this.#used - length, this.#used);
  }

  #flush(): void {
    if (this.#used === 0) return;
    const packed = deflateRawSync(this.#frame.subarray(0, this.#used), { level: 3 });
    const head = Buffer.alloc(8);
    head.writeUInt32LE(packed.length, 0);
    head.writeUInt32LE(this.#used, 4);
    writeAll(this.#fd, head);
    writeAll(this.#fd, packed);
    this.#used = 0;
  }
}

export type SplitRecord = { kind: 'raw'; bytes: Buffer } | { kind: 'file'; path: ByteString; size: number };

export function* readSplit(fd: number): Generator<SplitRecord, void, undefined> {
  if (!readAll(fd, MAGIC.length)?.equals(MAGIC)) throw damaged();
  for (let head = readAll(fd, 8); head !== undefined; head = readAll(fd, 8)) {
    const plain = head.readUInt32LE(4);
    const packed = readAll(fd, head.readUInt32LE(0));
    if (packed === undefined || plain > FRAME) throw damaged();
    const frame = inflateRawSync(packed, { maxOutputLength: FRAME });
    if (frame.length !== plain) throw damaged();
    yield* recordsOf(frame);
  }
}

function* recordsOf(frame: Buffer): Generator<SplitRecord, void, undefined> {
  for (let at = 0; at < frame.length; ) {
    if (frame[at] === RAW) {
      const end = at + 5 + frame.readUInt32LE(at + 1);
      yield { kind: 'raw', bytes: frame.subarray(at + 5, end) };
      at = end;
    } else {
      const end = at + 13 + frame.readUInt32LE(at + 9);
      yield { kind: 'file', size: Number(frame.readBigUInt64LE(at + 1)), path: frame.toString('latin1', at + 13, end) };
      at = end;
    }
  }
}

const damaged = (): Error => internal("the layer's tar metadata is damaged");

export function writeAll(fd: number, bytes: Uint8Array, position: number | null = null): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(fd, bytes, at, bytes.length - at, position === null ? null : position + at);
}

/** Exactly `length` bytes, undefined at the end of the file. */
function readAll(fd: number, length: number): Buffer | undefined {
  if (length > 2 * FRAME) throw damaged();
  const buffer = Buffer.alloc(length);
  for (let at = 0; at < length; ) {
    const got = readSync(fd, buffer, at, length - at, null);
    if (got === 0 && at === 0) return undefined;
    if (got === 0) throw damaged();
    at += got;
  }
  return buffer;
}
