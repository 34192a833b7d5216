/** Options of the fluentd driver (moby daemon/logger/fluentd). */
import { invalid, messageOf } from '../../base/errors.ts';
import { optionalBoolean, optionalDuration, optionalInteger, optionalSize, splitHostPort, splitScheme } from './values.ts';
import type { LogConfig } from './values.ts';

export type FluentdAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'tls'; readonly host: string; readonly port: number };

/**
 * What moored uses. `fluentd-async`, `fluentd-buffer-limit` and `fluentd-max-retries` are checked and have no effect: the
 * spool is the buffer, nobody waits for the target, and nothing is given up.
 */
export interface FluentdOptions {
  readonly address: FluentdAddress;
  readonly requestAck: boolean;
  readonly subSecondPrecision: boolean;
  /** Before the second attempt; undefined: the forwarder's own. */
  readonly retryWaitMs: number | undefined;
  /** 0: the forwarder's own. */
  readonly writeTimeoutMs: number;
}

const DEFAULT_HOST = '127.0.0.1';
const DEFAULT_PORT = 24_224;
const MIN_RECONNECT_MS = 100;
const MAX_RECONNECT_MS = 10_000;

const plain = (reason: string): string => reason;

/** Throws `invalid`. */
export function fluentdOptions(config: LogConfig): FluentdOptions {
  if ((config['fluentd-async'] ?? '') !== '' && (config['fluentd-async-connect'] ?? '') !== '') {
    throw invalid("conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect'");
  }
  for (const key of ['fluentd-async', 'fluentd-async-connect']) optionalBoolean(config[key], plain);
  optionalSize(config['fluentd-buffer-limit'], 'binary', plain);
  checkReconnectInterval(config['fluentd-async-reconnect-interval']);
  if ((optionalInteger(config['fluentd-max-retries'], plain) ?? 0) < 0) throw invalid(`strconv.ParseUint: parsing ${JSON.stringify(config['fluentd-max-retries'])}: invalid syntax`);
  return {
    address: addressOf(config['fluentd-address'] ?? ''),
    requestAck: optionalBoolean(config['fluentd-request-ack'], plain) ?? false,
    subSecondPrecision: optionalBoolean(config['fluentd-sub-second-precision'], plain) ?? false,
    retryWaitMs: atLeastZero('fluentd-retry-wait', optionalDuration(config['fluentd-retry-wait'], plain)),
    writeTimeoutMs: atLeastZero('fluentd-write-timeout', optionalDuration(config['fluentd-write-timeout'], plain)) ?? 0,
  };
}

function atLeastZero(name: string, value: number | undefined): number | undefined {
  if (value !== undefined && value < 0) throw invalid(`invalid value for ${name}: must not be negative`);
  return value;
}

function checkReconnectInterval(text: string | undefined): void {
  const name = 'fluentd-async-reconnect-interval';
  const ms = optionalDuration(text, (reason) => `invalid value for ${name}: ${reason}`) ?? 0;
  if (ms !== 0 && (ms < MIN_RECONNECT_MS || ms > MAX_RECONNECT_MS)) throw invalid(`invalid value for ${name}: value (${JSON.stringify(text)}) must be between 100ms and 10s`);
}

function addressOf(address: string): FluentdAddress {
  if (address === '') return { kind: 'tcp', host: DEFAULT_HOST, port: DEFAULT_PORT };
  const fail = (reason: string): Error => invalid(`invalid fluentd-address (${address}): ${reason}`);
  const { scheme, rest } = splitScheme(address) ?? { scheme: 'tcp', rest: address };
  if (scheme === 'unix') {
    if (rest.replaceAll('/', '') === '') throw fail('path is empty');
    if (!rest.startsWith('/')) throw fail('the path is not absolute');
    return { kind: 'unix', path: rest };
  }
  if (scheme !== 'tcp' && scheme !== 'tls') throw fail(`unsupported scheme: '${scheme}'`);
  if (rest.includes('/')) throw fail('should not contain a path element');
  try {
    const { host, port } = splitHostPort(rest);
    return { kind: scheme, host: host === '' ? DEFAULT_HOST : host, port: port ?? DEFAULT_PORT };
  } catch (error) {
    throw fail(messageOf(error));
  }
}
