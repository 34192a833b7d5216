/** daemon.json: from bytes to values, with dockerd's messages. */
import { invalid, messageOf } from '../../base/errors.ts';
import { JsonSyntaxError, parseJson } from '../../base/json.ts';
import type { JsonObject, JsonValue } from '../../base/json.ts';
import { WrongJsonType, goPrint } from './kinds.ts';
import { optionList } from './table.ts';
import type { Option, OptionName, Values } from './table.ts';

export interface FileValues {
  readonly values: Values;
  /** The document, for messages that show what it says. */
  readonly document: JsonObject;
}

const EMPTY: FileValues = { values: new Map(), document: new Map() };

/** Keys that hold keys. */
const GROUPS = new Set(optionList.flatMap(([, { key }]) => (key !== undefined && key.length > 1 ? [key[0] ?? ''] : [])));

/** Reads the file's bytes; throws `invalid`, without the file's name. */
export function parseFile(bytes: Uint8Array): FileValues {
  const text = decodeText(bytes);
  if (text.trim() === '') return EMPTY;
  let document: JsonValue;
  try {
    document = parseJson(text);
  } catch (error) {
    if (error instanceof JsonSyntaxError) throw invalid(`invalid JSON: ${error.message}`, error);
    throw error;
  }
  if (document === null) return EMPTY;
  if (!(document instanceof Map)) {
    throw invalid(`invalid JSON: ${new WrongJsonType(document, 'map[string]interface {}').message.replace('Go struct field Config.KEY', 'Go value')}`);
  }
  refuseUnknown(document);
  return { values: valuesOf(document), document };
}

/** UTF-8, or UTF-16 with its byte order mark (an editor on Windows). */
function decodeText(bytes: Uint8Array): string {
  const encoding = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch (error) {
    throw invalid(`failed to decode configuration JSON at offset ${firstInvalidByte(bytes, encoding)}: invalid ${encoding.toUpperCase()}`, error);
  }
}

function firstInvalidByte(bytes: Uint8Array, encoding: string): number {
  let good = 0;
  let bad = bytes.length;
  while (good < bad) {
    const middle = Math.ceil((good + bad) / 2);
    try {
      new TextDecoder(encoding, { fatal: true }).decode(bytes.subarray(0, middle), { stream: true });
      good = middle;
    } catch {
      bad = middle - 1;
    }
  }
  return good;
}

function refuseUnknown(document: JsonObject): void {
  const known = new Set(optionList.flatMap(([, { key }]) => (key === undefined ? [] : [key.join('.')])));
  const unknown: string[] = [];
  for (const [name, value] of document) {
    if (GROUPS.has(name) && value instanceof Map) {
      for (const inner of value.keys()) if (!known.has(`${name}.${inner}`)) unknown.push(inner);
    } else if (!GROUPS.has(name) && !known.has(name)) unknown.push(name);
  }
  if (unknown.length > 0) {
    throw invalid(`the following directives don't match any configuration option: ${unknown.join(', ')}`);
  }
}

/** What the document says for an option; undefined if nothing. */
export function lookUp(document: JsonObject, option: Option<unknown>): JsonValue | undefined {
  let value: JsonValue | undefined = document;
  for (const name of option.key ?? ['']) {
    if (!(value instanceof Map)) return undefined;
    value = value.get(name);
  }
  return value === null ? undefined : value;
}

function valuesOf(document: JsonObject): Values {
  const values = new Map<OptionName, unknown>();
  for (const [name, option] of optionList) {
    const value = lookUp(document, option);
    if (value === undefined) continue;
    try {
      values.set(name, option.kind.fromJson(value));
    } catch (error) {
      const key = option.key?.join('.') ?? '';
      if (error instanceof WrongJsonType) throw invalid(error.message.replace('KEY', key), error);
      throw invalid(messageOf(error), error);
    }
  }
  return values;
}

/** Refuses options that are given as a flag and in the file, unless they can be merged. */
export function refuseConflicts(flags: Values, file: FileValues): void {
  const conflicts: string[] = [];
  for (const [name, option] of optionList) {
    const value = lookUp(file.document, option);
    if (!flags.has(name) || value === undefined || option.mergeable === true) continue;
    const mask = name === 'httpProxy' || name === 'httpsProxy' ? maskCredentials : (text: string) => text;
    const fromFlag = mask(option.kind.print(flags.get(name)));
    conflicts.push(`${option.key?.at(-1)}: (from flag: ${fromFlag}, from file: ${mask(goPrint(value))})`);
  }
  if (conflicts.length > 0) {
    throw invalid(
      `the following directives are specified both as a flag and in the configuration file: ${conflicts.join(', ')}`,
    );
  }
}

/** A URL without its user's name and password. */
export const maskCredentials = (url: string): string => url.replace(/^([a-z][a-z0-9+.-]*:\/\/)?[^/@]*@/i, '$1xxxxx:xxxxx@');
