/**
 * The answer of pull, push, load and import. Until there is something to tell it has no status, so that an error still
 * gets one of its own; after that errors are told in the stream.
 */
import type { Progress, ProgressSink } from '../core/ports/images.ts';
import { isKind } from '../base/errors.ts';
import { progressView } from '../wire/imageProgress.ts';
import type { ApiResponse, StreamWriter } from './respond.ts';

/** Lines that a slow client may lag behind before counts of bytes are left out. */
const MAX_BEHIND = 1000;

export interface ProgressOptions {
  /** Begin at once: every error is told in the stream (`load`). */
  readonly begun: boolean;
  /** Aborted when the client goes: then there is nobody to tell of a failure. */
  readonly signal: AbortSignal;
}

/** Runs `work` and sends what it tells. Throws what it throws if nothing was sent. */
export async function streamProgress(response: ApiResponse, { begun, signal }: ProgressOptions, work: (progress: ProgressSink) => Promise<unknown>): Promise<void> {
  const lines = new ProgressLines(response);
  if (begun) lines.begin();
  let failure: { error: unknown } | undefined;
  try {
    await work((progress) => lines.push(progress));
  } catch (error) {
    failure = { error };
  }
  const stream = await lines.drained();
  if (signal.aborted) return;
  if (failure === undefined) (stream ?? lines.begin()).end();
  else if (stream === undefined) throw failure.error;
  else await stream.fail(failure.error);
}

class ProgressLines {
  readonly #response: ApiResponse;
  readonly #queue: Progress[] = [];
  /** The client has gone; nobody reads any more. */
  #gone = false;
  #stream: StreamWriter | undefined;
  #writing: Promise<void> | undefined;

  constructor(response: ApiResponse) {
    this.#response = response;
  }

  begin(): StreamWriter {
    this.#stream ??= this.#response.stream({ separator: '\r\n' });
    return this.#stream;
  }

  push(progress: Progress): void {
    if (this.#gone) return;
    const counts = progress.kind === 'status' && progress.progress !== undefined;
    if (counts && this.#queue.length >= MAX_BEHIND) return;
    this.#queue.push(progress);
    this.#writing ??= this.#write(this.begin());
  }

  /** When all is written: the stream, undefined if there was nothing to tell. */
  async drained(): Promise<StreamWriter | undefined> {
    await this.#writing;
    return this.#stream;
  }

  async #write(stream: StreamWriter): Promise<void> {
    try {
      for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) await stream.line(progressView(next));
    } catch (error) {
      if (!isKind(error, 'unavailable')) throw error;
      this.#gone = true;
      this.#queue.length = 0;
    } finally {
      this.#writing = undefined;
    }
  }
}
