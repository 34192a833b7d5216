/** The one place where an error becomes an HTTP status, and its body. */
import { MooredError, messageOf } from '../base/errors.ts';
import type { ErrorKind } from '../base/errors.ts';

const STATUS: Readonly<Record<ErrorKind, number>> = {
  'not-found': 404,
  conflict: 409,
  invalid: 400,
  unauthorized: 401,
  forbidden: 403,
  unavailable: 503,
  'not-modified': 304,
  'not-implemented': 501,
  internal: 500,
};

/** The status of anything thrown; what is no MooredError is the engine's fault. */
export const httpStatus = (error: unknown): number => (error instanceof MooredError ? STATUS[error.kind] : 500);

/** Docker's error body. */
export const errorBody = (error: unknown): { message: string } => ({ message: messageOf(error) });
