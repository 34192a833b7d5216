/**
 * A container's log as a spool: whole lines from a place on, over rotations, compressed files and restarts of the daemon.
 * A file is known by its first line (whose time has nanoseconds), which neither renaming nor compressing changes. What was
 * rotated away before it was read is noticed and counted.
 */
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { constants, inflateRawSync } from 'node:zlib';
import { content, inodeOf, openLog } from '../files.ts';
import type { LogFile } from '../files.ts';

const NEWLINE = 0x0a;
/** Of lines given at once: bounds what is in memory for a target that hangs, and what is sent again after it broke off. */
const CHUNK_BYTES = 64 * 1024;
/** No line of a shim's is nearly as long; what is longer is no line. */
const MAX_LINE_BYTES = 1024 * 1024;
/** Of the first line, as much tells a file from others. */
const HEAD_BYTES = 4096;
const GZIP_HEADER = 10;

/** A place in a spool: so many bytes (unpacked) into the file that begins with a certain line. */
export interface SpoolPosition {
  readonly key: string;
  /** Tells files apart that begin alike. */
  readonly inode: string;
  readonly offset: number;
}

export interface SpoolChunk {
  /** Whole lines, each with its newline. */
  readonly lines: Buffer;
  /** Where they begin. */
  readonly from: SpoolPosition;
}

interface Listed {
  readonly file: LogFile;
  readonly key: string;
  /** Unpacked. */
  readonly bytes: number;
}

interface Current {
  readonly file: LogFile;
  /** How far it was read. */
  at: number;
  /** Empty until its first line is whole. */
  key: string;
  /** It was seen renamed: what it has now is all that it will have. */
  sealed: boolean;
  unpacked: { readonly chunks: AsyncGenerator<Buffer, void>; rest: Buffer } | undefined;
}

export class Spool implements AsyncDisposable {
  /** Times that something was rotated away unread, and at least so many bytes. */
  gaps = 0;
  lostBytes = 0;
  readonly #path: string;
  #start: SpoolPosition | undefined;
  #current: Current | undefined;
  /** The files after the present one when last looked at, in order: their bytes by key. */
  #younger = new Map<string, number>();
  /** The files before it when it was taken. */
  #older = new Set<string>();

  constructor(path: string, start: SpoolPosition | undefined) {
    this.#path = path;
    this.#start = start;
  }

  /** The next lines; undefined if there are none now. */
  async next(): Promise<SpoolChunk | undefined> {
    for (;;) {
      this.#current ??= await this.#locate();
      if (this.#current === undefined) return undefined;
      const chunk = await this.#read(this.#current);
      if (chunk !== undefined) return chunk;
      if (!(await this.#moveOn(this.#current))) return undefined;
    }
  }

  /** Reads on from another place. */
  async seek(position: SpoolPosition | undefined): Promise<void> {
    await this.#release();
    this.#start = position;
  }

  /** How many bytes there are after a place that was given out last, and takes note of the files that hold them. */
  async behind(position: SpoolPosition | undefined): Promise<number> {
    await using all = await openLog(this.#path);
    const files = await listed([...all.rotated, ...(all.present === undefined ? [] : [all.present])]);
    const current = this.#current === undefined ? -1 : indexOf(files, positionOf(this.#current));
    if (current >= 0) this.#note(files.slice(current + 1));
    const at = position === undefined ? -1 : indexOf(files, position);
    return position === undefined || at < 0 ? sum(files) : Math.max(0, (files[at]?.bytes ?? 0) - position.offset) + sum(files.slice(at + 1));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#release();
  }

  async #release(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    await current?.unpacked?.chunks.return();
    await current?.file.handle.close();
  }

  #note(younger: readonly Listed[]): void {
    this.#younger = new Map(younger.filter(({ key }) => key !== '').map(({ key, bytes }) => [key, bytes]));
  }

  /** The file to begin with. */
  async #locate(): Promise<Current | undefined> {
    await using all = await openLog(this.#path);
    const files = await listed([...all.rotated, ...(all.present === undefined ? [] : [all.present])]);
    if (files.length === 0) return undefined;
    const start = this.#start;
    const found = start === undefined ? 0 : indexOf(files, start);
    if (found < 0) this.gaps += 1;
    return await this.#take(files, Math.max(0, found), found >= 0 ? (start?.offset ?? 0) : 0);
  }

  /** True if there is a next file, which is then the present one. */
  async #moveOn(current: Current): Promise<boolean> {
    if (!current.file.compressed && !current.sealed) {
      const inode = await inodeOf(this.#path);
      if (inode === undefined || inode === current.file.stat.ino) return false;
      // Renamed since: what was written before that is read first.
      current.sealed = true;
      return true;
    }
    await using all = await openLog(this.#path);
    const files = await listed([...all.rotated, ...(all.present === undefined ? [] : [all.present])]);
    const found = indexOf(files, positionOf(current));
    if (found < 0) this.#countLoss(files);
    // One that is gone was followed by what is newer than all that was older than it.
    const at = found >= 0 ? found : files.findLastIndex(({ key }) => this.#older.has(key));
    if (at + 1 >= files.length) return false;
    const next = await this.#take(files, at + 1, 0);
    await this.#release();
    this.#current = next;
    return true;
  }

  /** The file that was read last is gone: so may others after it be. */
  #countLoss(files: readonly Listed[]): void {
    const there = new Set(files.map(({ key }) => key));
    const lost = [...this.#younger].filter(([key]) => !there.has(key));
    if (lost.length === 0 && (this.#younger.size > 0 || this.#current?.key === '')) return;
    this.gaps += 1;
    this.lostBytes += lost.reduce((total, [, bytes]) => total + bytes, 0);
  }

  /** Holds one of the files; all others are let go. */
  async #take(files: readonly Listed[], index: number, offset: number): Promise<Current> {
    const { file, key } = files[index] as Listed;
    this.#note(files.slice(index + 1));
    this.#older = new Set(files.slice(0, index).map((each) => each.key).filter((each) => each !== ''));
    return { file: { ...file, handle: await open(`/proc/self/fd/${file.handle.fd}`) }, at: offset, key, sealed: false, unpacked: undefined };
  }

  async #read(current: Current): Promise<SpoolChunk | undefined> {
    const lines = current.file.compressed ? await readUnpacked(current) : await readPlain(current);
    if (lines === undefined) return undefined;
    if (current.key === '') current.key = await keyOf(current.file);
    const from = positionOf(current);
    current.at += lines.length;
    return { lines, from };
  }
}

const positionOf = ({ key, file, at }: Current): SpoolPosition => ({ key, inode: String(file.stat.ino), offset: at });

const sum = (files: readonly Listed[]): number => files.reduce((total, { bytes }) => total + bytes, 0);

/** By the first line; files that begin alike, or are empty, by inode. −1: not there. */
function indexOf(files: readonly Listed[], { key, inode }: SpoolPosition): number {
  const exact = files.findIndex(({ file, key: other }) => other === key && String(file.stat.ino) === inode);
  return exact >= 0 || key === '' ? exact : files.findIndex((each) => each.key === key);
}

async function listed(files: readonly LogFile[]): Promise<Listed[]> {
  return Promise.all(files.map(async (file) => ({ file, key: await keyOf(file), bytes: file.compressed ? await unpackedBytes(file) : Number((await file.handle.stat()).size) })));
}

/** A digest of a file's first line; empty while that is not whole, or not to be had. */
async function keyOf(file: LogFile): Promise<string> {
  const head = file.compressed ? await unpackedHead(file) : await readAt(file.handle, 0, HEAD_BYTES);
  const newline = head.indexOf(NEWLINE);
  if (newline < 0 && head.length < HEAD_BYTES) return '';
  return createHash('sha256').update(head.subarray(0, newline < 0 ? HEAD_BYTES : newline)).digest('hex').slice(0, 32);
}

async function unpackedHead(file: LogFile): Promise<Buffer> {
  const packed = await readAt(file.handle, 0, 4 * HEAD_BYTES);
  try {
    return inflateRawSync(packed.subarray(gzipHeaderBytes(packed)), { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, HEAD_BYTES);
  } catch {
    // A damaged archive: it is nobody's continuation.
    return Buffer.alloc(0);
  }
}

/** With the name that gzip puts there. */
function gzipHeaderBytes(packed: Buffer): number {
  const named = ((packed[3] ?? 0) & 8) !== 0;
  return named ? packed.indexOf(0, GZIP_HEADER) + 1 : GZIP_HEADER;
}

/** An archive ends with the length of what is in it. */
async function unpackedBytes(file: LogFile): Promise<number> {
  const end = await readAt(file.handle, Math.max(0, Number(file.stat.size) - 4), 4);
  return end.length < 4 ? 0 : end.readUInt32LE(0);
}

async function readAt(handle: FileHandle, from: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes);
  let length = 0;
  while (length < bytes) {
    const { bytesRead } = await handle.read(buffer, length, bytes - length, from + length);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  return buffer.subarray(0, length);
}

/** Whole lines from where the file was read to; undefined if there is none. */
async function readPlain(current: Current): Promise<Buffer | undefined> {
  const { handle } = current.file;
  if (Number((await handle.stat()).size) < current.at) {
    // Somebody emptied it.
    current.at = 0;
    current.key = '';
  }
  for (let bytes = CHUNK_BYTES; ; bytes *= 4) {
    const block = await readAt(handle, current.at, bytes);
    const newline = block.lastIndexOf(NEWLINE);
    if (newline >= 0) return block.subarray(0, newline + 1);
    if (block.length < bytes) return undefined;
    if (bytes < MAX_LINE_BYTES) continue;
    current.at += block.length;
    return readPlain(current);
  }
}

/** The same of an archive, which can only be read from its beginning. */
async function readUnpacked(current: Current): Promise<Buffer | undefined> {
  current.unpacked ??= await unpackFrom(current.file, current.at);
  const { unpacked } = current;
  for (;;) {
    const { rest } = unpacked;
    const within = rest.lastIndexOf(NEWLINE, CHUNK_BYTES - 1);
    const newline = within >= 0 ? within : rest.indexOf(NEWLINE);
    if (newline >= 0) {
      unpacked.rest = rest.subarray(newline + 1);
      return rest.subarray(0, newline + 1);
    }
    const more = await unpacked.chunks.next();
    if (more.done === true) return undefined;
    unpacked.rest = Buffer.concat([rest.length > MAX_LINE_BYTES ? Buffer.alloc(0) : rest, more.value]);
  }
}

async function unpackFrom(file: LogFile, offset: number): Promise<NonNullable<Current['unpacked']>> {
  const chunks = content(file);
  let skip = offset;
  for (;;) {
    const next = await chunks.next();
    if (next.done === true) return { chunks, rest: Buffer.alloc(0) };
    if (next.value.length >= skip) return { chunks, rest: next.value.subarray(skip) };
    skip -= next.value.length;
  }
}
