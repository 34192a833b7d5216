/** Frames of a log taken apart again. */
import type { LogQuery, LogShape } from '../core/ports/logs.ts';

export interface Frame {
  readonly stream: 'stdout' | 'stderr';
  /** Empty where none was asked for. */
  readonly time: string;
  readonly text: string;
}

export const FRAMED: LogShape = { framed: true, timestamps: false, details: undefined };
export const TIMED: LogShape = { framed: true, timestamps: true, details: undefined };
export const EVERYTHING = { stdout: true, stderr: true, tail: -1, since: 0n, until: 0n } satisfies Partial<LogQuery>;

export function framesOf(bytes: Buffer, shape: LogShape = FRAMED): Frame[] {
  const frames: Frame[] = [];
  for (let at = 0; at < bytes.length; ) {
    const stream = bytes.readUInt32LE(at);
    if (stream !== 1 && stream !== 2) throw new Error(`no frame begins at ${at}`);
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    if (end > bytes.length) throw new Error('a frame is cut');
    const text = bytes.toString('utf8', at + 8, end);
    frames.push({ stream: stream === 1 ? 'stdout' : 'stderr', time: shape.timestamps ? text.slice(0, 30) : '', text: shape.timestamps ? text.slice(31) : text });
    at = end;
  }
  return frames;
}
