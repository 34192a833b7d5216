/**
 * The text encodings of docs/shim-contract.md section 1: words, pairs and record files. What is read may come from
 * another version, a torn write or a hostile hand: decoding is strict and bounded and gives a typed problem.
 */
import type { Read } from '../core/ports/shim.ts';

export const MAJOR = 1;
export const MINOR = 0;
/** Whether a shim's contract (`1.0`) is of this daemon's major: all its minors are spoken. */
export const isSpoken = (contract: string): boolean => contract.split('.')[0] === String(MAJOR);
/** No record is anywhere near this long. */
export const MAX_RECORD_BYTES = 1024 * 1024;

/** Thrown inside the decoders only; `parseRecord` and the line parsers turn it into a value. */
export class DamagedError extends Error {}

const EMPTY = '%-';
// oxlint-disable-next-line no-control-regex -- these characters are what the encoding is about
const RESERVED = /[\x00-\x20\x7f%=]/g;
// oxlint-disable-next-line no-control-regex
const NOT_A_WORD = /[\x00-\x20\x7f=]/;

/** One word; bytes above 0x7f stand as they are. */
export function encodeWord(text: string): string {
  if (text === '') return EMPTY;
  return text.replace(RESERVED, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/** The inverse; bytes that are not UTF-8 become U+FFFD. Throws DamagedError. */
export function decodeWord(word: string): string {
  if (word === EMPTY) return '';
  if (word === '' || NOT_A_WORD.test(word)) throw new DamagedError('not a word');
  if (!word.includes('%')) return word;
  const bytes: Buffer[] = [];
  for (let at = 0; at < word.length; ) {
    const percent = word.indexOf('%', at);
    const plainEnd = percent === -1 ? word.length : percent;
    if (plainEnd > at) bytes.push(Buffer.from(word.slice(at, plainEnd)));
    if (percent === -1) break;
    const hex = word.slice(percent + 1, percent + 3);
    if (!/^[0-9A-F]{2}$/.test(hex)) throw new DamagedError('not an escape');
    bytes.push(Buffer.from(hex, 'hex'));
    at = percent + 3;
  }
  return Buffer.concat(bytes).toString('utf8');
}

export type PairValue = string | number | bigint | boolean;

const textOf = (value: PairValue): string => (typeof value === 'boolean' ? (value ? '1' : '0') : String(value));

/** ` key=word key=word`: each pair with the space before it, so that it can follow a verb. Undefined values are left out. */
export function encodePairs(pairs: Readonly<Record<string, PairValue | undefined>>): string {
  let line = '';
  for (const [key, value] of Object.entries(pairs)) {
    if (value !== undefined) line += ` ${key}=${encodeWord(textOf(value))}`;
  }
  return line;
}

/** The pairs of a line's words. Throws DamagedError. */
export function decodePairs(words: readonly string[]): Fields {
  const fields = new Fields();
  for (const pair of words) {
    const equals = pair.indexOf('=');
    if (equals < 1) throw new DamagedError('not a pair');
    fields.add(checkKey(pair.slice(0, equals)), [decodeWord(pair.slice(equals + 1))]);
  }
  return fields;
}

function checkKey(key: string): string {
  if (!/^[a-z0-9-]+$/.test(key)) throw new DamagedError('not a key');
  return key;
}

/** The fields of a record or the pairs of a line. A missing field has the default; a value of the wrong form throws DamagedError. */
export class Fields {
  readonly #fields = new Map<string, (readonly string[])[]>();

  add(key: string, words: readonly string[]): void {
    const list = this.#fields.get(key);
    if (list === undefined) this.#fields.set(key, [words]);
    else list.push(words);
  }

  /** Every occurrence of a key, each with its words. */
  all(key: string): readonly (readonly string[])[] {
    return this.#fields.get(key) ?? [];
  }

  text(key: string, fallback = ''): string {
    return this.all(key).at(-1)?.[0] ?? fallback;
  }

  bigint(key: string, fallback = 0n): bigint {
    const word = this.all(key).at(-1)?.[0];
    return word === undefined ? fallback : toBigint(word);
  }

  integer(key: string, fallback = 0): number {
    const word = this.all(key).at(-1)?.[0];
    return word === undefined ? fallback : toInteger(word);
  }

  boolean(key: string): boolean {
    const word = this.text(key, '0');
    if (word !== '0' && word !== '1') throw new DamagedError(`${key} is no boolean`);
    return word === '1';
  }

  oneOf<T extends string>(key: string, allowed: readonly T[], fallback: T): T {
    const word = this.text(key, fallback);
    const found = allowed.find((one) => one === word);
    if (found === undefined) throw new DamagedError(`${key} is ${JSON.stringify(word.slice(0, 40))}`);
    return found;
  }
}

/** A decimal 64-bit number. */
export function toBigint(word: string): bigint {
  if (!/^-?\d{1,19}$/.test(word)) throw new DamagedError('not a number');
  return BigInt(word);
}

export function toInteger(word: string): number {
  const value = Number(toBigint(word));
  if (!Number.isSafeInteger(value)) throw new DamagedError('number out of range');
  return value;
}

export type RecordLine = readonly [key: string, ...words: PairValue[]];

/** The text of a record file. */
export function encodeRecord(type: string, lines: Iterable<RecordLine>): string {
  let text = `moored-${type} ${MAJOR}.${MINOR}\n`;
  for (const [key, ...words] of lines) text += `${[checkKey(key), ...words.map((word) => encodeWord(textOf(word)))].join(' ')}\n`;
  return `${text}end\n`;
}

const HEADER = /^moored-([a-z]+) (\d{1,4})\.(\d{1,4})$/;

/**
 * Reads a record file of a type through `decode`. A newer major is said before anything else is judged; a file without
 * its last line is torn. After `end` only the padding of files written in place may follow.
 */
export function parseRecord<T>(type: string, bytes: Buffer, decode: (fields: Fields) => T): Read<T> {
  const problem = (kind: 'torn' | 'newer' | 'damaged', message: string): Read<T> => ({
    kind: 'problem',
    problem: kind,
    message: `${type} record: ${message}`,
  });
  if (bytes.length > MAX_RECORD_BYTES) return problem('damaged', 'too long');
  const lines = bytes.toString('utf8').split('\n');
  const header = HEADER.exec(lines[0] ?? '');
  if (header === null || header[1] !== type) return problem(lines.length === 1 ? 'torn' : 'damaged', 'not a record of this type');
  const major = Number(header[2]);
  if (major > MAJOR) return problem('newer', `version ${header[2]}.${header[3]} is newer than this daemon's ${MAJOR}.${MINOR}`);
  if (major < MAJOR) return problem('damaged', `version ${header[2]}.${header[3]} never existed`);
  const end = lines.indexOf('end', 1);
  // A last line without its newline may be the beginning of a longer word.
  if (end === -1 || end === lines.length - 1) return problem('torn', 'it has no end');
  if (lines.slice(end + 1).some((line) => /[^\0]/.test(line))) return problem('damaged', 'something follows its end');
  try {
    const fields = new Fields();
    for (const line of lines.slice(1, end)) {
      const [key = '', ...words] = line.split(' ');
      fields.add(checkKey(key), words.map(decodeWord));
    }
    return { kind: 'ok', value: decode(fields) };
  } catch (error) {
    if (error instanceof DamagedError) return problem('damaged', error.message);
    throw error;
  }
}
