/** Options of the syslog driver (moby daemon/logger/syslog). */
import { invalid } from '../../base/errors.ts';
import { splitHostPort, splitScheme } from './values.ts';
import type { LogConfig } from './values.ts';

export type SyslogAddress =
  /** The host's own: /dev/log, or where else it may listen. */
  | { readonly kind: 'local' }
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'unixgram'; readonly path: string }
  | { readonly kind: 'udp'; readonly host: string; readonly port: number }
  | { readonly kind: 'tcp' | 'tls'; readonly host: string; readonly port: number };

/** `unix` is Docker's name for no format given: RFC 3164's without a host name. */
export type SyslogFormat = 'unix' | 'rfc3164' | 'rfc5424' | 'rfc5424micro';

export interface SyslogOptions {
  readonly address: SyslogAddress;
  /** 0–23. */
  readonly facility: number;
  readonly format: SyslogFormat;
  /** Files in PEM; undefined: not given. */
  readonly tls: { readonly ca: string | undefined; readonly cert: string | undefined; readonly key: string | undefined; readonly skipVerify: boolean };
}

const DEFAULT_PORT = 514;

const FACILITIES = [
  'kern', 'user', 'mail', 'daemon', 'auth', 'syslog', 'lpr', 'news', 'uucp', 'cron', 'authpriv', 'ftp', '', '', '', '',
  'local0', 'local1', 'local2', 'local3', 'local4', 'local5', 'local6', 'local7',
];
const DAEMON = 3;

/** Throws `invalid`. Whether the address can be reached, and the files be read, is not asked here. */
export function syslogOptions(config: LogConfig): SyslogOptions {
  return {
    address: addressOf(config['syslog-address'] ?? ''),
    facility: facilityOf(config['syslog-facility'] ?? ''),
    format: formatOf(config['syslog-format'] ?? ''),
    tls: {
      ca: given(config['syslog-tls-ca-cert']),
      cert: given(config['syslog-tls-cert']),
      key: given(config['syslog-tls-key']),
      // Its presence counts, whatever its value.
      skipVerify: config['syslog-tls-skip-verify'] !== undefined,
    },
  };
}

const given = (text: string | undefined): string | undefined => (text === '' ? undefined : text);

function addressOf(address: string): SyslogAddress {
  if (address === '') return { kind: 'local' };
  const split = splitScheme(address);
  if (split === undefined) throw invalid(`unsupported scheme: '${address.includes(':') ? address.slice(0, address.indexOf(':')) : ''}'`);
  const { scheme, rest } = split;
  if (scheme === 'unix' || scheme === 'unixgram') {
    if (!rest.startsWith('/')) throw invalid(`invalid syslog-address ${address}: the path is not absolute`);
    return { kind: scheme, path: rest };
  }
  if (scheme !== 'udp' && scheme !== 'tcp' && scheme !== 'tcp+tls') throw invalid(`unsupported scheme: '${scheme}'`);
  const { host, port } = splitHostPort(rest.replace(/\/$/, ''));
  return { kind: scheme === 'tcp+tls' ? 'tls' : scheme, host: host === '' ? 'localhost' : host, port: port ?? DEFAULT_PORT };
}

function facilityOf(facility: string): number {
  if (facility === '') return DAEMON;
  const named = FACILITIES.indexOf(facility);
  if (named >= 0) return named;
  if (/^\+?\d{1,2}$/.test(facility) && Number(facility) <= 23) return Number(facility);
  throw invalid('invalid syslog facility');
}

function formatOf(format: string): SyslogFormat {
  if (format === '') return 'unix';
  if (format === 'rfc3164' || format === 'rfc5424' || format === 'rfc5424micro') return format;
  throw invalid('Invalid syslog format');
}
