/**
 * Reading of JSON that others made (image configs, manifests): keys without regard to case and null as absent, as Go
 * reads them; a value of the wrong type is an error that names the key.
 */
import { invalid } from '../../base/errors.ts';
import { JsonNumber, JsonSyntaxError, parseJson } from '../../base/json.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';

const NO_OBJECT: JsonObject = new Map();
const MAX_MEMBERS = 10_000;

/** The document's object; `what` names it in errors. */
export function parseObject(bytes: Uint8Array, what: string): JsonObject {
  try {
    const value = parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'));
    if (value instanceof Map) return value;
  } catch (error) {
    if (!(error instanceof JsonSyntaxError)) throw error;
    throw invalid(`${what} is not valid JSON: ${error.message}`, error);
  }
  throw invalid(`${what} is not a JSON object`);
}

/** The member of that name: the exact key first, then any other spelling of it. */
export function member(object: JsonObject, key: string): JsonValue {
  const exact = object.get(key);
  if (exact !== undefined) return exact;
  const folded = key.toLowerCase();
  for (const [name, value] of object) if (name.toLowerCase() === folded) return value;
  return null;
}

function wrong(key: string, wanted: string): Error {
  return invalid(`invalid value of ${JSON.stringify(key)}: ${wanted} expected`);
}

export function text(object: JsonObject, key: string): string {
  const value = member(object, key);
  if (value === null) return '';
  if (typeof value !== 'string') throw wrong(key, 'a string');
  return value;
}

export function flag(object: JsonObject, key: string): boolean {
  const value = member(object, key);
  if (value === null) return false;
  if (typeof value !== 'boolean') throw wrong(key, 'a boolean');
  return value;
}

/** An integer, 0n if absent. */
export function integer(object: JsonObject, key: string): bigint {
  const value = member(object, key);
  if (value === null) return 0n;
  const number = value instanceof JsonNumber ? value.toBigInt() : undefined;
  if (number === undefined) throw wrong(key, 'an integer');
  return number;
}

/** A length or count: a non-negative integer that a double holds. */
export function count(object: JsonObject, key: string): number {
  const value = Number(integer(object, key));
  if (value < 0 || !Number.isSafeInteger(value)) throw wrong(key, 'a size');
  return value;
}

export function objectAt(object: JsonObject, key: string): JsonObject {
  const value = member(object, key);
  if (value === null) return NO_OBJECT;
  if (!(value instanceof Map)) throw wrong(key, 'an object');
  return bounded(value, value.size, key);
}

export function listAt(object: JsonObject, key: string): JsonValue[] {
  const value = member(object, key);
  if (value === null) return [];
  if (!Array.isArray(value)) throw wrong(key, 'a list');
  return bounded(value, value.length, key);
}

export const objectsAt = (object: JsonObject, key: string): JsonObject[] =>
  listAt(object, key).map((value) => {
    if (!(value instanceof Map)) throw wrong(key, 'a list of objects');
    return value;
  });

/** A list of strings, null if absent. A single string is a list of one (Docker's `strslice`). */
export function stringsAt(object: JsonObject, key: string): string[] | null {
  const value = member(object, key);
  if (value === null) return null;
  if (typeof value === 'string') return [value];
  return listAt(object, key).map((item) => {
    if (typeof item !== 'string') throw wrong(key, 'a list of strings');
    return item;
  });
}

/** An object with string values. */
export const stringMapAt = (object: JsonObject, key: string): Record<string, string> =>
  Object.fromEntries([...objectAt(object, key)].map(([name, value]) => {
    if (value !== null && typeof value !== 'string') throw wrong(key, 'an object of strings');
    return [name, value ?? ''];
  }));

function bounded<T>(value: T, size: number, key: string): T {
  if (size > MAX_MEMBERS) throw invalid(`${JSON.stringify(key)} has too many members`);
  return value;
}
