/** The messages in a chunk of a spool, and how far a forwarder has come after each. */
import { createHash } from 'node:crypto';
import { parseRfc3339 } from '../../base/clock.ts';
import type { LogMessage, PartialMessage } from '../../core/ports/logTargets.ts';
import type { SpoolChunk, SpoolPosition } from './spool.ts';

const NEWLINE = 0x0a;
/** The shim cuts a line at 16 KiB, but never within a character. */
const MIN_PART_BYTES = 16 * 1024 - 3;

/** A long line of which so many parts have been seen. */
export interface OpenLine {
  readonly id: string;
  readonly parts: number;
}

/** How far a forwarder has come. */
export interface Progress {
  /** After the last message; undefined: nothing yet. */
  readonly position: SpoolPosition | undefined;
  /** How many messages there were up to there. */
  readonly ordinal: number;
  readonly open: { readonly stdout?: OpenLine | undefined; readonly stderr?: OpenLine | undefined };
}

export const NO_PROGRESS: Progress = { position: undefined, ordinal: 0, open: {} };

export interface Pending {
  readonly messages: LogMessage[];
  /** After each of the messages. */
  readonly progress: Progress[];
  /** After the chunk, with lines at its end that were none. */
  readonly end: Progress;
}

/** Lines that are no messages are left out. `id`: the container's. */
export function messagesOf(id: string, { lines, from }: SpoolChunk, before: Progress): Pending {
  const messages: LogMessage[] = [];
  const progress: Progress[] = [];
  let now = before;
  for (let start = 0; start < lines.length; ) {
    const newline = lines.indexOf(NEWLINE, start);
    const entry = parse(lines.toString('utf8', start, newline));
    start = newline + 1;
    const position = { ...from, offset: from.offset + start };
    if (entry === undefined) {
      now = { ...now, position };
      continue;
    }
    const ordinal = now.ordinal + 1;
    const { partial, open } = partOf(entry, now.open[entry.stream], `${id} ${ordinal}`);
    messages.push({ stream: entry.stream, timeNs: entry.timeNs, text: entry.log.endsWith('\n') ? entry.log.slice(0, -1) : entry.log, ordinal, partial });
    now = { position, ordinal, open: open === now.open[entry.stream] ? now.open : { ...now.open, [entry.stream]: open } };
    progress.push(now);
  }
  return { messages, progress, end: now };
}

interface Entry {
  readonly log: string;
  readonly stream: 'stdout' | 'stderr';
  readonly timeNs: bigint;
}

function parse(line: string): Entry | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || !('log' in value) || !('stream' in value) || !('time' in value)) return undefined;
  const { log, stream, time } = value;
  const timeNs = typeof time === 'string' ? timeOf(time) : undefined;
  if (typeof log !== 'string' || timeNs === undefined || (stream !== 'stdout' && stream !== 'stderr')) return undefined;
  return { log, stream, timeNs };
}

let lastText = '';
let lastTime: bigint | undefined;

/** Lines that were read at once have the same time. */
function timeOf(text: string): bigint | undefined {
  if (text !== lastText) {
    lastText = text;
    lastTime = parseRfc3339(text);
  }
  return lastTime;
}

/** What part of a line a message is, and the line that is then open. */
function partOf({ log }: Entry, line: OpenLine | undefined, seed: string): { partial: PartialMessage | undefined; open: OpenLine | undefined } {
  const goesOn = !log.endsWith('\n') && Buffer.byteLength(log) >= MIN_PART_BYTES;
  if (!goesOn && line === undefined) return { partial: undefined, open: undefined };
  const { id, parts } = line ?? { id: createHash('sha256').update(seed).digest('hex'), parts: 0 };
  return { partial: { id, ordinal: parts + 1, last: !goesOn }, open: goesOn ? { id, parts: parts + 1 } : undefined };
}

