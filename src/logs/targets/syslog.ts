/** Syslog messages as dockerd writes them, but with the time at which the container wrote (RFC 3164, RFC 5424, RFC 5425). */
import type { LogSubject } from '../../core/log/attributes.ts';
import { targetTag } from '../../core/log/attributes.ts';
import { syslogOptions } from '../../core/log/syslogOptions.ts';
import type { SyslogAddress, SyslogFormat } from '../../core/log/syslogOptions.ts';
import type { LogConfig } from '../../core/log/values.ts';
import { joinHostPort } from '../../core/log/values.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { UdpTarget, UnixDatagramTarget } from './datagramTarget.ts';
import { StreamTarget } from './streamTarget.ts';

const SEVERITY = { stdout: 6, stderr: 3 };
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
/** Where a host's own syslog may listen (RackSec/srslog). */
const LOCAL_PATHS = ['/dev/log', '/var/run/syslog', '/var/run/log'];

export interface SyslogHeader {
  readonly format: SyslogFormat;
  readonly facility: number;
  readonly hostname: string;
  readonly tag: string;
  readonly pid: number;
}

export function syslogTarget(config: LogConfig, subject: LogSubject): LogTarget {
  const { address, facility, format, tls } = syslogOptions(config);
  const header: SyslogHeader = { format, facility, hostname: subject.hostname, tag: targetTag(config, subject), pid: process.pid };
  const counted = address.kind === 'tls' && (format === 'rfc5424' || format === 'rfc5424micro');
  const encode = (message: LogMessage): Buffer[] => (message.text === '' ? [] : [encodeSyslog(message, header)]);
  const name = `syslog ${nameOf(address)}`;
  switch (address.kind) {
    case 'local':
      return new UnixDatagramTarget({ address: name, paths: LOCAL_PATHS, encode, longAsFile: false });
    case 'unixgram':
      return new UnixDatagramTarget({ address: name, paths: [address.path], encode, longAsFile: false });
    case 'udp':
      return new UdpTarget({ address: name, host: address.host, port: address.port, encode });
    default:
      return new StreamTarget({
        address: name,
        endpoint: address.kind === 'unix' ? address : { ...address, files: tls },
        encode: (messages) => ({ bytes: Buffer.concat(messages.flatMap(encode).map((bytes) => (counted ? frame(bytes) : bytes))) }),
      });
  }
}

function nameOf(address: SyslogAddress): string {
  switch (address.kind) {
    case 'local':
      return 'of this host';
    case 'unix':
    case 'unixgram':
      return `${address.kind}://${address.path}`;
    default:
      return `${address.kind === 'tls' ? 'tcp+tls' : address.kind}://${joinHostPort(address.host, address.port)}`;
  }
}

/** Octet counting (RFC 5425). */
const frame = (bytes: Buffer): Buffer => Buffer.concat([Buffer.from(`${bytes.length} `), bytes]);

/** One message, ended by a newline. */
export function encodeSyslog(message: LogMessage, { format, facility, hostname, tag, pid }: SyslogHeader): Buffer {
  const priority = facility * 8 + SEVERITY[message.stream];
  const at = new Date(Number(message.timeNs / 1_000_000n));
  switch (format) {
    case 'unix':
      return Buffer.from(`<${priority}>${stamp(at)} ${tag}[${pid}]: ${message.text}\n`);
    case 'rfc3164':
      return Buffer.from(`<${priority}>${stamp(at)} ${hostname} ${tag}[${pid}]: ${message.text}\n`);
    case 'rfc5424':
      return Buffer.from(`<${priority}>1 ${localTime(at, '')} ${hostname} ${tag} ${pid} ${tag} - ${message.text}\n`);
    case 'rfc5424micro':
      return Buffer.from(`<${priority}>1 ${localTime(at, `.${microseconds(message.timeNs)}`)} ${hostname} ${tag} ${pid} ${tag} - ${message.text}\n`);
  }
}

const two = (value: number): string => String(value).padStart(2, '0');
const microseconds = (timeNs: bigint): string => ((timeNs % 1_000_000_000n) / 1000n).toString().padStart(6, '0');

let lastSecond = Number.NaN;
let lastStamp = '';

/** Go's time.Stamp: local time, the day padded with a space. The last one is kept: most messages come in the same second as another. */
function stamp(at: Date): string {
  const second = Math.floor(at.getTime() / 1000);
  if (second === lastSecond) return lastStamp;
  lastSecond = second;
  lastStamp = `${MONTHS[at.getMonth()] ?? ''} ${String(at.getDate()).padStart(2, ' ')} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return lastStamp;
}

/** RFC 3339 in local time. */
function localTime(at: Date, fraction: string): string {
  const offset = -at.getTimezoneOffset();
  const zone = offset === 0 ? 'Z' : `${offset < 0 ? '-' : '+'}${two(Math.floor(Math.abs(offset) / 60))}:${two(Math.abs(offset) % 60)}`;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}T${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}${fraction}${zone}`;
}
