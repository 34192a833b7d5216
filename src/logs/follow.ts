/** What is written to a log after it was read, over its rotations, until the container has ended. */
import { readSync } from 'node:fs';
import type { LogQuery } from '../core/ports/logs.ts';
import { Changes } from './changes.ts';
import type { Change } from './changes.ts';
import { content, inodeOf, openLog } from './files.ts';
import type { LogFile, OpenLog } from './files.ts';
import type { LogEncoder } from './encode.ts';

/** Held by each follower: small, since what it reads at once mostly is. */
const FOLLOW_BYTES = 64 * 1024;

interface Position {
  readonly log: OpenLog;
  /** How far the present file has been read. */
  readonly at: number;
}

export async function* follow(query: LogQuery, encoder: LogEncoder, start: Position): AsyncGenerator<Buffer, void> {
  using changes = new Changes(query.path);
  await using follower = new Follower(query, encoder, start);
  let ended = false;
  const wake = (): void => changes.notify();
  const end = (): void => {
    ended = true;
    changes.notify();
  };
  query.follow?.then(end, end);
  query.signal?.addEventListener('abort', wake, { once: true });
  try {
    let change: Change = 'anything';
    for (;;) {
      // Asked before reading: whatever was written before the end is then read.
      const last = ended;
      if (last || change === 'anything' || !(yield* follower.takeWritten())) yield* follower.advance();
      if (last || follower.done) return;
      change = await changes.next();
    }
  } finally {
    query.signal?.removeEventListener('abort', wake);
  }
}

class Follower implements AsyncDisposable {
  readonly #query: LogQuery;
  readonly #encoder: LogEncoder;
  readonly #buffer = Buffer.allocUnsafeSlow(FOLLOW_BYTES);
  #present: LogFile | undefined;
  #at: number;
  /** What closes the present file, if it was opened here. */
  #log: OpenLog | undefined;

  constructor(query: LogQuery, encoder: LogEncoder, { log, at }: Position) {
    this.#query = query;
    this.#encoder = encoder;
    this.#present = log.present;
    this.#at = at;
  }

  get done(): boolean {
    return this.#encoder.finished || this.#query.signal?.aborted === true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log?.[Symbol.asyncDispose]();
  }

  /**
   * What was just written lies in memory: it is read on the spot, since a turn through another thread is most of what a line
   * takes to its reader. False if there is more to it.
   */
  *takeWritten(): Generator<Buffer, boolean> {
    if (this.#present === undefined) return false;
    const bytes = readSync(this.#present.handle.fd, this.#buffer, 0, this.#buffer.length, this.#at);
    if (bytes === 0) return false;
    this.#at += bytes;
    yield* this.#encode(this.#buffer.subarray(0, bytes));
    return bytes < this.#buffer.length;
  }

  /** All that there is now. */
  async *advance(): AsyncGenerator<Buffer, void> {
    for (;;) {
      yield* this.#drain();
      if (this.done) return;
      const inode = await inodeOf(this.#query.path);
      if (inode === undefined || inode === this.#present?.stat.ino) return;
      // Renamed since: what was written before that is in the old file, and everything later is not.
      yield* this.#drain();
      yield* this.#passOn();
      if (this.done) return;
    }
  }

  /** The present file to its end. */
  async *#drain(): AsyncGenerator<Buffer, void> {
    while (this.#present !== undefined) {
      // Read at once: asking for the size first would be one more turn between a line and who waits for it.
      const { bytesRead } = await this.#present.handle.read(this.#buffer, 0, this.#buffer.length, this.#at);
      if (bytesRead > 0) {
        this.#at += bytesRead;
        yield* this.#encode(this.#buffer.subarray(0, bytesRead));
        if (this.done) return;
        if (bytesRead === this.#buffer.length) continue;
      }
      const { size } = await this.#present.handle.stat();
      if (size === this.#at) return;
      if (size > this.#at) continue;
      // Somebody emptied it.
      this.#encoder.endFile();
      this.#at = 0;
    }
  }

  /** From a file that was rotated away to the present one, through those in between. */
  async *#passOn(): AsyncGenerator<Buffer, void> {
    const next = await openLog(this.#query.path, this.#present);
    const previous = this.#log;
    this.#log = next;
    await previous?.[Symbol.asyncDispose]();
    this.#encoder.endFile();
    for (const file of next.rotated) {
      for await (const block of content(file)) {
        yield* this.#encode(block);
        if (this.done) return;
      }
      this.#encoder.endFile();
    }
    this.#present = next.present;
    this.#at = 0;
  }

  *#encode(block: Buffer): Generator<Buffer, void> {
    const out = this.#encoder.feed(block);
    if (out !== undefined) yield out;
  }
}
