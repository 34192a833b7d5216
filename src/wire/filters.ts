/**
 * The `filters` query parameter: `{"label":{"a=b":true}}` (the Go client) or `{"label":["a=b"]}` (docker-py, dockerode,
 * old clients). Within a key values are alternatives, keys are conditions that all hold.
 */
import { invalid } from '../base/errors.ts';
import { JsonSyntaxError, parseJson } from '../base/json.ts';
import type { JsonValue } from '../base/json.ts';

export class Filters {
  readonly #values: ReadonlyMap<string, readonly string[]>;

  constructor(values: ReadonlyMap<string, readonly string[]> = new Map()) {
    this.#values = values;
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  keys(): string[] {
    return [...this.#values.keys()];
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  /** The values of a key, none if it is absent. */
  get(key: string): readonly string[] {
    return this.#values.get(key) ?? [];
  }

  /** True if the key is absent or one of its values satisfies the test. */
  matches(key: string, test: (value: string) => boolean): boolean {
    const values = this.#values.get(key);
    return values === undefined || values.length === 0 || values.some(test);
  }

  /**
   * A key with a boolean value (`dangling=1`), or the default if it is absent. Both true and false, or neither, is refused
   * as Docker does.
   */
  bool(key: string, absent: boolean): boolean {
    const values = this.get(key);
    if (values.length === 0) return absent;
    const isTrue = values.some((value) => value === '1' || value === 'true');
    const isFalse = values.some((value) => value === '0' || value === 'false');
    if (isTrue === isFalse) throw invalid(`invalid filter '${key}=${JSON.stringify(values)}'`);
    return isTrue;
  }

  /**
   * Labels: each value of `key` (`k` or `k=v`) must hold, unlike other keys (moby `MatchKVList`). With `key` `label!`
   * none may hold.
   */
  matchesLabels(labels: Readonly<Record<string, string>>): boolean {
    const holds = (wanted: string): boolean => {
      const [name, value] = splitOnce(wanted);
      const actual = Object.hasOwn(labels, name) ? labels[name] : undefined;
      return actual !== undefined && (value === undefined || actual === value);
    };
    const unwanted = this.get('label!');
    return this.get('label').every(holds) && (unwanted.length === 0 || !unwanted.every(holds));
  }
}

/** Reads the parameter and checks its keys; throws `invalid` with Docker's texts. */
export function parseFilters(text: string, known: readonly string[]): Filters {
  if (text === '') return new Filters();
  const values = new Map<string, readonly string[]>();
  for (const [key, members] of topLevel(text)) {
    if (!known.includes(key)) throw invalid(`invalid filter '${key}'`);
    values.set(key, valuesOf(members));
  }
  return new Filters(values);
}

function topLevel(text: string): Map<string, JsonValue> {
  let parsed: JsonValue;
  try {
    parsed = parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw invalid(`invalid filter: ${error.message}`, error);
    throw error;
  }
  if (parsed === null) return new Map();
  if (!(parsed instanceof Map)) throw invalid('invalid filter');
  return parsed;
}

function valuesOf(members: JsonValue): readonly string[] {
  if (members instanceof Map) {
    for (const flag of members.values()) if (typeof flag !== 'boolean') throw invalid('invalid filter');
    return [...members.keys()];
  }
  if (Array.isArray(members) && members.every((member) => typeof member === 'string')) return members;
  if (members === null) return [];
  throw invalid('invalid filter');
}

function splitOnce(text: string): [string, string | undefined] {
  const at = text.indexOf('=');
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
