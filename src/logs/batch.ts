/** Messages of a log as columns (core/ports/logs.ts), and the builder that a parser fills. */
import { parseRfc3339 } from '../base/clock.ts';
import type { LogBatch, LogLine } from '../core/ports/logs.ts';

/** RFC 3339 with nine digits. */
export const TIME_BYTES = 30;
export const STDOUT = 1;
export const STDERR = 2;

export type Attrs = Readonly<Record<string, string>>;

class Columns implements LogBatch {
  readonly count: number;
  readonly data: Buffer;
  readonly ends: Uint32Array;
  readonly streams: Uint8Array;
  readonly times: Buffer;
  readonly #attrs: readonly (Attrs | undefined)[];

  constructor(columns: Omit<LogBatch, 'attrs' | typeof Symbol.iterator>, attrs: readonly (Attrs | undefined)[]) {
    this.count = columns.count;
    this.data = columns.data;
    this.ends = columns.ends;
    this.streams = columns.streams;
    this.times = columns.times;
    this.#attrs = attrs;
  }

  attrs(index: number): Attrs | undefined {
    return this.#attrs[index];
  }

  *[Symbol.iterator](): Iterator<LogLine> {
    let start = 0;
    for (let i = 0; i < this.count; i++) {
      const end = this.ends[i] ?? start;
      yield {
        stream: this.streams[i] === STDERR ? 'stderr' : 'stdout',
        timeNs: parseRfc3339(this.times.toString('latin1', i * TIME_BYTES, (i + 1) * TIME_BYTES)) ?? 0n,
        attrs: this.#attrs[i],
        data: this.data.subarray(start, end),
      };
      start = end;
    }
  }
}

/** Public fields: the parser's inner loop writes them directly. */
export class BatchBuilder {
  data: Buffer;
  /** How much of `data` is taken. */
  length = 0;
  count = 0;
  readonly ends: Uint32Array;
  readonly streams: Uint8Array;
  readonly times: Buffer;
  #attrs: (Attrs | undefined)[] = [];

  /** For the lines in so many bytes of log: a decoded message is never longer than its line, and a line has no less than 58 bytes. */
  constructor(logBytes: number) {
    const lines = Math.floor(logBytes / 58) + 1;
    this.data = Buffer.allocUnsafeSlow(logBytes);
    this.ends = new Uint32Array(lines);
    this.streams = new Uint8Array(lines);
    this.times = Buffer.allocUnsafeSlow(lines * TIME_BYTES);
  }

  /** Makes room in `data` for a message that became longer than its line. */
  reserve(bytes: number): void {
    if (this.length + bytes <= this.data.length) return;
    const larger = Buffer.allocUnsafeSlow(2 * this.data.length + bytes);
    this.data.copy(larger, 0, 0, this.length);
    this.data = larger;
  }

  /** The message ends at `length`, its time is written already. */
  commit(length: number, stream: number, attrs: Attrs | undefined): void {
    if (attrs !== undefined) this.#attrs[this.count] = attrs;
    this.streams[this.count] = stream;
    this.ends[this.count++] = length;
    this.length = length;
  }

  build(): LogBatch {
    const { count } = this;
    return new Columns(
      {
        count,
        data: this.data.subarray(0, this.length),
        ends: this.ends.subarray(0, count),
        streams: this.streams.subarray(0, count),
        times: this.times.subarray(0, count * TIME_BYTES),
      },
      this.#attrs,
    );
  }
}
