/**
 * Lines of Docker's json-file format to what `docker logs` sends, byte by byte. `{"log":"…","stream":"stdout","attrs":{…},"time":"…"}`,
 * in this order and without spaces, is what the shim writes (docs/shim-contract.md section 5): its message is copied once, from
 * the block that was read into the block that is sent, and nothing is made for a line. Any other JSON of the same meaning goes
 * the slow way through JSON.parse, and what that refuses is damaged. Places are searched in a Latin-1 text of the block, for
 * which V8 has faster means than for bytes; bytes are compared and copied four at a time.
 */
import { parseRfc3339, rfc3339Fixed } from '../base/clock.ts';
import type { LogAttrs, LogShape } from '../core/ports/logs.ts';

const NEWLINE = 0x0a;
const BACKSLASH = 0x5c;
/** The shim cuts lines at 16 KiB; escaped and with attributes they stay far below. */
const MAX_LINE_BYTES = 1024 * 1024;
/** RFC 3339 with nine digits. */
const TIME_BYTES = 30;
const HEADER_BYTES = 8;
/** What is longer is copied by a call, what is not by hand. */
const SHORT_RUN = 256;
/** Beyond what a block can need: by hand is copied in fours, and a message stands behind a header and a time. */
const SLACK_BYTES = 64;

/** Four bytes as they lie in memory. */
const word = (text: string): number => Buffer.from(text, 'latin1').readUInt32LE(0);

const PREFIX = '{"log":"';
const PREFIX_WORDS = [word('{"lo'), word('g":"')] as const;
const STREAM = '","stream":"std';
const STREAM_WORDS = [word('","s'), word('trea'), word('m":"'), word('"std')] as const;
const OUT = word('out"');
const ERR = word('err"');
const TIME = ',"time":"';
const TIME_WORDS = [word(',"ti'), word('me":'), word('e":"')] as const;
/** From the closing quote of a message to the end of its line, and a whole line. */
const SHORTEST_TAIL = `${STREAM}out","time":"`.length + TIME_BYTES + 3;
const SHORTEST_LINE = PREFIX.length + SHORTEST_TAIL;
const ATTRS = ',"attrs":{';
/** Within a string a quote is escaped: this is the end of the attributes. */
const ATTRS_END = '},"time":"';
/** Of four bytes of a time: what is looked at (of a digit the upper half), and what that must be. */
const mask = (text: string): number => word(text.replaceAll(/[^0]/g, '\u00ff').replaceAll('0', '\u00f0'));
interface Form {
  readonly mask: number;
  readonly value: number;
}

const form = (text: string): Form => ({ mask: mask(text), value: word(text) });
const YEAR = form('0000');
const MONTH = form('-00-');
const DAY = form('00T0');
const HOUR = form('0:00');
const SECOND = form(':00.');
const FRACTION = form('0000');
const END = form('000Z');
const LINE_END = word('Z"}\n');
const STDOUT = 1;
const STDERR = 2;

export interface LogFilter {
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** Inclusive, nanoseconds; 0n = unset. */
  readonly since: bigint;
  readonly until: bigint;
}

export class LogEncoder {
  /** Lines that could not be understood. */
  damaged = 0;
  /** A message later than `until` was met: nothing more is wanted. */
  finished = false;
  readonly #stdout: boolean;
  readonly #stderr: boolean;
  readonly #since: Buffer | undefined;
  readonly #until: Buffer | undefined;
  readonly #header: number;
  readonly #time: number;
  readonly #details: LogShape['details'];
  #carry: Buffer = Buffer.alloc(0);
  /** In a line that is too long, whose beginning is forgotten. */
  #skipping = false;
  /** Of the present block: what is sent of it, and how much of that is taken. */
  #out: Buffer = Buffer.alloc(0);
  #to = 0;

  constructor(filter: LogFilter, shape: LogShape) {
    this.#stdout = filter.stdout;
    this.#stderr = filter.stderr;
    this.#since = bound(filter.since);
    this.#until = bound(filter.until);
    this.#header = shape.framed ? HEADER_BYTES : 0;
    this.#time = shape.timestamps ? TIME_BYTES + 1 : 0;
    this.#details = shape.details;
  }

  /** What is sent for the lines that are complete with these bytes; keeps no reference to them. */
  feed(chunk: Buffer): Buffer | undefined {
    const bytes = this.#skipping ? this.#skip(chunk) : chunk;
    const newline = bytes.lastIndexOf(NEWLINE);
    if (newline === -1) {
      this.#keep(Buffer.concat([this.#carry, bytes]));
      return undefined;
    }
    const whole = bytes.subarray(0, newline + 1);
    const block = this.#carry.length > 0 ? Buffer.concat([this.#carry, whole]) : whole;
    this.#keep(Buffer.from(bytes.subarray(newline + 1)));
    // Of a line in the shim's form never more is sent than it has.
    this.#out = Buffer.allocUnsafeSlow(block.length + SLACK_BYTES);
    this.#to = 0;
    const text = block.toString('latin1');
    for (let at = 0; at < block.length && !this.finished; ) {
      if (this.#details === undefined) at = this.#fast(block, text, at);
      if (at >= block.length || this.finished) break;
      const end = text.indexOf('\n', at);
      if (!this.#slow(block.toString('utf8', at, end), block.length - end)) this.damaged++;
      at = end + 1;
    }
    const out = this.#out.subarray(0, this.#to);
    this.#out = Buffer.alloc(0);
    return out.length === 0 ? undefined : out;
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

  /**
   * Lines in the shim's own form, from `start` on; where the first one of another form begins. The block ends with a
   * newline, at which every search stops. A run of plain bytes may cross into the next line only when its own line has no
   * closing quote, and what follows that one is not `,"stream"`.
   */
  #fast(block: Buffer, text: string, start: number): number {
    const out = this.#out;
    const view = new DataView(block.buffer, block.byteOffset, block.length);
    const outView = new DataView(out.buffer, out.byteOffset, out.length);
    const header = this.#header;
    const begin = header + this.#time;
    /** No line in the shim's form begins behind this. */
    const last = block.length - SHORTEST_LINE;
    let quote = -1;
    let backslash = -1;
    let from = this.#to;
    let at = start;
    for (;;) {
      this.#to = from;
      if (at > last || view.getUint32(at, true) !== PREFIX_WORDS[0] || view.getUint32(at + 4, true) !== PREFIX_WORDS[1]) return at;
      let read = at + PREFIX.length;
      let to = from + begin;
      for (;;) {
        if (quote < read) quote = next(text, '"', read);
        if (backslash < read) backslash = next(text, '\\', read);
        const end = quote < backslash ? quote : backslash;
        // Behind a message comes as much as is read too far here.
        if (end + SHORTEST_TAIL > block.length) return at;
        if (end - read > SHORT_RUN) block.copy(out, to, read, end);
        else for (let i = 0, length = end - read; i < length; i += 4) outView.setUint32(to + i, view.getUint32(read + i, true), true);
        to += end - read;
        read = end;
        if (quote <= backslash) break;
        const simple = SIMPLE_ESCAPES[block[read + 1] ?? 0] ?? 0;
        if (simple !== 0) {
          out[to++] = simple;
          read += 2;
          continue;
        }
        const code = codePoint(block, read);
        if (code === -1) return at;
        to = writeUtf8(out, to, code);
        read += code > 0xffff ? 12 : 6;
      }
      if (read + SHORTEST_TAIL > block.length || !isStream(view, read)) return at;
      read += STREAM.length;
      const stream = view.getUint32(read, true);
      if (stream !== OUT && stream !== ERR) return at;
      read += 4;
      if (isTimeKey(view, read)) read += TIME.length;
      else {
        if (!text.startsWith(ATTRS, read)) return at;
        const end = text.indexOf(ATTRS_END, read + ATTRS.length - 1);
        if (end === -1 || !isOneLine(text, read, end)) return at;
        read = end + ATTRS_END.length;
      }
      if (read + TIME_BYTES + 3 > block.length || !isTime(view, read)) return at;
      if (this.#wanted(stream === OUT, block, read)) {
        if (header > 0) {
          outView.setUint32(from, stream === OUT ? STDOUT : STDERR, true);
          outView.setUint32(from + 4, to - from - header);
        }
        if (begin > header) {
          for (let i = 0; i < TIME_BYTES; i += 1) out[from + header + i] = block[read + i] ?? 0;
          out[from + header + TIME_BYTES] = 0x20;
        }
        from = to;
      }
      if (this.finished) return at;
      at = read + TIME_BYTES + 3;
    }
  }

  /** Any JSON object of the right meaning; false if it is none. `following` bytes of the block come after it. */
  #slow(line: string, following: number): boolean {
    const entry = parseObject(line);
    if (entry === undefined) return false;
    const { log, stream, time, attrs } = entry;
    const ns = typeof time === 'string' ? parseRfc3339(time) : undefined;
    if (typeof log !== 'string' || ns === undefined || ns < 0n || (stream !== 'stdout' && stream !== 'stderr')) return false;
    const stamp = Buffer.from(rfc3339Fixed(ns));
    if (!this.#wanted(stream === 'stdout', stamp, 0)) return true;
    const message = Buffer.from(`${this.#time > 0 ? `${stamp.toString()} ` : ''}${this.#details?.(isAttrs(attrs) ? attrs : undefined) ?? ''}${log}`);
    this.#reserve(this.#header + message.length + following);
    if (this.#header > 0) {
      this.#out.writeUInt32BE((stream === 'stdout' ? STDOUT : STDERR) * 0x0100_0000, this.#to);
      this.#out.writeUInt32BE(message.length, this.#to + 4);
    }
    this.#to += this.#header;
    this.#to += message.copy(this.#out, this.#to);
    return true;
  }

  /** Room for a message that became longer than its line, and for what follows it. */
  #reserve(bytes: number): void {
    if (this.#to + bytes <= this.#out.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * this.#out.length + bytes);
    this.#out.copy(larger, 0, 0, this.#to);
    this.#out = larger;
  }

  #wanted(isOut: boolean, bytes: Buffer, time: number): boolean {
    if (this.#until !== undefined && compareTime(bytes, time, this.#until) > 0) {
      this.finished = true;
      return false;
    }
    if (this.#since !== undefined && compareTime(bytes, time, this.#since) < 0) return false;
    return isOut ? this.#stdout : this.#stderr;
  }
}

/** A time as it stands in a line: of this fixed form, later is greater byte by byte. */
export function bound(ns: bigint): Buffer | undefined {
  if (ns <= 0n) return undefined;
  const last = 253_402_300_799_999_999_999n; // The end of the year 9999.
  return Buffer.from(rfc3339Fixed(ns > last ? last : ns));
}

export function compareTime(bytes: Buffer, at: number, other: Buffer): number {
  for (let i = 0; i < TIME_BYTES; i++) {
    const difference = (bytes[at + i] ?? 0) - (other[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** A time of nine digits, and the end of its line. */
function isTime(view: DataView, at: number): boolean {
  return (
    isForm(view, at, YEAR) && isForm(view, at + 4, MONTH) && isForm(view, at + 8, DAY) && isForm(view, at + 12, HOUR) && isForm(view, at + 16, SECOND) &&
    isForm(view, at + 20, FRACTION) && isForm(view, at + 24, FRACTION) && isForm(view, at + 26, END) && (view.getUint32(at + TIME_BYTES - 1, true) === LINE_END)
  );
}

const isForm = (view: DataView, at: number, form: Form): boolean => ((view.getUint32(at, true) & form.mask) >>> 0) === form.value;

const isStream = (view: DataView, at: number): boolean =>
  view.getUint32(at, true) === STREAM_WORDS[0] && view.getUint32(at + 4, true) === STREAM_WORDS[1] && view.getUint32(at + 8, true) === STREAM_WORDS[2] && view.getUint32(at + 11, true) === STREAM_WORDS[3];

const isTimeKey = (view: DataView, at: number): boolean =>
  view.getUint32(at, true) === TIME_WORDS[0] && view.getUint32(at + 4, true) === TIME_WORDS[1] && view.getUint32(at + 5, true) === TIME_WORDS[2];

/** Where something is found next; far away if it is not. */
function next(text: string, what: string, at: number): number {
  const found = text.indexOf(what, at);
  return found === -1 ? text.length : found;
}

function isOneLine(text: string, from: number, to: number): boolean {
  const newline = text.indexOf('\n', from);
  return newline === -1 || newline > to;
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

function parseObject(text: string): { readonly [key: string]: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

function isAttrs(value: unknown): value is LogAttrs {
  return typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'string');
}
