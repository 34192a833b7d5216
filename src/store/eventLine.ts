/** An event as a line of JSON, and back. */
import type { EngineEvent } from '../core/events.ts';

export function encodeEvent(event: EngineEvent): Record<string, unknown> {
  const { timeNs, shimSeq, ...rest } = event;
  return { ...rest, time: timeNs.toString(), ...(shimSeq === undefined ? {} : { seq: shimSeq.toString() }) };
}

export function decodeEvent(value: unknown): EngineEvent | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { time, seq, ...rest } = value as Record<string, unknown>;
  if (typeof rest['type'] !== 'string' || typeof rest['action'] !== 'string' || typeof time !== 'string') return undefined;
  return { ...(rest as unknown as EngineEvent), timeNs: BigInt(time), ...(typeof seq === 'string' ? { shimSeq: BigInt(seq) } : {}) };
}

/** Undefined for a line that a crash cut, or that is damaged: the others still count. */
export function parseEvent(line: string): EngineEvent | undefined {
  try {
    return decodeEvent(JSON.parse(line));
  } catch {
    return undefined;
  }
}
