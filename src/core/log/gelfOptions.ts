/** Options of the gelf driver (moby daemon/logger/gelf). */
import { invalid } from '../../base/errors.ts';
import { splitHostPort, splitScheme } from './values.ts';
import type { LogConfig } from './values.ts';

export interface GelfOptions {
  readonly kind: 'udp' | 'tcp';
  readonly host: string;
  readonly port: number;
  /** Of datagrams. */
  readonly compression: 'gzip' | 'zlib' | 'none';
  /** zlib's: −1 default, 0 none, 1 fastest … 9 best. */
  readonly level: number;
  /** `gelf-tcp-reconnect-delay` in ms; undefined: the forwarder's own. */
  readonly reconnectDelayMs: number | undefined;
}

const FASTEST = 1;

/** Throws `invalid`. `gelf-tcp-max-reconnect` is checked and has no effect: nothing is given up. */
export function gelfOptions(config: LogConfig): GelfOptions {
  const address = addressOf(config['gelf-address'] ?? '');
  const level = config['gelf-compression-level'];
  const compression = config['gelf-compression-type'];
  if ((level !== undefined || compression !== undefined) && address.kind !== 'udp') throw invalid('compression is only supported on UDP');
  if (level !== undefined && !/^(-1|\+?\d)$/.test(level)) throw unknownValue(level, 'gelf-compression-level');
  if (compression !== undefined && compression !== 'gzip' && compression !== 'zlib' && compression !== 'none') throw unknownValue(compression, 'gelf-compression-type');
  for (const key of ['gelf-tcp-max-reconnect', 'gelf-tcp-reconnect-delay']) {
    const value = config[key];
    if (value === undefined) continue;
    if (address.kind !== 'tcp') throw invalid(`${JSON.stringify(key)} is only valid for TCP`);
    if (!/^\+?\d{1,9}$/.test(value)) throw invalid(`${JSON.stringify(key)} must be a positive integer`);
  }
  const delay = config['gelf-tcp-reconnect-delay'];
  return { ...address, compression: compression ?? 'gzip', level: level === undefined ? FASTEST : Number(level), reconnectDelayMs: delay === undefined ? undefined : Number(delay) * 1000 };
}

const unknownValue = (value: string, key: string): Error => invalid(`unknown value ${JSON.stringify(value)} for log opt ${JSON.stringify(key)} for gelf log driver`);

function addressOf(address: string): Pick<GelfOptions, 'kind' | 'host' | 'port'> {
  if (address === '') throw invalid('gelf-address is a required parameter');
  const { scheme, rest } = splitScheme(address) ?? { scheme: '', rest: '' };
  if (scheme !== 'udp' && scheme !== 'tcp') throw invalid('gelf: endpoint needs to be TCP or UDP');
  const { host, port } = hostPortOf(rest);
  if (port === undefined) throw invalid('gelf: please provide gelf-address as proto://host:port');
  return { kind: scheme, host: host === '' ? 'localhost' : host, port };
}

function hostPortOf(text: string): ReturnType<typeof splitHostPort> {
  try {
    return splitHostPort(text);
  } catch (error) {
    throw invalid('gelf: please provide gelf-address as proto://host:port', error);
  }
}
