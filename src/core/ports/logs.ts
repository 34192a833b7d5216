/**
 * Reading container logs. A batch is columns rather than objects, so that the API can turn a log into stream frames
 * without an allocation per line; whoever has no hurry iterates it.
 */

export interface LogLine {
  readonly stream: 'stdout' | 'stderr';
  readonly timeNs: bigint;
  readonly attrs: Readonly<Record<string, string>> | undefined;
  /** One message as logged: a part of a long line has no final newline. */
  readonly data: Buffer;
}

export interface LogBatch extends Iterable<LogLine> {
  readonly count: number;
  /** The messages, one after another: message i is `data[ends[i - 1] .. ends[i]]` (from 0 for the first). */
  readonly data: Buffer;
  readonly ends: Uint32Array;
  /** 1 stdout, 2 stderr: Docker's frame types. */
  readonly streams: Uint8Array;
  /** 30 bytes per message: RFC 3339, UTC, nine digits (`docker logs -t`). */
  readonly times: Buffer;
  attrs(index: number): Readonly<Record<string, string>> | undefined;
}

export interface LogQuery {
  /** The present log file; rotated ones lie beside it as `.1`, `.2`, `.2.gz`, … */
  readonly path: string;
  readonly stdout: boolean;
  readonly stderr: boolean;
  /** How many messages from the end, counted over all files and both streams, before any other filter; −1 = all. */
  readonly tail: number;
  /** Inclusive, nanoseconds; 0n = unset. */
  readonly since: bigint;
  /** Inclusive, nanoseconds; 0n = unset. The first later message ends the reading. */
  readonly until: bigint;
  /** Go on with what is written, until the promise settles (the container ended, or was removed) and the last byte is read. */
  readonly follow?: Promise<unknown>;
  readonly signal?: AbortSignal;
  /** Told once at the end if lines were skipped because they could not be understood. */
  readonly onDamaged?: (lines: number) => void;
}

export interface LogPort {
  /** Batches in the order written; an abort ends the iteration. A missing log is an empty one. */
  read(query: LogQuery): AsyncIterable<LogBatch>;
}
