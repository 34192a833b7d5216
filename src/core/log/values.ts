/** Values of log options as Docker reads them: Go's numbers and booleans, sizes, durations, addresses. Each refuses with `invalid`. */
import { parseDuration } from '../../base/duration.ts';
import { invalid, messageOf } from '../../base/errors.ts';

/** The options of a container's log driver as given (`--log-opt`). */
export type LogConfig = Readonly<Record<string, string>>;

const syntaxError = (call: string, text: string): string => `strconv.${call}: parsing ${JSON.stringify(text)}: invalid syntax`;

/** undefined: not given, or empty. */
export function optionalBoolean(text: string | undefined, fail: (reason: string) => string): boolean | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(text)) return false;
  throw invalid(fail(syntaxError('ParseBool', text)));
}

/** undefined: not given, or empty. */
export function optionalInteger(text: string | undefined, fail: (reason: string) => string): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (!/^[+-]?\d{1,15}$/.test(text)) throw invalid(fail(syntaxError('Atoi', text)));
  return Number(text);
}

/** Bytes. `binary`: `10m` is 10 × 1024², else 10 × 1000² (go-units' RAMInBytes and FromHumanSize). −1 stands for no limit. */
export function optionalSize(text: string | undefined, unit: 'binary' | 'decimal', fail: (reason: string) => string): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (text === '-1') return -1;
  const match = /^(\d{1,15}(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?$/i.exec(text);
  const size = match === null ? Number.NaN : Number(match[1]) * (unit === 'binary' ? 1024 : 1000) ** ['', 'k', 'm', 'g', 't', 'p'].indexOf((match[2] ?? '').toLowerCase());
  if (!Number.isSafeInteger(Math.floor(size))) throw invalid(fail(`invalid size: '${text}'`));
  return Math.floor(size);
}

/** Milliseconds; undefined: not given, or empty. */
export function optionalDuration(text: string | undefined, fail: (reason: string) => string): number | undefined {
  if (text === undefined || text === '') return undefined;
  const ns = parseDuration(text);
  if (ns === undefined) throw invalid(fail(`time: invalid duration ${JSON.stringify(text)}`));
  return Number(ns / 1000n) / 1000;
}

export function checkPattern(pattern: string): void {
  try {
    new RegExp(pattern);
  } catch (error) {
    throw invalid(`error parsing regexp: ${messageOf(error)}`, error);
  }
}

/** `scheme://rest`; undefined if the text has not that form. */
export function splitScheme(address: string): { scheme: string; rest: string } | undefined {
  const match = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(address);
  return match === null ? undefined : { scheme: (match[1] ?? '').toLowerCase(), rest: match[2] ?? '' };
}

/** `host:port`, `[v6]:port`, or either without a port. Throws `invalid` if it is none. */
export function splitHostPort(text: string): { host: string; port: number | undefined } {
  const match = /^(?:\[([0-9a-f:.]+(?:%[\w.-]+)?)\]|([^:/?#\s[\]]*))(?::(\d+))?$/i.exec(text);
  if (match === null) throw invalid(`address ${text}: it is not host:port`);
  const port = match[3] === undefined ? undefined : Number(match[3]);
  if (port !== undefined && (port < 1 || port > 65_535)) throw invalid(`address ${text}: invalid port`);
  return { host: match[1] ?? match[2] ?? '', port };
}

/** The inverse of splitHostPort. */
export const joinHostPort = (host: string, port: number): string => `${host.includes(':') ? `[${host}]` : host}:${port}`;
