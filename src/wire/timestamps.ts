/** `since` and `until` as clients send them (moby's timetypes): seconds with a fraction, RFC 3339, or a duration ago. */
import { invalid } from '../base/errors.ts';
import { parseRfc3339 } from '../base/clock.ts';
import { parseDuration } from '../base/duration.ts';

const SECOND = 1_000_000_000n;

/**
 * Nanoseconds since the epoch; undefined for an empty text. Durations (`10m`) are taken back from `nowNs`; a local
 * time without a zone is taken as UTC. Throws `invalid`.
 */
export function parseTimestamp(text: string, nowNs: bigint): bigint | undefined {
  if (text === '') return undefined;
  const unix = /^(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?$/.exec(text);
  if (unix !== null) {
    const ns = BigInt(unix[2] ?? '0') * SECOND + BigInt((unix[3] ?? '').padEnd(9, '0'));
    return unix[1] === '-' ? -ns : ns;
  }
  const duration = parseDuration(text);
  if (duration !== undefined) return nowNs - duration;
  const ns = parseRfc3339(completed(text));
  if (ns === undefined) throw invalid(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return ns;
}

/** The shorter forms that Docker takes (`2026-11-23`, `2026-11-23T15:04`) made whole. */
function completed(text: string): string {
  const match = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d)(:\d\d(?:\.\d+)?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text);
  return match === null ? text : `${match[1]}T${match[2] ?? '00:00'}${match[3] ?? ':00'}${match[4] ?? 'Z'}`;
}
