/**
 * The kinds of value that an option can have: how one is read from a flag's text and from daemon.json, and how Go would
 * print it (the conflict message and `--help` show that).
 */
import { invalid } from '../../base/errors.ts';
import { dictionary, JsonNumber } from '../../base/json.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';

export interface Kind<T> {
  /** Stands for the value in `--help`; empty for switches. */
  readonly placeholder: string;
  readonly goType: string;
  /** A switch: `--flag` alone means true. */
  readonly isSwitch: boolean;
  /** The value after one more occurrence of the flag; `previous` is what earlier occurrences gave. Throws `invalid`. */
  fromText(text: string, previous: T | undefined): T;
  /** The value of the key in the file. Throws `invalid`. */
  fromJson(value: JsonValue): T;
  print(value: T): string;
}

export type ValueOf<K> = K extends Kind<infer T> ? T : never;

/** A value of the wrong JSON type; the reader of the file adds the key. */
export class WrongJsonType extends Error {
  constructor(value: JsonValue, goType: string) {
    super(`json: cannot unmarshal ${describe(value)} into Go struct field Config.KEY of type ${goType}`);
  }
}

function describe(value: JsonValue): string {
  if (value instanceof JsonNumber) return /^-?\d+$/.test(value.text) ? 'number' : `number ${value.text}`;
  if (Array.isArray(value)) return 'array';
  return value instanceof Map ? 'object' : typeof value === 'boolean' ? 'bool' : 'string';
}

const quoted = (text: string): string => JSON.stringify(text);

export const bool: Kind<boolean> = {
  placeholder: '',
  goType: 'bool',
  isSwitch: true,
  fromText(text) {
    if (['1', 't', 'T', 'true', 'TRUE', 'True'].includes(text)) return true;
    if (['0', 'f', 'F', 'false', 'FALSE', 'False'].includes(text)) return false;
    throw invalid(`strconv.ParseBool: parsing ${quoted(text)}: invalid syntax`);
  },
  fromJson(value) {
    if (typeof value !== 'boolean') throw new WrongJsonType(value, 'bool');
    return value;
  },
  print: String,
};

/** Text; the placeholder says what text. */
export const string = (placeholder = 'string'): Kind<string> => ({
  placeholder,
  goType: 'string',
  isSwitch: false,
  fromText: (text) => text,
  fromJson(value) {
    if (typeof value !== 'string') throw new WrongJsonType(value, 'string');
    return value;
  },
  print: (value) => value,
});

export const int: Kind<number> = {
  placeholder: 'int',
  goType: 'int',
  isSwitch: false,
  fromText(text) {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text)) throw invalid(`strconv.ParseInt: parsing ${quoted(text)}: invalid syntax`);
    if (!Number.isSafeInteger(value)) throw invalid(`strconv.ParseInt: parsing ${quoted(text)}: value out of range`);
    return value;
  },
  fromJson(value) {
    if (!(value instanceof JsonNumber)) throw new WrongJsonType(value, 'int');
    const number = Number(value.toBigInt() ?? Number.NaN);
    if (!Number.isSafeInteger(number)) throw new WrongJsonType(value, 'int');
    return number;
  },
  print: String,
};

const BYTE_UNITS = 'bkmgtp';

/** Sizes: `67108864`, `64m`, `64MiB` (powers of 1024, as docker/go-units RAMInBytes has them). */
export const bytes: Kind<number> = {
  placeholder: 'bytes',
  goType: 'opts.MemBytes',
  isSwitch: false,
  fromText(text) {
    const match = /^(\d{1,15}(?:\.\d{1,15})?) ?([bkmgtp])?i?b?$/i.exec(text);
    const value = Math.floor(Number(match?.[1]) * 1024 ** BYTE_UNITS.indexOf((match?.[2] ?? 'b').toLowerCase()));
    if (match === null || !Number.isSafeInteger(value)) throw invalid(`invalid size: '${text}'`);
    return value;
  },
  fromJson(value) {
    return value instanceof JsonNumber ? int.fromJson(value) : bytes.fromText(string().fromJson(value), undefined);
  },
  print(value) {
    let rest = value;
    let unit = 0;
    while (rest >= 1024 && unit < BYTE_UNITS.length - 1) {
      rest /= 1024;
      unit += 1;
    }
    return `${Number(rest.toPrecision(4))}${['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'][unit]}`;
  },
};

/** A flag that may be given several times; an array in the file. */
export const list = (placeholder = 'list'): Kind<readonly string[]> => ({
  placeholder,
  goType: '[]string',
  isSwitch: false,
  fromText: (text, previous = []) => [...previous, text],
  fromJson(value) {
    if (!Array.isArray(value)) throw new WrongJsonType(value, '[]string');
    return value.map((member) => string().fromJson(member));
  },
  print: (value) => `[${value.join(' ')}]`,
});

/** `key=value`, several times; an object in the file. */
export const map: Kind<Readonly<Record<string, string>>> = {
  placeholder: 'map',
  goType: 'map[string]string',
  isSwitch: false,
  fromText(text, previous) {
    const [key, value = ''] = cut(text, '=');
    return assign(previous, key, value);
  },
  fromJson: (value) => mapValues(asObject(value, 'map[string]string'), (member) => string().fromJson(member)),
  print: goMap,
};

/** `key` or `key=bool`, several times. */
export const switches: Kind<Readonly<Record<string, boolean>>> = {
  placeholder: 'map',
  goType: 'map[string]bool',
  isSwitch: false,
  fromText(text, previous) {
    const [key, value = 'true'] = cut(text, '=');
    return assign(previous, key, bool.fromText(value, undefined));
  },
  fromJson: (value) => mapValues(asObject(value, 'map[string]bool'), (member) => bool.fromJson(member)),
  print: goMap,
};

/** `driver=key=value`, several times (`--default-network-opt`). */
export const mapOfMaps: Kind<Readonly<Record<string, Readonly<Record<string, string>>>>> = {
  placeholder: 'mapmap',
  goType: 'map[string]map[string]string',
  isSwitch: false,
  fromText(text, previous) {
    const [driver, rest = ''] = cut(text, '=');
    const [key, value] = cut(rest, '=');
    if (value === undefined) throw invalid(`invalid format for map of maps: ${text}`);
    return assign(previous, driver, assign(previous?.[driver], key, value));
  },
  fromJson: (value) => mapValues(asObject(value, 'map[string]map[string]string'), (member) => map.fromJson(member)),
  print: (value) => `map[${Object.keys(value).toSorted().map((key) => `${key}:${goMap(value[key] ?? {})}`).join(' ')}]`,
};

export interface Ulimit {
  readonly soft: bigint;
  readonly hard: bigint;
}

const ULIMITS = [
  'core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice', 'nofile', 'nproc', 'rss', 'rtprio', 'rttime',
  'sigpending', 'stack',
];

export const ulimits: Kind<Readonly<Record<string, Ulimit>>> = {
  placeholder: 'ulimit',
  goType: 'map[string]*container.Ulimit',
  isSwitch: false,
  fromText(text, previous) {
    const match = /^([a-z]+)=(-?\d{1,19})(?::(-?\d{1,19}))?$/.exec(text);
    const name = match?.[1];
    if (match === null || name === undefined) throw invalid(`invalid ulimit argument: ${text}`);
    const soft = BigInt(match[2] ?? '0');
    return assign(previous, name, checkedUlimit(name, { soft, hard: match[3] === undefined ? soft : BigInt(match[3]) }));
  },
  fromJson(value) {
    return mapValues(asObject(value, this.goType), (member, name) => {
      const limit = asObject(member, 'container.Ulimit');
      return checkedUlimit(name, { soft: int64(limit.get('Soft')), hard: int64(limit.get('Hard')) });
    });
  },
  print(value) {
    return `[${Object.entries(value).map(([name, { soft, hard }]) => `${name}=${soft}:${hard}`).join(' ')}]`;
  },
};

function checkedUlimit(name: string, limit: Ulimit): Ulimit {
  if (!ULIMITS.includes(name)) throw invalid(`invalid ulimit type: ${name}`);
  if (limit.hard !== -1n && (limit.soft === -1n || limit.soft > limit.hard)) {
    throw invalid(`ulimit soft limit must be less than or equal to hard limit: ${limit.soft} > ${limit.hard}`);
  }
  return limit;
}

function int64(value: JsonValue | undefined): bigint {
  if (value === undefined || value === null) return 0n;
  const integer = value instanceof JsonNumber ? value.toBigInt() : undefined;
  if (integer === undefined) throw new WrongJsonType(value, 'int64');
  return integer;
}

export interface AddressPool {
  readonly base: string;
  readonly size: number;
}

export const addressPools: Kind<readonly AddressPool[]> = {
  placeholder: 'pool-options',
  goType: '[]*ipamutils.NetworkToSplit',
  isSwitch: false,
  fromText(text, previous = []) {
    let base = '';
    let size = 0;
    for (const part of text.split(',')) {
      const [key, value] = cut(part, '=');
      if (value === undefined) throw invalid(`invalid field '${part}' must be a key=value pair`);
      if (key.toLowerCase() === 'base') base = value;
      else if (key.toLowerCase() === 'size') size = int.fromText(value, undefined);
      else throw invalid(`unexpected key '${key}' in '${part}'`);
    }
    return [...previous, checkedPool({ base, size })];
  },
  fromJson(value) {
    if (!Array.isArray(value)) throw new WrongJsonType(value, this.goType);
    return value.map((member) => {
      const pool = asObject(member, 'ipamutils.NetworkToSplit');
      const get = (key: string): JsonValue => pool.get(key) ?? pool.get(key.toLowerCase()) ?? pool.get(`${key[0]?.toUpperCase()}${key.slice(1)}`) ?? null;
      return checkedPool({ base: string().fromJson(get('base')), size: int.fromJson(get('size')) });
    });
  },
  print: (value) => `[${value.map(({ base, size }) => `{${base} ${size}}`).join(' ')}]`,
};

function checkedPool(pool: AddressPool): AddressPool {
  const prefix = /^[\da-fA-F.:]+\/(\d{1,3})$/.exec(pool.base)?.[1];
  if (prefix === undefined) throw invalid(`invalid base pool ${quoted(pool.base)}: invalid CIDR address: ${pool.base}`);
  const bits = pool.base.includes(':') ? 128 : 32;
  if (Number(prefix) > bits) throw invalid(`invalid base pool ${quoted(pool.base)}: invalid CIDR address: ${pool.base}`);
  if (pool.size < Number(prefix) || pool.size > bits) throw invalid(`invalid address pool size ${pool.size} for base ${pool.base}`);
  return pool;
}

export interface RuntimeOption {
  readonly path: string;
  readonly runtimeArgs: readonly string[];
  readonly runtimeType: string;
  readonly options: JsonValue;
}

export const runtimes: Kind<Readonly<Record<string, RuntimeOption>>> = {
  placeholder: 'runtime',
  goType: 'map[string]system.Runtime',
  isSwitch: false,
  fromText(text, previous) {
    const [name, path] = cut(text, '=');
    if (path === undefined || name.trim() === '' || path.trim() === '') throw invalid(`invalid runtime argument: ${text}`);
    const key = name.trim().toLowerCase();
    if (key === 'runc') throw invalid(`runtime name 'runc' is reserved`);
    if (previous !== undefined && Object.hasOwn(previous, key)) throw invalid(`runtime '${key}' was already defined`);
    return assign(previous, key, { path: path.trim(), runtimeArgs: [], runtimeType: '', options: null });
  },
  fromJson(value) {
    return mapValues(asObject(value, this.goType), (member, name) => {
      if (name === 'runc') throw invalid(`runtime name 'runc' is reserved`);
      const runtime = asObject(member, 'system.Runtime');
      const text = (key: string) => string().fromJson(runtime.get(key) ?? '');
      const path = text('path');
      const runtimeType = text('runtimeType');
      if (path === '' && runtimeType === '') throw invalid(`runtime ${name}: either a runtimeType or a path must be configured`);
      if (path !== '' && runtimeType !== '') {
        throw invalid(`runtime ${name}: cannot configure both path and runtimeType for the same runtime`);
      }
      const runtimeArgs = list().fromJson(runtime.get('runtimeArgs') ?? []);
      return { path, runtimeArgs, runtimeType, options: runtime.get('options') ?? null };
    });
  },
  print: (value) => `[${Object.entries(value).map(([name, { path }]) => `${name}=${path}`).join(' ')}]`,
};

/** An object of the file that is kept as it is (`builder`). */
export const object: Kind<JsonObject> = {
  placeholder: 'object',
  goType: 'object',
  isSwitch: false,
  fromText: () => new Map(),
  fromJson: (value) => asObject(value, 'object'),
  print: goPrint,
};

/** What Go's `%v` prints for a decoded JSON value. */
export function goPrint(value: JsonValue): string {
  if (value === null) return '<nil>';
  if (value instanceof JsonNumber) return String(value.toNumber());
  if (Array.isArray(value)) return `[${value.map(goPrint).join(' ')}]`;
  if (value instanceof Map) {
    return `map[${[...value.keys()].toSorted().map((key) => `${key}:${goPrint(value.get(key) ?? null)}`).join(' ')}]`;
  }
  return String(value);
}

function goMap(value: Readonly<Record<string, string | boolean>>): string {
  return `map[${Object.keys(value).toSorted().map((key) => `${key}:${value[key]}`).join(' ')}]`;
}

function asObject(value: JsonValue, goType: string): JsonObject {
  if (!(value instanceof Map)) throw new WrongJsonType(value, goType);
  return value;
}

function mapValues<T>(value: JsonObject, convert: (member: JsonValue, key: string) => T): Record<string, T> {
  const result = dictionary<T>();
  for (const [key, member] of value) result[key] = convert(member, key);
  return result;
}

function assign<T>(previous: Readonly<Record<string, T>> | undefined, key: string, value: T): Record<string, T> {
  const result = Object.assign(dictionary<T>(), previous);
  result[key] = value;
  return result;
}

/** The text before and after the first separator; undefined after if there is none. */
export function cut(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}
