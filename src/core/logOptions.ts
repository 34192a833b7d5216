/** Options of the json-file log driver (`--log-opt`), in Docker's words. */
import { invalid, messageOf } from '../base/errors.ts';
import { checkTag, expandTag } from './logTag.ts';
import type { TagSubject } from './logTag.ts';

export interface LogOptions {
  /** Bytes; 0: no rotation. */
  maxSize: number;
  maxFile: number;
  compress: boolean;
  mode: 'blocking' | 'non-blocking';
  /** Bytes held in non-blocking mode. */
  bufferBytes: number;
}

const JSON_FILE_KEYS = new Set(['max-file', 'max-size', 'compress', 'labels', 'labels-regex', 'env', 'env-regex', 'tag', 'mode', 'max-buffer-size']);
const COMMON_KEYS = new Set(['mode', 'max-buffer-size']);
const DEFAULT_BUFFER = 1_000_000;

export const LOG_DRIVERS = ['json-file', 'none'] as const;

/** Refuses unknown drivers, options and values; called at create and for the daemon's defaults. */
export function checkLogConfig(type: string, config: Readonly<Record<string, string>>): void {
  if (!(LOG_DRIVERS as readonly string[]).includes(type)) throw invalid(`logger: no log driver named '${type}' is registered`);
  const known = type === 'none' ? COMMON_KEYS : JSON_FILE_KEYS;
  for (const key of Object.keys(config)) {
    if (!known.has(key)) throw invalid(`unknown log opt '${key}' for ${type} log driver`);
  }
  parseLogOptions(config);
  checkTag(config['tag'] ?? '');
  for (const key of ['labels-regex', 'env-regex']) checkPattern(config[key] ?? '');
}

function checkPattern(pattern: string): void {
  try {
    new RegExp(pattern);
  } catch (error) {
    throw invalid(`error parsing regexp: ${messageOf(error)}`, error);
  }
}

export function parseLogOptions(config: Readonly<Record<string, string>>): LogOptions {
  const mode = config['mode'] ?? 'blocking';
  if (mode !== '' && mode !== 'blocking' && mode !== 'non-blocking') throw invalid(`logger: logging mode not supported: ${mode}`);
  if (config['max-buffer-size'] !== undefined && mode !== 'non-blocking') throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  const maxSize = sizeOf('max-size', config['max-size'] ?? '') ?? 0;
  const maxFile = maxFileOf(config['max-file']);
  if (maxFile > 1 && maxSize === 0) throw invalid('max-file cannot be set without max-size');
  const compress = booleanOf('compress', config['compress']);
  if (compress && (maxFile < 2 || maxSize === 0)) throw invalid('compress cannot be true when max-file is less than 2 or max-size is not set');
  return {
    maxSize: maxSize < 0 ? 0 : maxSize,
    maxFile,
    compress,
    mode: mode === 'non-blocking' ? 'non-blocking' : 'blocking',
    bufferBytes: sizeOf('max-buffer-size', config['max-buffer-size'] ?? '') ?? DEFAULT_BUFFER,
  };
}

function maxFileOf(text: string | undefined): number {
  if (text === undefined || text === '') return 1;
  if (!/^[+-]?\d+$/.test(text)) throw invalid(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
  if (Number(text) < 1) throw invalid('max-file cannot be less than 1');
  return Number(text);
}

function booleanOf(name: string, text: string | undefined): boolean {
  if (text === undefined || text === '') return false;
  if (/^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw invalid(`invalid value for ${name}: strconv.ParseBool: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** Docker's sizes (`10m`, `1.5g`, `512k`), in powers of 1024; -1 stands for no limit. */
function sizeOf(name: string, text: string): number | undefined {
  if (text === '') return undefined;
  if (text === '-1') return -1;
  const match = /^(\d+(?:\.\d+)?) ?([bkmgtp]?)(i?b)?$/i.exec(text);
  if (match === null) throw invalid(`invalid value for ${name}: invalid size: '${text}'`);
  return Math.floor(Number(match[1]) * 1024 ** ['', 'k', 'm', 'g', 't', 'p'].indexOf((match[2] ?? '').toLowerCase().replace('b', '')));
}

export interface LogSubject extends TagSubject {
  labels: Readonly<Record<string, string>>;
  env: readonly string[];
}

/** What every log line carries: `labels`, `labels-regex`, `env`, `env-regex`, `tag`; undefined if nothing. */
export function logAttributes(config: Readonly<Record<string, string>>, subject: LogSubject): Record<string, string> | undefined {
  const attrs: Record<string, string> = {};
  const env = Object.fromEntries(subject.env.map((entry) => [entry.split('=', 1)[0] ?? '', entry.slice(entry.indexOf('=') + 1)]));
  select(attrs, subject.labels, { names: config['labels'], pattern: config['labels-regex'] });
  select(attrs, env, { names: config['env'], pattern: config['env-regex'] });
  if (config['tag'] !== undefined && config['tag'] !== '') attrs['tag'] = expandTag(config['tag'], subject);
  return Object.keys(attrs).length === 0 ? undefined : attrs;
}

function select(into: Record<string, string>, from: Readonly<Record<string, string>>, by: { names: string | undefined; pattern: string | undefined }): void {
  for (const name of (by.names ?? '').split(',').filter((each) => each !== '')) {
    const value = Object.hasOwn(from, name) ? from[name] : undefined;
    if (value !== undefined) into[name] = value;
  }
  if (by.pattern === undefined || by.pattern === '') return;
  const pattern = new RegExp(by.pattern);
  for (const [name, value] of Object.entries(from)) if (pattern.test(name)) into[name] = value;
}
