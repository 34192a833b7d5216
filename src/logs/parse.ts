/**
 * Docker's json-file lines, by hand: `{"log":"…","stream":"stdout","attrs":{…},"time":"…"}`, in this order and without
 * spaces, is what the shim writes (docs/shim-contract.md section 5). Any other JSON of the same meaning goes the slow way
 * through JSON.parse, and what that refuses is damaged. No message is copied more than once.
 */
import { parseRfc3339, rfc3339Fixed } from '../base/clock.ts';
import type { LogBatch } from '../core/ports/logs.ts';
import { BatchBuilder, STDERR, STDOUT, TIME_BYTES } from './batch.ts';
import type { Attrs } from './batch.ts';

const NEWLINE = 0x0a;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const DIGIT_0 = 0x30;
/** The shim cuts lines at 16 KiB; escaped and with attributes they stay far below. */
const MAX_LINE_BYTES = 1024 * 1024;

const SHORT_RUN = 24;

const PREFIX = Buffer.from('{"log":"');
const STREAM = Buffer.from('","stream":"std');
const OUT = Buffer.from('out",');
const ERR = Buffer.from('err",');
const ATTRS = Buffer.from('"attrs":');
const TIME = Buffer.from('"time":"');
/** `0` stands for any digit. */
const TIME_SHAPE = Buffer.from('0000-00-00T00:00:00.000000000Z');
const SUFFIX = Buffer.from('"}\n');

export interface LogFilter {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Inclusive, nanoseconds; 0n = unset. */
  readonly since: bigint;
  readonly until: bigint;
}

export class LogParser {
  /** Lines that could not be understood. */
  damaged = 0;
  /** A message later than `until` was met: nothing more is wanted. */
  finished = false;
  readonly #stdout: boolean;
  readonly #stderr: boolean;
  readonly #since: Buffer | undefined;
  readonly #until: Buffer | undefined;
  #carry: Buffer = Buffer.alloc(0);
  /** In a line that is too long, whose beginning is forgotten. */
  #skipping = false;
  /** In the present block. */
  #quote = -1;
  #backslash = -1;
  #attrsText: Buffer = Buffer.alloc(0);
  #attrs: Attrs | undefined;

  constructor(filter: LogFilter) {
    this.#stdout = filter.stdout;
    this.#stderr = filter.stderr;
    this.#since = bound(filter.since);
    this.#until = bound(filter.until);
  }

  /** The messages whose lines are complete with these bytes; keeps no reference to them. */
  feed(chunk: Buffer): LogBatch | undefined {
    const bytes = this.#skipping ? this.#skip(chunk) : chunk;
    const newline = bytes.lastIndexOf(NEWLINE);
    if (newline === -1) {
      this.#keep(Buffer.concat([this.#carry, bytes]));
      return undefined;
    }
    const whole = bytes.subarray(0, newline + 1);
    const block = this.#carry.length > 0 ? Buffer.concat([this.#carry, whole]) : whole;
    this.#keep(Buffer.from(bytes.subarray(newline + 1)));
    const builder = new BatchBuilder(block.length);
    this.#quote = -1;
    this.#backslash = -1;
    for (let start = 0; start < block.length && !this.finished; ) start = this.#line(block, start, builder);
    return builder.count === 0 ? undefined : builder.build();
  }

  /** Nothing follows in this file: an unfinished line never will be finished. */
  endFile(): void {
    if (this.#carry.length > 0) this.damaged++;
    this.#carry = Buffer.alloc(0);
    this.#skipping = false;
  }

  #keep(rest: Buffer): void {
    if (this.#skipping) return;
    this.#skipping = rest.length > MAX_LINE_BYTES;
    if (this.#skipping) this.damaged++;
    this.#carry = this.#skipping ? Buffer.alloc(0) : rest;
  }

  /** What follows the line that is too long. */
  #skip(chunk: Buffer): Buffer {
    const newline = chunk.indexOf(NEWLINE);
    if (newline !== -1) this.#skipping = false;
    return chunk.subarray(newline === -1 ? chunk.length : newline + 1);
  }

  /** Takes the line at `start`; where the next one begins. The block ends with a newline, at which every loop stops. */
  #line(block: Buffer, start: number, out: BatchBuilder): number {
    const next = this.#fast(block, start, out);
    if (next !== -1) return next;
    const newline = block.indexOf(NEWLINE, start);
    if (!this.#slow(block.subarray(start, newline), block.length - newline, out)) this.damaged++;
    return newline + 1;
  }

  /** The line in the shim's own form; −1 if it has another. */
  #fast(block: Buffer, start: number, out: BatchBuilder): number {
    if (!has(block, start, PREFIX)) return -1;
    const { data } = out;
    let at = start + PREFIX.length;
    let to = out.length;
    for (;;) {
      const byte = block[at] ?? NEWLINE;
      if (byte === QUOTE) break;
      if (byte < 0x20) return -1;
      if (byte !== BACKSLASH) {
        const end = this.#runEnd(block, at);
        // By hand what is too short for a call.
        if (end - at > SHORT_RUN) to += block.copy(data, to, at, end);
        else for (let i = at; i < end; i++) data[to++] = block[i] ?? 0;
        at = end;
        continue;
      }
      const simple = SIMPLE_ESCAPES[block[at + 1] ?? 0] ?? 0;
      if (simple !== 0) {
        data[to++] = simple;
        at += 2;
        continue;
      }
      const code = codePoint(block, at);
      if (code === -1) return -1;
      to = writeUtf8(data, to, code);
      at += code > 0xffff ? 12 : 6;
    }
    if (!has(block, at, STREAM)) return -1;
    at += STREAM.length;
    const isOut = has(block, at, OUT);
    if (!isOut && !has(block, at, ERR)) return -1;
    at += OUT.length;
    let attrs: Attrs | undefined;
    if (has(block, at, ATTRS)) {
      const end = objectEnd(block, at + ATTRS.length);
      if (end === -1 || block[end] !== COMMA) return -1;
      attrs = this.#parseAttrs(block.subarray(at + ATTRS.length, end));
      if (attrs === undefined) return -1;
      at = end + 1;
    }
    if (!has(block, at, TIME)) return -1;
    at += TIME.length;
    const time = out.count * TIME_BYTES;
    for (let i = 0; i < TIME_BYTES; i++) {
      const byte = block[at + i] ?? 0;
      const wanted = TIME_SHAPE[i];
      if (wanted === DIGIT_0 ? byte < DIGIT_0 || byte > 0x39 : byte !== wanted) return -1;
      out.times[time + i] = byte;
    }
    at += TIME_BYTES;
    if (!has(block, at, SUFFIX)) return -1;
    if (this.#wanted(isOut, out.times, time)) out.commit(to, isOut ? STDOUT : STDERR, attrs);
    return at + SUFFIX.length;
  }

  /**
   * Where the run of plain bytes at `at` ends. Where the next quote and the next backslash are is remembered: both only
   * move forward, so that a block is searched twice in all. A run may cross into the next line only when its own
   * line has no closing quote, and what follows that one is not `,"stream"`.
   */
  #runEnd(block: Buffer, at: number): number {
    if (this.#quote < at) this.#quote = next(block, QUOTE, at);
    if (this.#backslash < at) this.#backslash = next(block, BACKSLASH, at);
    return Math.min(this.#quote, this.#backslash, block.length - 1);
  }

  /** Any JSON object of the right meaning; false if it is none. `following` bytes of the block come after it. */
  #slow(line: Buffer, following: number, out: BatchBuilder): boolean {
    const entry = parseObject(line.toString('utf8'));
    if (entry === undefined) return false;
    const { log, stream, time, attrs } = entry;
    const ns = typeof time === 'string' ? parseRfc3339(time) : undefined;
    if (typeof log !== 'string' || ns === undefined || ns < 0n || (stream !== 'stdout' && stream !== 'stderr')) return false;
    const column = out.count * TIME_BYTES;
    out.times.write(rfc3339Fixed(ns), column, TIME_BYTES, 'latin1');
    if (!this.#wanted(stream === 'stdout', out.times, column)) return true;
    const bytes = Buffer.byteLength(log);
    out.reserve(bytes + following);
    out.data.write(log, out.length, bytes, 'utf8');
    out.commit(out.length + bytes, stream === 'stdout' ? STDOUT : STDERR, isAttrs(attrs) ? attrs : undefined);
    return true;
  }

  #wanted(isOut: boolean, times: Buffer, time: number): boolean {
    if (this.#until !== undefined && compareTime(times, time, this.#until) > 0) {
      this.finished = true;
      return false;
    }
    if (this.#since !== undefined && compareTime(times, time, this.#since) < 0) return false;
    return isOut ? this.#stdout : this.#stderr;
  }

  /** A container's lines all have the same attributes: they are parsed once. */
  #parseAttrs(text: Buffer): Attrs | undefined {
    if (!this.#attrsText.equals(text)) {
      const attrs = parseObject(text.toString('utf8'));
      this.#attrs = isAttrs(attrs) ? attrs : undefined;
      this.#attrsText = Buffer.from(text);
    }
    return this.#attrs;
  }
}

/** A time as it stands in a line: of this fixed form, later is greater byte by byte. */
function bound(ns: bigint): Buffer | undefined {
  if (ns <= 0n) return undefined;
  const last = 253_402_300_799_999_999_999n; // The end of the year 9999.
  return Buffer.from(rfc3339Fixed(ns > last ? last : ns));
}

function compareTime(times: Buffer, at: number, other: Buffer): number {
  for (let i = 0; i < TIME_BYTES; i++) {
    const difference = (times[at + i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Where a byte is found next; far away if it is not. */
function next(block: Buffer, byte: number, at: number): number {
  const found = block.indexOf(byte, at);
  return found === -1 ? block.length : found;
}

function has(block: Buffer, at: number, pattern: Buffer): boolean {
  for (let i = 0; i < pattern.length; i++) {
    if (block[at + i] !== pattern[i]) return false;
  }
  return true;
}

/** What follows a backslash → the byte it stands for; 0 for none. */
const SIMPLE_ESCAPES = new Uint8Array(256);
for (const [escape, byte] of Object.entries({ n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '"': '"', '\\': '\\', '/': '/' })) {
  SIMPLE_ESCAPES[escape.charCodeAt(0)] = byte.charCodeAt(0);
}

/** The code point of `\uXXXX`, or of a pair of them, at `at`; −1 if it is no such escape. Half a pair is U+FFFD. */
function codePoint(block: Buffer, at: number): number {
  const unit = utf16Unit(block, at);
  if (unit < 0xd800 || unit > 0xdfff) return unit;
  const low = unit < 0xdc00 ? utf16Unit(block, at + 6) : -1;
  return low >= 0xdc00 && low <= 0xdfff ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : 0xfffd;
}

function utf16Unit(block: Buffer, at: number): number {
  if (block[at] !== BACKSLASH || block[at + 1] !== 0x75) return -1;
  let unit = 0;
  for (let i = at + 2; i < at + 6; i++) {
    const byte = block[i] ?? 0;
    const digit = byte >= 0x30 && byte <= 0x39 ? byte - 0x30 : hexLetter(byte | 0x20);
    if (digit === -1) return -1;
    unit = unit * 16 + digit;
  }
  return unit;
}

const hexLetter = (lower: number): number => (lower >= 0x61 && lower <= 0x66 ? lower - 0x61 + 10 : -1);

function writeUtf8(data: Buffer, to: number, code: number): number {
  if (code < 0x80) {
    data[to] = code;
    return to + 1;
  }
  if (code < 0x800) {
    data[to] = 0xc0 | (code >> 6);
    data[to + 1] = 0x80 | (code & 0x3f);
    return to + 2;
  }
  if (code < 0x10000) {
    data[to] = 0xe0 | (code >> 12);
    data[to + 1] = 0x80 | ((code >> 6) & 0x3f);
    data[to + 2] = 0x80 | (code & 0x3f);
    return to + 3;
  }
  data[to] = 0xf0 | (code >> 18);
  data[to + 1] = 0x80 | ((code >> 12) & 0x3f);
  data[to + 2] = 0x80 | ((code >> 6) & 0x3f);
  data[to + 3] = 0x80 | (code & 0x3f);
  return to + 4;
}

/** The end of the flat JSON object at `at`; −1 if there is none in this line. */
function objectEnd(block: Buffer, at: number): number {
  if (block[at] !== 0x7b) return -1;
  let inString = false;
  for (let i = at + 1; ; i++) {
    const byte = block[i] ?? NEWLINE;
    if (byte === NEWLINE) return -1;
    if (byte === QUOTE) inString = !inString;
    else if (inString && byte === BACKSLASH) i++;
    else if (!inString && byte === 0x7d) return i + 1;
  }
}

function parseObject(text: string): { readonly [key: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isAttrs(value: unknown): value is Attrs {
  return typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'string');
}
