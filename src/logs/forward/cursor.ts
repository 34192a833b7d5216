/**
 * How far a container's log was delivered, on disk beside it. Two slots of fixed size are written in turn and in place: a
 * write needs no room on a full disk, costs one system call, and one that a crash tears leaves the other slot. Which of
 * them counts says a number; whether it is whole, a checksum.
 */
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { crc32 } from 'node:zlib';
import { NO_PROGRESS } from './messages.ts';
import type { OpenLine, Progress } from './messages.ts';

const SLOT_BYTES = 2048;
const VERSION = 1;
const MAX_ERROR = 300;

/** What is kept. */
export interface Cursor {
  readonly progress: Progress;
  readonly gaps: number;
  readonly lostBytes: number;
  /** Why the target cannot be reached, or empty. */
  readonly error: string;
}

export const NEW_CURSOR: Cursor = { progress: NO_PROGRESS, gaps: 0, lostBytes: 0, error: '' };

export class CursorFile implements AsyncDisposable {
  readonly #handle: FileHandle;
  #sequence: number;

  private constructor(handle: FileHandle, sequence: number) {
    this.#handle = handle;
    this.#sequence = sequence;
  }

  /** Opens or makes it; what is in it that nobody can read counts as nothing, so that the log is sent from its beginning. */
  static async open(path: string): Promise<{ file: CursorFile; cursor: Cursor }> {
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, 0o600);
    try {
      const bytes = Buffer.alloc(2 * SLOT_BYTES, ' ');
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
      if (bytesRead < bytes.length) await handle.write(bytes, 0, bytes.length, 0);
      const newest = newestSlot(bytes);
      return { file: new CursorFile(handle, newest?.sequence ?? 0), cursor: newest?.cursor ?? NEW_CURSOR };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  async save(cursor: Cursor): Promise<void> {
    this.#sequence += 1;
    const slot = encodeSlot(this.#sequence, cursor);
    await this.#handle.write(slot, 0, slot.length, (this.#sequence % 2) * SLOT_BYTES);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/** The cursor in a file's bytes; undefined if there is none that can be read. */
export const decodeCursor = (bytes: Buffer): Cursor | undefined => newestSlot(bytes)?.cursor;

function newestSlot(bytes: Buffer): { sequence: number; cursor: Cursor } | undefined {
  const slots = [0, 1].flatMap((n) => decodeSlot(bytes.toString('utf8', n * SLOT_BYTES, (n + 1) * SLOT_BYTES)) ?? []);
  return slots.toSorted((a, b) => b.sequence - a.sequence)[0];
}

/** `CRC {"version":…}`, padded to the slot's size. */
function encodeSlot(sequence: number, cursor: Cursor): Buffer {
  const text = JSON.stringify({ version: VERSION, sequence, ...cursor, error: cursor.error.slice(0, MAX_ERROR) });
  const slot = Buffer.alloc(SLOT_BYTES, ' ');
  slot.write(`${crc32(text).toString(16).padStart(8, '0')} ${text}`);
  slot[SLOT_BYTES - 1] = 0x0a;
  return slot;
}

function decodeSlot(slot: string): { sequence: number; cursor: Cursor } | undefined {
  const text = slot.slice(9).trimEnd();
  if (!text.startsWith('{') || Number.parseInt(slot.slice(0, 8), 16) !== crc32(text)) return undefined;
  const value = parse(text);
  if (!isObject(value) || value['version'] !== VERSION || !isObject(value['progress'])) return undefined;
  const { position, ordinal, open: lines } = value['progress'];
  return {
    sequence: count(value['sequence']),
    cursor: {
      progress: { position: positionOf(position), ordinal: count(ordinal), open: isObject(lines) ? { ...openLine('stdout', lines['stdout']), ...openLine('stderr', lines['stderr']) } : {} },
      gaps: count(value['gaps']),
      lostBytes: count(value['lostBytes']),
      error: typeof value['error'] === 'string' ? value['error'] : '',
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function positionOf(value: unknown): Progress['position'] {
  if (!isObject(value) || typeof value['key'] !== 'string' || typeof value['inode'] !== 'string') return undefined;
  return { key: value['key'], inode: value['inode'], offset: count(value['offset']) };
}

function openLine(stream: 'stdout' | 'stderr', value: unknown): Partial<Record<'stdout' | 'stderr', OpenLine>> {
  return isObject(value) && typeof value['id'] === 'string' ? { [stream]: { id: value['id'], parts: count(value['parts']) } } : {};
}

const count = (value: unknown): number => (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0);
const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value);
