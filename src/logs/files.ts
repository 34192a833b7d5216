/**
 * The files of one log: the present one and, beside it, `.1`, `.2`, … (older; perhaps compressed: `.1.gz`). Rotation
 * renames them under the reader, so files are known by inode and all are held open while they are read.
 */
import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { crc32, createGunzip } from 'node:zlib';
import { errnoOf, internal } from '../base/errors.ts';

/** More rotated files than this are not looked for. */
const MAX_FILES = 10_000;
const MAX_ATTEMPTS = 50;
const ATTEMPT_PAUSE_MS = 5;
export const BLOCK_BYTES = 256 * 1024;

export interface LogFile {
  readonly handle: FileHandle;
  readonly compressed: boolean;
  /** As it was when the file was opened. */
  readonly stat: BigIntStats;
}

export interface OpenLog extends AsyncDisposable {
  /** The oldest first. */
  readonly rotated: readonly LogFile[];
  /** Absent if nothing has been logged yet. */
  readonly present: LogFile | undefined;
}

/**
 * Opens every file of a log as they were at one moment: if the log was rotated while they were opened, all is done
 * again. With `after`, only the files younger than that one.
 */
export async function openLog(path: string, after?: LogFile): Promise<OpenLog> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    if (attempt > 0) await sleep(ATTEMPT_PAUSE_MS);
    await using stack = new AsyncDisposableStack();
    const present = await openFile(path, false);
    if (present !== undefined) stack.defer(() => present.handle.close());
    const rotated: LogFile[] = [];
    for (let n = 1; n < MAX_FILES; n++) {
      const file = (await openFile(`${path}.${n}`, false)) ?? (await openFile(`${path}.${n}.gz`, true));
      if (file === undefined) break;
      stack.defer(() => file.handle.close());
      if (after !== undefined && (await isSame(file, after))) break;
      rotated.unshift(file);
    }
    // Between the renaming of the old file and the making of the new one there is none.
    if (present === undefined ? rotated.length > 0 : (await inodeOf(path)) !== present.stat.ino) continue;
    const held = stack.move();
    return { rotated, present, [Symbol.asyncDispose]: () => held.disposeAsync() };
  }
  throw internal(`log ${path} is rotated faster than it can be opened`);
}

/** The same file, perhaps compressed since: an archive ends with the checksum and the length of what is in it. */
async function isSame(file: LogFile, other: LogFile): Promise<boolean> {
  if (!file.compressed) return file.stat.ino === other.stat.ino;
  const { buffer, bytesRead } = await file.handle.read(Buffer.alloc(8), 0, 8, Math.max(0, Number(file.stat.size) - 8));
  const { size } = await other.handle.stat();
  if (bytesRead < 8 || buffer.readUInt32LE(4) !== size % 2 ** 32) return false;
  let checksum = 0;
  for await (const block of blocks(other, 0, size)) checksum = crc32(block, checksum);
  return buffer.readUInt32LE(0) === checksum;
}

async function openFile(path: string, compressed: boolean): Promise<LogFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  try {
    const stats = await handle.stat({ bigint: true });
    if (!stats.isFile()) throw internal(`log ${path} is not a file`);
    return { handle, compressed, stat: stats };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** The inode that has this path now. */
export async function inodeOf(path: string): Promise<bigint | undefined> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The bytes of a file from one place to another. A block is valid until the next one is asked for. */
export async function* blocks(file: LogFile, from: number, to: number): AsyncGenerator<Buffer, void> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, Math.max(to - from, 1)));
  for (let at = from; at < to; ) {
    const { bytesRead } = await file.handle.read(buffer, 0, Math.min(buffer.length, to - at), at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/** The whole content of a rotated file, unpacked. A damaged archive ends where it is damaged. */
export async function* content(file: LogFile): AsyncGenerator<Buffer, void> {
  if (!file.compressed) {
    yield* blocks(file, 0, Number(file.stat.size));
    return;
  }
  const gunzip = createGunzip({ chunkSize: BLOCK_BYTES });
  const source = Readable.from(packed(file));
  source.on('error', (error) => gunzip.destroy(error));
  source.pipe(gunzip);
  try {
    for await (const chunk of gunzip) if (Buffer.isBuffer(chunk)) yield chunk;
  } catch (error) {
    if (errnoOf(error)?.startsWith('Z_') !== true) throw error;
  } finally {
    source.destroy();
    gunzip.destroy();
  }
}

/** Blocks that stay valid. */
async function* packed(file: LogFile): AsyncGenerator<Buffer, void> {
  for await (const block of blocks(file, 0, Number(file.stat.size))) yield Buffer.from(block);
}
