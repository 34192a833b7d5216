/**
 * JSON as text, read the way Go's encoding/json reads it: the same leniency, the same error texts (clients and users see
 * them), numbers kept as they were written (an int64 does not fit into a double), objects as maps (a key may be
 * `__proto__`), nesting bounded.
 */

/** A number as it was written. */
export class JsonNumber {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  /** The value as an integer, or undefined if it has a fraction or an exponent, or is absurdly long. */
  toBigInt(): bigint | undefined {
    return /^-?\d{1,40}$/.test(this.text) ? BigInt(this.text) : undefined;
  }

  toNumber(): number {
    return Number(this.text);
  }
}

export type JsonObject = Map<string, JsonValue>;
export type JsonValue = null | boolean | string | JsonNumber | JsonValue[] | JsonObject;

/** Text that is no JSON. `offset` counts UTF-16 units. */
export class JsonSyntaxError extends Error {
  /** The text ended too early. */
  readonly atEnd: boolean;
  readonly offset: number;

  constructor(message: string, offset: number, atEnd = false) {
    super(message);
    this.name = 'JsonSyntaxError';
    this.offset = offset;
    this.atEnd = atEnd;
  }
}

const MAX_DEPTH = 1000;

/** The whole text is one value; throws JsonSyntaxError with the words of Go's json.Unmarshal. */
export function parseJson(text: string): JsonValue {
  const { value, rest } = parseJsonPrefix(text);
  if (rest < text.length) throw unexpected(text, rest, 'after top-level value');
  return value;
}

/** The first value of a text, and where what follows it and its white space begins (Go's json.Decoder). */
export function parseJsonPrefix(text: string): { value: JsonValue; rest: number } {
  const parser = new Parser(text);
  const value = parser.value(0);
  parser.space();
  return { value, rest: parser.offset };
}

/** The value as JavaScript has it. Integers beyond 2^53 become bigints; objects have no prototype. */
export function plain(value: JsonValue): unknown {
  if (value instanceof JsonNumber) {
    const integer = value.toBigInt();
    return integer !== undefined && !Number.isSafeInteger(Number(integer)) ? integer : value.toNumber();
  }
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) {
    const object = dictionary<unknown>();
    for (const [key, member] of value) object[key] = plain(member);
    return object;
  }
  return value;
}

/** `JSON.stringify` that writes bigints as numbers, all their digits kept. Undefined members are left out. */
export function stringify(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) => (typeof member === 'bigint' ? rawInteger(member) : member));
}

/** What `JSON.stringify` writes as this integer. */
export const rawInteger = (value: bigint): unknown => rawJson(value.toString());

// TypeScript's library does not know JSON.rawJSON yet.
const rawJson = (text: string): unknown => (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);

/** An object to be filled with keys from outside: without a prototype, so that `__proto__` is a key like any other. */
export const dictionary = <T>(): Record<string, T> => Object.create(null) as Record<string, T>;

const SPACE = /[ \t\r\n]*/y;
// eslint-disable-next-line no-control-regex -- control characters are what JSON strings must not have
const PLAIN_CHARACTERS = /[^"\\\u0000-\u001f]*/y;
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t',
};

class Parser {
  offset = 0;
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  space(): void {
    this.#skip(SPACE);
  }

  value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) throw new JsonSyntaxError('exceeded max depth', this.offset);
    this.space();
    const first = this.#peek();
    switch (first) {
      case '{': return this.#object(depth);
      case '[': return this.#array(depth);
      case '"': return this.#string();
      case 't': return this.#literal('true', true);
      case 'f': return this.#literal('false', false);
      case 'n': return this.#literal('null', null);
      default:
        if (first === '-' || isDigit(first)) return this.#number();
        throw this.#unexpected('looking for beginning of value');
    }
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = new Map();
    this.offset += 1;
    this.space();
    if (this.#take('}')) return object;
    for (;;) {
      this.space();
      if (this.#peek() !== '"') throw this.#unexpected('looking for beginning of object key string');
      const key = this.#string();
      this.space();
      if (!this.#take(':')) throw this.#unexpected('after object key');
      object.set(key, this.value(depth + 1));
      this.space();
      if (this.#take('}')) return object;
      if (!this.#take(',')) throw this.#unexpected('after object key:value pair');
    }
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = [];
    this.offset += 1;
    this.space();
    if (this.#take(']')) return array;
    for (;;) {
      array.push(this.value(depth + 1));
      this.space();
      if (this.#take(']')) return array;
      if (!this.#take(',')) throw this.#unexpected('after array element');
    }
  }

  #string(): string {
    this.offset += 1;
    let result = '';
    for (;;) {
      const start = this.offset;
      this.#skip(PLAIN_CHARACTERS);
      result += this.#text.slice(start, this.offset);
      if (this.#take('"')) return result.toWellFormed();
      if (!this.#take('\\')) throw this.#unexpected('in string literal');
      result += this.#escape();
    }
  }

  #escape(): string {
    const simple = ESCAPES[this.#peek()];
    if (simple !== undefined) {
      this.offset += 1;
      return simple;
    }
    if (!this.#take('u')) throw this.#unexpected('in string escape code');
    const start = this.offset;
    for (let i = 0; i < 4; i += 1) {
      if (!/^[\da-fA-F]$/.test(this.#peek())) throw this.#unexpected('in \\u hexadecimal character escape');
      this.offset += 1;
    }
    return String.fromCharCode(Number.parseInt(this.#text.slice(start, this.offset), 16));
  }

  #number(): JsonNumber {
    const start = this.offset;
    this.#take('-');
    if (!this.#take('0')) this.#digits('in numeric literal');
    if (this.#take('.')) this.#digits('after decimal point in numeric literal');
    if (this.#take('e') || this.#take('E')) {
      if (!this.#take('+')) this.#take('-');
      this.#digits('in exponent of numeric literal');
    }
    return new JsonNumber(this.#text.slice(start, this.offset));
  }

  #digits(context: string): void {
    if (!isDigit(this.#peek())) throw this.#unexpected(context);
    while (isDigit(this.#peek())) this.offset += 1;
  }

  #literal<T>(word: string, value: T): T {
    for (const expected of word) {
      if (!this.#take(expected)) throw this.#unexpected(`in literal ${word} (expecting '${expected}')`);
    }
    return value;
  }

  #peek(): string {
    return this.#text[this.offset] ?? '';
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.offset += 1;
    return true;
  }

  #skip(pattern: RegExp): void {
    pattern.lastIndex = this.offset;
    pattern.exec(this.#text);
    this.offset = pattern.lastIndex;
  }

  #unexpected(context: string): JsonSyntaxError {
    return unexpected(this.#text, this.offset, context);
  }
}

const isDigit = (character: string): boolean => character >= '0' && character <= '9' && character.length === 1;

function unexpected(text: string, offset: number, context: string): JsonSyntaxError {
  const codePoint = text.codePointAt(offset);
  if (codePoint === undefined) return new JsonSyntaxError('unexpected end of JSON input', offset, true);
  return new JsonSyntaxError(`invalid character ${quote(codePoint)} ${context}`, offset);
}

/** Go's scanner works on bytes: of a character beyond ASCII it names the first one. */
function quote(codePoint: number): string {
  const byte = Buffer.from(String.fromCodePoint(codePoint))[0] ?? 0;
  const character = String.fromCharCode(byte);
  if (character === "'") return "'\\''";
  if (character === '"') return `'"'`;
  if (byte < 0x20 || (byte >= 0x7f && byte < 0xa1) || byte === 0xad) return `'${escapeByte(byte)}'`;
  return character === '\\' ? "'\\\\'" : `'${character}'`;
}

const NAMED_CONTROLS: Readonly<Record<number, string>> = { 7: 'a', 8: 'b', 9: 't', 10: 'n', 11: 'v', 12: 'f', 13: 'r' };

function escapeByte(byte: number): string {
  const hex = byte.toString(16);
  const named = NAMED_CONTROLS[byte];
  if (named !== undefined) return `\\${named}`;
  return byte < 0x80 ? `\\x${hex.padStart(2, '0')}` : `\\u00${hex}`;
}
