/** Streams to and from a job in a worker thread. */
import { Readable } from 'node:stream';
import { Ring, RingClosed } from './ring.ts';

const PIECE = 256 * 1024;

/** A stream that fails before anybody reads it keeps its error for its reader, instead of ending the daemon with it. */
export function keepErrors(stream: Readable): Readable {
  return stream.on('error', () => {});
}

/**
 * Feeds a stream to a job. Rejects with the stream's error, the signal's reason or the job's error; the stream is
 * destroyed then. The job sees either all bytes or a failure.
 */
export async function feed<T>(source: Readable, start: (ring: SharedArrayBuffer) => Promise<T>, signal?: AbortSignal): Promise<T> {
  const ring = new Ring();
  const onAbort = (): void => void source.destroy(abortReason(signal));
  if (signal?.aborted === true) onAbort();
  else signal?.addEventListener('abort', onAbort, { once: true });
  const job = start(ring.memory);
  job.catch(() => {
    // A thread that died says nothing to the ring, and the source may be silent for long.
    ring.close();
    source.destroy();
  });
  try {
    const [fed, done] = await Promise.allSettled([pour(source, ring), job]);
    signal?.throwIfAborted();
    if (done.status === 'fulfilled') return done.value;
    const because = fed.status === 'rejected' ? (fed.reason as unknown) : undefined;
    // Whichever failed first made the other one fail.
    throw isRingClosed(done.reason) && because !== undefined ? because : done.reason;
  } finally {
    signal?.removeEventListener('abort', onAbort);
  }
}

async function pour(source: Readable, ring: Ring): Promise<void> {
  try {
    for await (const chunk of source) await ring.write(chunk as Uint8Array);
    ring.end();
  } catch (error) {
    ring.fail();
    throw error;
  }
}

/** The bytes that a job produces. The stream fails with the job's error; destroying it ends the job. */
export function drain(start: (ring: SharedArrayBuffer) => Promise<unknown>): Readable {
  const ring = new Ring();
  const job = start(ring.memory);
  // A job that failed ends the ring as broken; a thread that died does not.
  job.catch(() => ring.fail());
  return new Readable({
    highWaterMark: PIECE,
    read() {
      void (async () => {
        try {
          const chunk = await ring.read(PIECE);
          if (chunk === undefined) await job;
          this.push(chunk ?? null);
        } catch (error) {
          // Why the ring broke, the job knows.
          const [result] = await Promise.allSettled([job]);
          this.destroy(toError(result.status === 'rejected' ? result.reason : error));
        }
      })();
    },
    destroy(error, callback) {
      ring.close();
      void (async () => {
        await Promise.allSettled([job]);
        callback(error);
      })();
    },
  });
}

const toError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

const isRingClosed = (error: unknown): boolean => error instanceof RingClosed || (error instanceof Error && error.name === 'RingClosed');

const abortReason = (signal: AbortSignal | undefined): Error => (signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
