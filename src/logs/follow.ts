/** What is written to a log after it was read, over its rotations, until the container has ended. */
import type { LogBatch, LogQuery } from '../core/ports/logs.ts';
import { Changes } from './changes.ts';
import { blocks, content, inodeOf, openLog } from './files.ts';
import type { LogFile, OpenLog } from './files.ts';
import type { LogParser } from './parse.ts';

interface Position {
  readonly log: OpenLog;
  /** How far the present file has been read. */
  readonly at: number;
}

export async function* follow(query: LogQuery, parser: LogParser, start: Position): AsyncGenerator<LogBatch, void> {
  using changes = new Changes(query.path);
  await using follower = new Follower(query, parser, start);
  let ended = false;
  const wake = (): void => changes.notify();
  const end = (): void => {
    ended = true;
    changes.notify();
  };
  query.follow?.then(end, end);
  query.signal?.addEventListener('abort', wake, { once: true });
  try {
    for (;;) {
      // Asked before reading: whatever was written before the end is then read.
      const last = ended;
      yield* follower.advance();
      if (last || follower.done) return;
      await changes.next();
    }
  } finally {
    query.signal?.removeEventListener('abort', wake);
  }
}

class Follower implements AsyncDisposable {
  readonly #query: LogQuery;
  readonly #parser: LogParser;
  #present: LogFile | undefined;
  #at: number;
  /** What closes the present file, if it was opened here. */
  #log: OpenLog | undefined;

  constructor(query: LogQuery, parser: LogParser, { log, at }: Position) {
    this.#query = query;
    this.#parser = parser;
    this.#present = log.present;
    this.#at = at;
  }

  get done(): boolean {
    return this.#parser.finished || this.#query.signal?.aborted === true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#log?.[Symbol.asyncDispose]();
  }

  /** All that there is now. */
  async *advance(): AsyncGenerator<LogBatch, void> {
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
  async *#drain(): AsyncGenerator<LogBatch, void> {
    while (this.#present !== undefined) {
      const { size } = await this.#present.handle.stat();
      if (size < this.#at) {
        // Somebody emptied it.
        this.#parser.endFile();
        this.#at = 0;
      }
      if (size === this.#at) return;
      for await (const block of blocks(this.#present, this.#at, size)) {
        this.#at += block.length;
        yield* this.#parse(block);
        if (this.done) return;
      }
    }
  }

  /** From a file that was rotated away to the present one, through those in between. */
  async *#passOn(): AsyncGenerator<LogBatch, void> {
    const next = await openLog(this.#query.path, this.#present);
    const previous = this.#log;
    this.#log = next;
    await previous?.[Symbol.asyncDispose]();
    this.#parser.endFile();
    for (const file of next.rotated) {
      for await (const block of content(file)) {
        yield* this.#parse(block);
        if (this.done) return;
      }
      this.#parser.endFile();
    }
    this.#present = next.present;
    this.#at = 0;
  }

  *#parse(block: Buffer): Generator<LogBatch, void> {
    const batch = this.#parser.feed(block);
    if (batch !== undefined) yield batch;
  }
}
