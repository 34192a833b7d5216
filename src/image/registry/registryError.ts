/** What registries answer when they refuse, in the words that Docker gives it. */
import { MooredError, internal, notFound } from '../../base/errors.ts';
import { JsonSyntaxError, parseJson } from '../../base/json.ts';
import { objectsAt, text } from '../../core/image/jsonFields.ts';
import { familiarName, familiarString } from '../../core/image/reference.ts';
import type { Reference } from '../../core/image/reference.ts';
import { parseChallenges } from './challenge.ts';

/** A refusal: the registry was reached and said no. */
export class RegistryError extends MooredError {
  readonly status: number;
  /** `MANIFEST_UNKNOWN`, `DENIED` …; empty if it named none. */
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(status === 401 ? 'unauthorized' : 'internal', message);
    this.name = 'RegistryError';
    this.status = status;
    this.code = code;
  }

  /** Whether asking again may help. */
  get transient(): boolean {
    return this.status >= 500 || this.status === 408 || this.status === 429;
  }
}

const BY_STATUS: Readonly<Record<number, readonly [string, string]>> = {
  401: ['UNAUTHORIZED', 'authentication required'],
  403: ['DENIED', 'requested access to the resource is denied'],
  429: ['TOOMANYREQUESTS', 'too many requests'],
};

/** The error that an answer's status, challenges and body (its first bytes) mean. */
export function registryError(status: number, headers: { authenticate: string }, body: string): RegistryError {
  const [code, message] = (status === 401 ? bearerError(headers.authenticate) : undefined) ?? bodyError(body) ?? BY_STATUS[status] ?? ['', ''];
  if (code === '') return new RegistryError(status, '', `received unexpected HTTP status: ${status}`);
  return new RegistryError(status, code, `${code.toLowerCase().replaceAll('_', ' ')}: ${message}`);
}

/** RFC 6750, section 3.1: a token that is not good enough. */
function bearerError(header: string): readonly [string, string] | undefined {
  for (const { scheme, parameters } of parseChallenges(header)) {
    if (scheme !== 'bearer') continue;
    const description = parameters.get('error_description');
    const kind = parameters.get('error');
    if (kind === 'insufficient_scope') return ['DENIED', description ?? 'requested access to the resource is denied'];
    if (kind === 'invalid_token') return ['UNAUTHORIZED', description ?? 'authentication required'];
  }
  return undefined;
}

function bodyError(body: string): readonly [string, string] | undefined {
  try {
    const root = parseJson(body);
    if (!(root instanceof Map)) return undefined;
    const [first] = objectsAt(root, 'errors');
    if (first === undefined || text(first, 'code') === '') return undefined;
    // Somebody else's words go to a terminal: bounded, and no control characters.
    // eslint-disable-next-line no-control-regex -- they are what is removed
    const printable = (words: string): string => words.slice(0, 500).replace(/[\u0000-\u001f\u007f-\u009f]/g, ' ');
    return [printable(text(first, 'code')), printable(text(first, 'message'))];
  } catch (error) {
    if (error instanceof JsonSyntaxError || error instanceof MooredError) return undefined;
    throw error;
  }
}

/** A refusal as `docker pull` tells it: 404 with Docker's sentence for what is not there or not allowed. */
export function pullError(error: unknown, reference: Reference): unknown {
  if (!(error instanceof RegistryError)) return error;
  switch (error.code) {
    case 'DENIED':
      return notFound(`pull access denied for ${familiarName(reference)}, repository does not exist or may require 'docker login': ${error.message}`, error);
    case 'MANIFEST_UNKNOWN':
      return notFound(`manifest for ${familiarString(reference)} not found: ${error.message}`, error);
    case 'NAME_UNKNOWN':
      return notFound(`repository ${familiarName(reference)} not found: ${error.message}`, error);
    default:
      return internal(error.message, error);
  }
}
