/**
 * The one error type of the engine. A kind says what class of failure it is (and so, in `wire/`, which HTTP
 * status), the message names the object in Docker's words where Docker has words for it. Libraries throw; edges
 * (the API, the boot sequence, a background loop) log, once.
 */
export type ErrorKind =
  | 'not-found'
  | 'conflict'
  | 'invalid'
  | 'unauthorized'
  | 'forbidden'
  | 'unavailable'
  | 'not-modified'
  | 'not-implemented'
  | 'internal';

export class MooredError extends Error {
  readonly kind: ErrorKind;

  constructor(kind: ErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'MooredError';
    this.kind = kind;
  }
}

export const notFound = (message: string, cause?: unknown) => new MooredError('not-found', message, { cause });
export const conflict = (message: string, cause?: unknown) => new MooredError('conflict', message, { cause });
export const invalid = (message: string, cause?: unknown) => new MooredError('invalid', message, { cause });
export const unauthorized = (message: string, cause?: unknown) => new MooredError('unauthorized', message, { cause });
export const forbidden = (message: string, cause?: unknown) => new MooredError('forbidden', message, { cause });
export const unavailable = (message: string, cause?: unknown) => new MooredError('unavailable', message, { cause });
export const notModified = (message: string) => new MooredError('not-modified', message);
export const notImplemented = (message: string) => new MooredError('not-implemented', message);
export const internal = (message: string, cause?: unknown) => new MooredError('internal', message, { cause });

/** True for a MooredError of that kind. */
export const isKind = (error: unknown, kind: ErrorKind): error is MooredError =>
  error instanceof MooredError && error.kind === kind;

/** The errno name (`ENOENT`, …) of a system error, else undefined. */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;

/** The text of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
