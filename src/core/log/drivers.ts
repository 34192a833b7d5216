/** The log drivers, and what each takes, in Docker's words. */
import { invalid, messageOf } from '../../base/errors.ts';
import { fluentdOptions } from './fluentdOptions.ts';
import { gelfOptions } from './gelfOptions.ts';
import { logFileOptions, modeOptions } from './fileOptions.ts';
import { syslogOptions } from './syslogOptions.ts';
import { checkTag } from './tag.ts';
import { checkPattern } from './values.ts';
import type { LogConfig } from './values.ts';

/** `file`: the log is the file; `target`: it is forwarded, and the file is its spool. */
export type LogDriverKind = 'none' | 'file' | 'target';

interface LogDriver {
  readonly kind: LogDriverKind;
  readonly keys: readonly string[];
  readonly unknown: (key: string) => string;
  readonly check: (config: LogConfig) => unknown;
}

const ATTRIBUTES = ['labels', 'labels-regex', 'env', 'env-regex', 'tag'];
const FILE_KEYS = ['max-file', 'max-size', 'compress'];
/** For every driver. */
const COMMON_KEYS = new Set(['mode', 'max-buffer-size', 'cache-disabled', ...FILE_KEYS.map((key) => `cache-${key}`)]);

const unknownFor = (driver: string) => (key: string): string => `unknown log opt '${key}' for ${driver} log driver`;

const DRIVERS: Readonly<Record<string, LogDriver>> = {
  none: { kind: 'none', keys: [], unknown: unknownFor('none'), check: () => undefined },
  'json-file': { kind: 'file', keys: [...FILE_KEYS, ...ATTRIBUTES], unknown: unknownFor('json-file'), check: () => undefined },
  local: { kind: 'file', keys: [...FILE_KEYS, ...ATTRIBUTES], unknown: (key) => `unknown log opt '${key}' for log driver local`, check: () => undefined },
  journald: { kind: 'target', keys: ATTRIBUTES, unknown: unknownFor('journald'), check: () => undefined },
  syslog: {
    kind: 'target',
    keys: [...ATTRIBUTES, 'syslog-address', 'syslog-facility', 'syslog-format', 'syslog-tls-ca-cert', 'syslog-tls-cert', 'syslog-tls-key', 'syslog-tls-skip-verify'],
    unknown: unknownFor('syslog'),
    check: syslogOptions,
  },
  fluentd: {
    kind: 'target',
    keys: [
      ...ATTRIBUTES, 'fluentd-address', 'fluentd-async', 'fluentd-async-connect', 'fluentd-async-reconnect-interval', 'fluentd-buffer-limit', 'fluentd-max-retries',
      'fluentd-request-ack', 'fluentd-retry-wait', 'fluentd-sub-second-precision', 'fluentd-write-timeout',
    ],
    unknown: unknownFor('fluentd'),
    check: fluentdOptions,
  },
  gelf: {
    kind: 'target',
    keys: [...ATTRIBUTES, 'gelf-address', 'gelf-compression-level', 'gelf-compression-type', 'gelf-tcp-max-reconnect', 'gelf-tcp-reconnect-delay'],
    unknown: (key) => `unknown log opt ${JSON.stringify(key)} for gelf log driver`,
    check: gelfOptions,
  },
};

/** As `docker info` lists them: `none` is not one. */
export const LOG_DRIVERS: readonly string[] = Object.keys(DRIVERS).filter((name) => name !== 'none').toSorted();

/** What a driver does with a log; one that is not known is `file`. */
export const logDriverKind = (type: string): LogDriverKind => driverOf(type)?.kind ?? 'file';

const driverOf = (type: string): LogDriver | undefined => (Object.hasOwn(DRIVERS, type) ? DRIVERS[type] : undefined);

/** Refuses unknown drivers, options and values; called at create. */
export function checkLogConfig(type: string, config: LogConfig): void {
  const driver = driverOf(type);
  if (driver === undefined) throw invalid(`logger: no log driver named '${type}' is registered`);
  // Docker takes anything for it, since nothing is used.
  if (driver.kind === 'none') return;
  modeOptions(config);
  checkCache(config);
  const known = new Set(driver.keys);
  for (const key of Object.keys(config)) {
    if (!known.has(key) && !COMMON_KEYS.has(key)) throw invalid(driver.unknown(key));
  }
  logFileOptions(type, config);
  driver.check(config);
  checkTag(config['tag'] ?? '');
  for (const key of ['labels-regex', 'env-regex']) checkPattern(config[key] ?? '');
}

function checkCache(config: LogConfig): void {
  const text = config['cache-disabled'] ?? '';
  if (text !== '' && !/^(1|t|T|true|TRUE|True|0|f|F|false|FALSE|False)$/.test(text)) throw invalid(`invalid value for option cache-disabled: ${text}`);
}

/** The daemon's defaults. A driver that is not known is refused when a container is made with it, as Docker does. */
export function checkDefaultLogConfig(type: string, config: LogConfig): void {
  if (Object.keys(config).length === 0 || driverOf(type) === undefined) return;
  try {
    checkLogConfig(type, config);
  } catch (error) {
    throw invalid(`failed to set log opts: ${messageOf(error)}`, error);
  }
}
