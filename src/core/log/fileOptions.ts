/**
 * The file that a container's log is written to, by driver. For json-file and local it is the log; for a target (syslog, …)
 * it is the spool that the target's messages wait in, and what `docker logs` reads: its size is given by `cache-*`.
 */
import { invalid } from '../../base/errors.ts';
import { optionalBoolean, optionalInteger, optionalSize } from './values.ts';
import type { LogConfig } from './values.ts';

export interface LogFileOptions {
  /** Bytes; 0: no rotation. */
  maxSize: number;
  maxFile: number;
  compress: boolean;
  mode: 'blocking' | 'non-blocking';
  /** Bytes held in non-blocking mode. */
  bufferBytes: number;
}

const DEFAULT_BUFFER = 1_000_000;
/** Docker's for `local` and for the cache of a driver that cannot be read: five files of 20 MiB, compressed. */
const BOUNDED = { maxSize: 20 * 1024 * 1024, maxFile: 5, compress: true };
const UNBOUNDED = { maxSize: 0, maxFile: 1, compress: false };

const because = (name: string) => (reason: string): string => `invalid value for ${name}: ${reason}`;

/** Throws `invalid` for a value that cannot be used. */
export function logFileOptions(driver: string, config: LogConfig): LogFileOptions {
  return { ...modeOptions(config), ...sizesOf(driver, config) };
}

/** `mode` and `max-buffer-size`, which every driver takes. */
export function modeOptions(config: LogConfig): Pick<LogFileOptions, 'mode' | 'bufferBytes'> {
  const mode = config['mode'] ?? '';
  if (mode !== '' && mode !== 'blocking' && mode !== 'non-blocking') throw invalid(`logger: logging mode not supported: ${mode}`);
  if (config['max-buffer-size'] !== undefined && mode !== 'non-blocking') throw invalid("logger: max-buffer-size option is only supported with 'mode=non-blocking'");
  const bufferBytes = optionalSize(config['max-buffer-size'], 'binary', (reason) => `error parsing option max-buffer-size: ${reason}`) ?? DEFAULT_BUFFER;
  return { mode: mode === 'non-blocking' ? 'non-blocking' : 'blocking', bufferBytes };
}

function sizesOf(driver: string, config: LogConfig): Pick<LogFileOptions, 'maxSize' | 'maxFile' | 'compress'> {
  switch (driver) {
    case 'json-file':
      return jsonFileSizes(config);
    case 'local':
      return boundedSizes(config, '');
    default:
      return spoolSizes(config);
  }
}

function jsonFileSizes(config: LogConfig): Pick<LogFileOptions, 'maxSize' | 'maxFile' | 'compress'> {
  const { maxSize, maxFile, compress } = read(config, { prefix: '', unit: 'decimal' }, UNBOUNDED);
  if (maxFile > 1 && maxSize <= 0) throw invalid('max-file cannot be set without max-size');
  if (compress && (maxFile < 2 || maxSize <= 0)) throw invalid('compress cannot be true when max-file is less than 2 or max-size is not set');
  return { maxSize: Math.max(0, maxSize), maxFile, compress };
}

function boundedSizes(config: LogConfig, prefix: string): Pick<LogFileOptions, 'maxSize' | 'maxFile' | 'compress'> {
  const { maxSize, maxFile, compress } = read(config, { prefix, unit: 'binary' }, BOUNDED);
  if (maxSize <= 0) throw invalid(`${prefix}max-size should be a positive number`);
  if (compress && maxFile < 2) {
    if (config[`${prefix}compress`] !== undefined) throw invalid(`${prefix}compress cannot be true when ${prefix}max-file is less than 2`);
    return { maxSize, maxFile, compress: false };
  }
  return { maxSize, maxFile, compress };
}

/** A message waits in at least one file beside the one that is written, or a rotation would lose it at once. */
function spoolSizes(config: LogConfig): Pick<LogFileOptions, 'maxSize' | 'maxFile' | 'compress'> {
  const sizes = boundedSizes(config, 'cache-');
  return { ...sizes, maxFile: Math.max(2, sizes.maxFile) };
}

function read(config: LogConfig, names: { prefix: string; unit: 'binary' | 'decimal' }, defaults: typeof BOUNDED): typeof BOUNDED {
  const name = (key: string): string => `${names.prefix}${key}`;
  const maxFile = optionalInteger(config[name('max-file')], because(name('max-file'))) ?? defaults.maxFile;
  if (maxFile < 1) throw invalid(`${name('max-file')} cannot be less than 1`);
  return {
    maxSize: optionalSize(config[name('max-size')], names.unit, because(name('max-size'))) ?? defaults.maxSize,
    maxFile,
    compress: optionalBoolean(config[name('compress')], because(name('compress'))) ?? defaults.compress,
  };
}

/** Whether `docker logs` may read the file: not if the user turned a target's cache off. */
export const isReadable = (driver: string, config: LogConfig): boolean =>
  driver !== 'none' && (driver === 'json-file' || driver === 'local' || optionalBoolean(config['cache-disabled'], () => 'invalid value for option cache-disabled') !== true);
