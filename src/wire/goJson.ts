/**
 * The Docker API's JSON as Go reads and writes it. A codec says both directions at once, and the type follows from it:
 *
 *     const Port = struct('container.Port', { private: field('PrivatePort', uint16), ip: optional('IP', string) });
 *     type Port = Infer<typeof Port>;              // { readonly private: number; readonly ip: string | undefined }
 *     const port = decode(Port, parseJson(text));  // throws JsonDecodeError in Go's words
 *     const text = encodeJson(Port, port);
 *
 * Reading is lenient as encoding/json is: keys match without regard to case, unknown keys are ignored, null and absence
 * are the zero value. Writing keeps the order of the fields and all digits of an int64.
 */
import { dictionary, JsonNumber, JsonSyntaxError, parseJsonPrefix, plain, rawInteger, stringify } from '../base/json.ts';
import type { JsonValue } from '../base/json.ts';
import { parseRfc3339, rfc3339Nano } from '../base/clock.ts';
import { invalid } from '../base/errors.ts';

/** Where in a document the decoder stands: the innermost struct's name and the keys from the root. */
export interface Place {
  readonly struct: string;
  readonly path: string;
}

/** Both directions of one type. Methods never see null: a reader of null gets `zero()`. */
export interface Codec<T> {
  /** Go's name of the type, for error texts. */
  readonly goType: string;
  zero(): T;
  decode(value: Exclude<JsonValue, null>, place: Place): T;
  /** What `JSON.stringify` is to write. */
  encode(value: T): unknown;
  /** Whether `omitempty` leaves the value out. */
  isEmpty(value: T): boolean;
}

/** The TypeScript type of a codec's values. */
export type Infer<C> = C extends Codec<infer T> ? T : never;

/** A well-formed document with a value that its reader can't take. */
export class JsonDecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'JsonDecodeError';
  }
}

/** A value of another type than the field's; its text is Go's. */
export class JsonTypeError extends JsonDecodeError {
  constructor(found: string, goType: string, place: Place) {
    const target = place.path === '' ? 'Go value' : `Go struct field ${place.struct}.${place.path}`;
    super(`json: cannot unmarshal ${found} into ${target} of type ${goType}`);
  }
}

const ROOT: Place = { struct: '', path: '' };

/** The value that a document holds; throws JsonDecodeError. */
export const decode = <T>(codec: Codec<T>, value: JsonValue, place: Place = ROOT): T =>
  value === null ? codec.zero() : codec.decode(value, place);

/**
 * A request body: one JSON value and nothing behind it. Throws `invalid` with Docker's texts (400). An empty body is an
 * error here; where Docker takes one, the caller does not call.
 */
export function decodeBody<T>(codec: Codec<T>, text: string): T {
  let parsed: { value: JsonValue; rest: number };
  if (text.trim() === '') throw invalid('invalid JSON: got EOF while reading request body');
  try {
    parsed = parseJsonPrefix(text);
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw invalid(`invalid JSON: ${error.atEnd ? 'unexpected EOF' : error.message}`, error);
  }
  // Go looks whether there is another value before it complains about what follows this one.
  const decoded = decodeOr400(codec, parsed.value);
  if (parsed.rest < text.length && !/[\]}]/.test(text.charAt(parsed.rest))) throw invalid('unexpected content after JSON');
  return decoded;
}

function decodeOr400<T>(codec: Codec<T>, value: JsonValue): T {
  try {
    return decode(codec, value);
  } catch (error) {
    if (error instanceof JsonDecodeError) throw invalid(`invalid JSON: ${error.message}`, error);
    throw error;
  }
}

/** The value as JSON text. */
export const encodeJson = <T>(codec: Codec<T>, value: T): string => JSON.stringify(codec.encode(value));

export { stringify };

// ---- scalars

/** What a reader is told about a value of the wrong type. */
function kindOf(value: Exclude<JsonValue, null>): string {
  if (Array.isArray(value)) return 'array';
  if (value instanceof Map) return 'object';
  if (value instanceof JsonNumber) return 'number';
  return typeof value === 'boolean' ? 'bool' : 'string';
}

const wrongType = (value: Exclude<JsonValue, null>, goType: string, place: Place) =>
  new JsonTypeError(kindOf(value), goType, place);

export const string: Codec<string> = {
  goType: 'string',
  zero: () => '',
  decode(value, place) {
    if (typeof value !== 'string') throw wrongType(value, 'string', place);
    return value;
  },
  encode: (value) => value,
  isEmpty: (value) => value === '',
};

export const bool: Codec<boolean> = {
  goType: 'bool',
  zero: () => false,
  decode(value, place) {
    if (typeof value !== 'boolean') throw wrongType(value, 'bool', place);
    return value;
  },
  encode: (value) => value,
  isEmpty: (value) => !value,
};

interface IntegerRange {
  readonly goType: string;
  readonly min: bigint;
  readonly max: bigint;
}

function decodeInteger(value: Exclude<JsonValue, null>, range: IntegerRange, place: Place): bigint {
  if (!(value instanceof JsonNumber)) throw wrongType(value, range.goType, place);
  const integer = value.toBigInt();
  if (integer === undefined || integer < range.min || integer > range.max) {
    throw new JsonTypeError(`number ${value.text}`, range.goType, place);
  }
  return integer;
}

/** An integer as a JavaScript number. Values of 64-bit types that a number cannot hold are refused. */
function integer(range: IntegerRange): Codec<number> {
  const safe = (value: bigint): boolean => Number.isSafeInteger(Number(value));
  return {
    goType: range.goType,
    zero: () => 0,
    decode(value, place) {
      const decoded = decodeInteger(value, range, place);
      if (!safe(decoded)) throw new JsonTypeError(`number ${decoded}`, range.goType, place);
      return Number(decoded);
    },
    encode: (value) => value,
    isEmpty: (value) => value === 0,
  };
}

/** An integer as a bigint: nanoseconds, counters. */
function bigInteger(range: IntegerRange): Codec<bigint> {
  return {
    goType: range.goType,
    zero: () => 0n,
    decode: (value, place) => decodeInteger(value, range, place),
    encode: rawInteger,
    isEmpty: (value) => value === 0n,
  };
}

const signed = (goType: string, bits: bigint): IntegerRange => ({
  goType,
  min: -(2n ** (bits - 1n)),
  max: 2n ** (bits - 1n) - 1n,
});
const unsigned = (goType: string, bits: bigint): IntegerRange => ({ goType, min: 0n, max: 2n ** bits - 1n });

export const int = integer(signed('int', 64n));
export const int64 = integer(signed('int64', 64n));
export const uint64 = integer(unsigned('uint64', 64n));
export const int32 = integer(signed('int32', 32n));
export const uint8 = integer(unsigned('uint8', 8n));
export const uint16 = integer(unsigned('uint16', 16n));
export const uint32 = integer(unsigned('uint32', 32n));
export const bigInt64 = bigInteger(signed('int64', 64n));
export const bigUint64 = bigInteger(unsigned('uint64', 64n));
/** Go's time.Duration: nanoseconds. */
export const duration = bigInteger(signed('time.Duration', 64n));

export const float64: Codec<number> = {
  goType: 'float64',
  zero: () => 0,
  decode(value, place) {
    if (!(value instanceof JsonNumber)) throw wrongType(value, 'float64', place);
    const number = value.toNumber();
    if (!Number.isFinite(number)) throw new JsonTypeError(`number ${value.text}`, 'float64', place);
    return number;
  },
  encode: (value) => value,
  isEmpty: (value) => value === 0,
};

/** RFC 3339 text as nanoseconds since the epoch; Docker's zero time is 0n. */
export const time: Codec<bigint> = {
  goType: 'time.Time',
  zero: () => 0n,
  decode(value, place) {
    if (typeof value !== 'string') throw wrongType(value, 'time.Time', place);
    const ns = parseRfc3339(value);
    if (ns === undefined) throw new JsonDecodeError(`parsing time ${JSON.stringify(value)}: cannot parse as RFC 3339`);
    return ns;
  },
  encode: rfc3339Nano,
  isEmpty: () => false,
};

/** Anything, as JavaScript has it (`any` in Go). */
export const anything: Codec<unknown> = {
  goType: 'interface {}',
  zero: () => null,
  decode: plain,
  encode: (value) => withRawIntegers(value),
  isEmpty: (value) => value === null || value === undefined,
};

/** `plain` gives bigints for integers beyond 2^53; they are written as they were read. */
function withRawIntegers(value: unknown): unknown {
  if (typeof value === 'bigint') return rawInteger(value);
  if (Array.isArray(value)) return value.map(withRawIntegers);
  if (typeof value !== 'object' || value === null) return value;
  const object = dictionary<unknown>();
  for (const [key, member] of Object.entries(value)) object[key] = withRawIntegers(member);
  return object;
}

// ---- composites

/** A slice that is never nil: null and absence are `[]`, and `[]` is written. */
export function array<T>(item: Codec<T>): Codec<readonly T[]> {
  const goType = `[]${item.goType}`;
  return {
    goType,
    zero: () => [],
    decode(value, place) {
      if (!Array.isArray(value)) throw wrongType(value, goType, place);
      return value.map((member) => decode(item, member, place));
    },
    encode: (value) => value.map((member) => item.encode(member)),
    isEmpty: (value) => value.length === 0,
  };
}

/** A map with string keys that is never nil. It has no prototype; keys are written sorted, as Go does. */
export function map<T>(item: Codec<T>): Codec<Readonly<Record<string, T>>> {
  const goType = `map[string]${item.goType}`;
  return {
    goType,
    zero: () => dictionary<T>(),
    decode(value, place) {
      if (!(value instanceof Map)) throw wrongType(value, goType, place);
      const record = dictionary<T>();
      for (const [key, member] of value) record[key] = decode(item, member, place);
      return record;
    },
    encode(value) {
      const record = dictionary<unknown>();
      for (const key of Object.keys(value).toSorted(byBytes)) {
        const member = value[key];
        if (member !== undefined) record[key] = item.encode(member);
      }
      return record;
    },
    isEmpty: (value) => Object.keys(value).length === 0,
  };
}

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** A set of names, Go's `map[string]struct{}` (exposed ports, volumes). */
export const stringSet: Codec<ReadonlySet<string>> = {
  goType: 'map[string]struct {}',
  zero: () => new Set(),
  decode(value, place) {
    if (!(value instanceof Map)) throw wrongType(value, 'map[string]struct {}', place);
    return new Set(value.keys());
  },
  encode: (value) => Object.fromEntries([...value].toSorted(byBytes).map((key) => [key, {}])),
  isEmpty: (value) => value.size === 0,
};

/** A pointer, or a slice or map for which nil and empty differ: null and absence are null, and null is written. */
export function nullable<T>(codec: Codec<T>): Codec<T | null> {
  return {
    goType: codec.goType,
    zero: () => null,
    decode: (value, place) => codec.decode(value, place),
    encode: (value) => (value === null ? null : codec.encode(value)),
    isEmpty: (value) => value === null || codec.isEmpty(value),
  };
}

/** A string or a list of strings, always read as a list; nil stays null (Go's StrSlice: Cmd, Entrypoint). */
export const stringOrStrings: Codec<readonly string[] | null> = {
  ...nullable(array(string)),
  decode: (value, place) => (typeof value === 'string' ? [value] : array(string).decode(value, place)),
};

/** A codec seen through another type, e.g. a union behind a string. `from` may throw `invalid`. */
export function mapped<A, B>(codec: Codec<A>, views: { readonly from: (value: A) => B; readonly to: (value: B) => A }): Codec<B> {
  return {
    goType: codec.goType,
    zero: () => views.from(codec.zero()),
    decode: (value, place) => views.from(codec.decode(value, place)),
    encode: (value) => codec.encode(views.to(value)),
    isEmpty: (value) => codec.isEmpty(views.to(value)),
  };
}

// ---- structs

export interface Field<T> {
  readonly key: string;
  readonly codec: Codec<T>;
  /** Left out of the output when empty, as Go's `omitempty`. */
  readonly omitEmpty: boolean;
}

/** A field that is always written. */
export const field = <T>(key: string, codec: Codec<T>): Field<T> => ({ key, codec, omitEmpty: false });

/** A field that is not written when it has its zero value. */
export const omitEmpty = <T>(key: string, codec: Codec<T>): Field<T> => ({ key, codec, omitEmpty: true });

/** A pointer with omitempty: null and absence are undefined, and undefined is not written. */
export const optional = <T>(key: string, codec: Codec<T>): Field<T | undefined> => ({
  key,
  omitEmpty: true,
  codec: {
    goType: codec.goType,
    zero: () => undefined,
    decode: (value, place) => codec.decode(value, place),
    encode: (value) => (value === undefined ? undefined : codec.encode(value)),
    isEmpty: (value) => value === undefined,
  },
});

export type Fields = Readonly<Record<string, Field<unknown>>>;
export type StructOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

export interface StructCodec<F extends Fields> extends Codec<StructOf<F>> {
  /** To be spread into another struct: Go's embedding. */
  readonly fields: F;
}

/** An object with known keys. The name is Go's, with its package (`container.HostConfig`); error texts show it. */
export function struct<F extends Fields>(goType: string, fields: F): StructCodec<F> {
  const name = goType.slice(goType.lastIndexOf('.') + 1);
  const entries = Object.entries(fields);
  const exact = new Map(entries.map(([property, { key }]) => [key, property]));
  const folded = new Map(entries.toReversed().map(([property, { key }]) => [key.toLowerCase(), property]));

  const zero = (): Record<string, unknown> => {
    const result: Record<string, unknown> = {};
    for (const [property, { codec }] of entries) result[property] = codec.zero();
    return result;
  };
  // The one place where values built key by key become the type that the keys describe.
  const typed = (values: Record<string, unknown>) => values as StructOf<F>;

  return {
    goType,
    fields,
    zero: () => typed(zero()),
    decode(value, place) {
      if (!(value instanceof Map)) throw wrongType(value, goType, place);
      const result = zero();
      for (const [key, member] of value) {
        const property = exact.get(key) ?? folded.get(key.toLowerCase());
        const known = property === undefined ? undefined : fields[property];
        if (property === undefined || known === undefined || member === null) continue;
        result[property] = known.codec.decode(member, {
          struct: name,
          path: place.path === '' ? known.key : `${place.path}.${known.key}`,
        });
      }
      return typed(result);
    },
    encode(value) {
      const result: Record<string, unknown> = {};
      for (const [property, { key, codec, omitEmpty: omit }] of entries) {
        const member: unknown = value[property];
        if (omit && codec.isEmpty(member)) continue;
        result[key] = codec.encode(member);
      }
      return result;
    },
    isEmpty: () => false,
  };
}
