/** Progress of what flows: Docker's lines with current and total bytes, not more often than people can see. */
import { Transform } from 'node:stream';
import type { Readable } from 'node:stream';
import type { ProgressSink } from '../core/ports/images.ts';

const INTERVAL_MS = 100;

export interface Meter {
  /** Layer's short id. */
  readonly id: string;
  readonly status: string;
  readonly total: number;
  /** Bytes that had come before. */
  readonly from?: number;
  readonly progress: ProgressSink;
}

/** Says what fraction has come, at most ten times a second, and at the end. */
export function meter({ id, status, total, from = 0, progress }: Meter): { add: (bytes: number) => void; end: () => void } {
  let current = from;
  let told = 0;
  const tell = (): void => progress({ kind: 'status', status, id, progress: { current, total }, layer: true });
  return {
    add(bytes) {
      current += bytes;
      const now = performance.now();
      if (now - told < INTERVAL_MS) return;
      told = now;
      tell();
    },
    end: tell,
  };
}

/** The stream itself, its bytes counted. */
export function metered(stream: Readable, options: Meter): Readable {
  const { add, end } = meter(options);
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      add(chunk.length);
      done(null, chunk);
    },
    flush(done) {
      end();
      done();
    },
  });
  // What nobody hears yet is kept for the reader.
  counter.on('error', () => {});
  stream.on('error', (error) => counter.destroy(error));
  counter.once('close', () => stream.destroy());
  return stream.pipe(counter);
}
