/** Reads a shim's files. Whatever is wrong with one is a value: no file of one container's delays another's restore. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { ExitRecord, HealthProbe, Journal, Read, ShimStatus } from '../core/ports/shim.ts';
import { MAX_RECORD_BYTES } from './codec.ts';
import { parseExit } from './exit.ts';
import { parseJournal } from './journal.ts';
import { parseHealth, parseStatus } from './status.ts';

/** Far more than a status needs; a longer one is no status. */
const MAX_STATUS_BYTES = 16 * 1024;
/** A journal is rotated at 1 MiB; of a longer one the end is read. */
const MAX_JOURNAL_BYTES = 8 * 1024 * 1024;

export const readStatus = (dir: string): Promise<Read<ShimStatus>> => readRecord(join(dir, 'status'), parseStatus);
export const readHealth = (dir: string): Promise<Read<readonly HealthProbe[]>> => readRecord(join(dir, 'health'), parseHealth);
export const readExit = (path: string): Promise<Read<ExitRecord>> => readRecord(path, parseExit);

/** The same at once; undefined if it cannot be read. */
export function readStatusNow(dir: string): ShimStatus | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(join(dir, 'status'), constants.O_RDONLY | constants.O_NONBLOCK);
    if (!fstatSync(fd).isFile()) return undefined;
    const buffer = Buffer.allocUnsafe(MAX_STATUS_BYTES);
    const read = parseStatus(buffer.subarray(0, readSync(fd, buffer)));
    return read.kind === 'ok' ? read.value : undefined;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

async function readRecord<T>(path: string, parse: (bytes: Buffer) => Read<T>): Promise<Read<T>> {
  const bytes = await readEnd(path, MAX_RECORD_BYTES + 1);
  return Buffer.isBuffer(bytes) ? parse(bytes) : bytes;
}

/**
 * The present file is read before the rotated one: if the journal is rotated in between, entries are seen twice rather
 * than missed, and what is newer comes by `watch`.
 */
export async function readJournal(path: string, since: bigint): Promise<Journal> {
  const present = await readEnd(path, MAX_JOURNAL_BYTES);
  const rotated = await readEnd(`${path}.1`, MAX_JOURNAL_BYTES);
  const files = [rotated, present].filter((file) => Buffer.isBuffer(file));
  const journal = parseJournal(files, since);
  const unreadable = [rotated, present].filter((file) => !Buffer.isBuffer(file) && file.kind === 'problem');
  return { ...journal, damaged: journal.damaged + unreadable.length };
}

/** The last bytes of a regular file, at most `limit` of them. */
async function readEnd(path: string, limit: number): Promise<Buffer | Exclude<Read<never>, { kind: 'ok' }>> {
  try {
    // Not blocking: a FIFO in its place must not hang the reader.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = await file.stat();
    if (!stat.isFile()) return { kind: 'problem', problem: 'unreadable', message: `${path} is not a file` };
    const length = Math.min(stat.size, limit);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, stat.size - length);
    return buffer.subarray(0, bytesRead);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { kind: 'missing' };
    return { kind: 'problem', problem: 'unreadable', message: `cannot read ${path}: ${messageOf(error)}` };
  }
}
