/** Reading container logs, in the form in which clients get them: nothing is made for a line, so that a log is read as fast as it is copied. */

export type LogAttrs = Readonly<Record<string, string>>;

/** How messages are sent, each by itself: a line stays a line. */
export interface LogShape {
  /** Each behind Docker's stream header (1 stdout, 2 stderr; its length); else bare, as a terminal's. */
  readonly framed: boolean;
  /** Each begins with its time: RFC 3339, UTC, nine digits, and a space. */
  readonly timestamps: boolean;
  /** What follows the time, from the message's attributes. */
  readonly details: ((attrs: LogAttrs | undefined) => string) | undefined;
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
  /** Messages in the order written, many at a time; an abort ends the iteration. A missing log is an empty one. */
  read(query: LogQuery, shape: LogShape): AsyncIterable<Buffer>;
}
