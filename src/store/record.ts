/**
 * Durable records: one JSON file each, replaced atomically. A record carries the schema version it was written with;
 * fields that this release does not know are kept. What cannot be parsed is quarantined beside itself, never deleted
 * (design law 6); what a newer major wrote is refused and left alone.
 */
import { constants, readFileSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';

/** Every record says which schema it follows. */
export interface Versioned {
  schema: number;
}

/** How reading went. `damaged` and `newer` leave the object listed with the reason (law 5). */
export type RecordRead<T> =
  | { kind: 'ok'; value: T }
  | { kind: 'missing' }
  | { kind: 'damaged'; reason: string; quarantined: string }
  /** `value`: what a newer release wrote, of which nothing is certain. */
  | { kind: 'newer'; schema: number; value: Readonly<Record<string, unknown>> };

export interface ReadOptions<T extends Versioned> {
  /** The newest schema this release knows. */
  schema: T['schema'];
  /** Throws with the reason if the value is not a whole record; brings older schemas up to date. */
  parse(value: Record<string, unknown>): T;
}

/**
 * Writes `path` anew: a temporary file beside it, then rename. With `durable` the file and its folder are synced, so
 * that the record also survives a power loss; against a killed daemon the rename alone is enough. Mode 0600.
 */
export async function writeRecord(path: string, value: Versioned, options: { durable?: boolean } = {}): Promise<void> {
  await writeFileAtomic(path, encodeRecord(value), { durable: options.durable ?? true, mode: 0o600 });
}

export async function writeFileAtomic(path: string, data: string | Uint8Array, options: { durable: boolean; mode: number }): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.new`);
  let file: FileHandle;
  try {
    file = await open(temporary, 'wx', options.mode);
  } catch (error) {
    // Left by a crash. Two writers of one record do not exist (law 2), so it is nobody's.
    if (errnoOf(error) !== 'EEXIST') throw error;
    await unlink(temporary);
    file = await open(temporary, 'wx', options.mode);
  }
  try {
    await file.writeFile(data);
    if (options.durable) await file.datasync();
  } catch (error) {
    await file.close();
    await rm(temporary, { force: true });
    throw error;
  }
  await file.close();
  await failpoint('store.rename');
  await rename(temporary, path);
  if (options.durable) await syncDirectory(dirname(path));
}

/** Removes what writes that a crash cut short have left in a folder. */
export async function removeTemporaries(folder: string): Promise<void> {
  const left = (await readdir(folder)).filter((name) => name.startsWith('.') && name.endsWith('.new'));
  await Promise.all(left.map((name) => rm(join(folder, name), { force: true })));
}

export async function readRecord<T extends Versioned>(path: string, options: ReadOptions<T>): Promise<RecordRead<T>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return { kind: 'missing' };
    throw error;
  }
  try {
    const value = decodeRecord(text);
    if (value['schema'] !== undefined && typeof value['schema'] === 'number' && value['schema'] > options.schema) {
      return { kind: 'newer', schema: value['schema'], value };
    }
    return { kind: 'ok', value: options.parse(value) };
  } catch (error) {
    return { kind: 'damaged', reason: messageOf(error), quarantined: await quarantine(path) };
  }
}

/**
 * The same at once, for many records in a row (reading in a thread of the pool costs ten times the reading); undefined
 * for one that is not plainly there and whole: `readRecord` tells what it is.
 */
export function readRecordNow<T extends Versioned>(path: string, options: ReadOptions<T>): T | undefined {
  try {
    const value = decodeRecord(readFileSync(path, 'utf8'));
    if (typeof value['schema'] === 'number' && value['schema'] > options.schema) return undefined;
    return options.parse(value);
  } catch {
    return undefined;
  }
}

/** Removes a record; a missing one is fine. */
export async function removeRecord(path: string, options: { durable?: boolean } = {}): Promise<void> {
  await rm(path, { force: true });
  if (options.durable ?? true) await syncDirectory(dirname(path));
}

/** Creates a folder durably: it and its name survive a power loss. Existing is fine. */
export async function makeDirectory(path: string, mode = 0o700): Promise<void> {
  if ((await mkdir(path, { recursive: true, mode })) !== undefined) await syncDirectory(dirname(path));
}

export async function syncFile(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY);
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

/** Moves a file that cannot be understood to `<name>.corrupt` (or `.corrupt.2`, …); the new path. */
export async function quarantine(path: string): Promise<string> {
  for (let n = 1; ; n += 1) {
    const target = n === 1 ? `${path}.corrupt` : `${path}.corrupt.${n}`;
    try {
      await (await open(target, 'wx', 0o600)).close();
    } catch (error) {
      if (errnoOf(error) === 'EEXIST' && n < 1000) continue;
      throw error;
    }
    await rename(path, target);
    return target;
  }
}

/**
 * JSON with bigints: `{"$n":"123"}`. A key that itself begins with `$` is written with one `$` more, so that no label or
 * option a user chose can be taken for one.
 */
export function encodeRecord(value: unknown): string {
  return `${JSON.stringify(escape(value), null, 1)}\n`;
}

export function decodeRecord(text: string): Record<string, unknown> {
  const value = unescape(JSON.parse(text));
  if (!isObject(value)) throw new Error('the record is not an object');
  return value;
}

function escape(value: unknown): unknown {
  if (typeof value === 'bigint') return { $n: value.toString() };
  if (Array.isArray(value)) return value.map(escape);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.startsWith('$') ? `$${key}` : key, escape(item)]));
}

/** What was just parsed is nobody else's: it is changed in place. */
function unescape(value: unknown): unknown {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) if (typeof item === 'object') value[index] = unescape(item);
    return value;
  }
  if (!isObject(value)) return value;
  if (typeof value['$n'] === 'string') return BigInt(value['$n']);
  let escaped = false;
  for (const [key, item] of Object.entries(value)) {
    escaped ||= key.startsWith('$$');
    if (typeof item === 'object' && item !== null) value[key] = unescape(item);
  }
  return escaped ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key.startsWith('$$') ? key.slice(1) : key, item])) : value;
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
