/** Time as the engine sees it: injected, so that tests can hold it still. */
export interface Clock {
  /** Wall clock, nanoseconds since the epoch. */
  nowNs(): bigint;
  /** Monotonic milliseconds, for durations. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  nowNs: wallNs,
  monotonicMs: () => performance.now(),
};

/** Wall time at the zero of `process.hrtime`. */
let zeroNs = BigInt(Math.round(performance.timeOrigin * 1000)) * 1000n - (process.hrtime.bigint() - BigInt(Math.round(performance.now() * 1e6)));

/** Further from `Date` than this is a step of the wall clock. */
const STEP_NS = 2_000_000n;

/** `Date` has only milliseconds: hrtime counts on from an anchor, which is moved when the wall clock was. So two events have the order of their times. */
function wallNs(): bigint {
  const hrtime = process.hrtime.bigint();
  const coarse = BigInt(Date.now()) * 1_000_000n;
  const ahead = zeroNs + hrtime - coarse;
  if (ahead < -STEP_NS || ahead > STEP_NS + 1_000_000n) zeroNs = coarse - hrtime;
  return zeroNs + hrtime;
}

/** Docker's zero time, which clients test for literally. */
export const ZERO_TIME = '0001-01-01T00:00:00Z';

/** RFC 3339 with nanoseconds, trailing zeros cut as Go's RFC3339Nano cuts them; UTC. 0n gives Docker's zero time. */
export function rfc3339Nano(ns: bigint): string {
  if (ns === 0n) return ZERO_TIME;
  const fixed = rfc3339Fixed(ns);
  return fixed.replace(/\.?0+Z$/, 'Z');
}

/** RFC 3339 with exactly nine digits of fraction (`docker logs -t`). */
export function rfc3339Fixed(ns: bigint): string {
  const seconds = ns / 1_000_000_000n;
  const fraction = (ns % 1_000_000_000n).toString().padStart(9, '0');
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction}Z`;
}

/** The inverse of both: nanoseconds since the epoch, or undefined if the text is no RFC 3339 time. */
export function parseRfc3339(text: string): bigint | undefined {
  const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)$/.exec(text);
  if (match === null) return undefined;
  const ms = Date.parse(`${match[1]}${match[3]}`);
  if (Number.isNaN(ms)) return undefined;
  if (text === ZERO_TIME) return 0n;
  return BigInt(ms) * 1_000_000n + BigInt((match[2] ?? '').padEnd(9, '0'));
}
