/** API versions: what this engine announces, and what a request may ask for (moby's version middleware). */
import { invalid } from '../base/errors.ts';

/** A version of the Docker API, e.g. 1.51. */
export class ApiVersion {
  readonly #parts: readonly number[];
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    this.#parts = text.split('.').map((part) => Number.parseInt(part, 10) || 0);
  }

  /** Whether this is the given version or a later one: `version.atLeast('1.42')`. */
  atLeast(other: string): boolean {
    return this.#compare(new ApiVersion(other)) >= 0;
  }

  below(other: string): boolean {
    return !this.atLeast(other);
  }

  toString(): string {
    return this.text;
  }

  #compare(other: ApiVersion): number {
    for (let i = 0; i < Math.max(this.#parts.length, other.#parts.length); i += 1) {
      const difference = (this.#parts[i] ?? 0) - (other.#parts[i] ?? 0);
      if (difference !== 0) return difference;
    }
    return 0;
  }
}

export const MAX_API_VERSION = '1.51';
export const MIN_API_VERSION = '1.24';

/** The version that a path names; a path without one means the latest. Throws `invalid` outside the range. */
export function negotiate(asked: string | undefined): ApiVersion {
  if (asked === undefined) return new ApiVersion(MAX_API_VERSION);
  const version = new ApiVersion(asked);
  if (version.below(MIN_API_VERSION)) {
    throw invalid(
      `client version ${asked} is too old. Minimum supported API version is ${MIN_API_VERSION}, ` +
        'please upgrade your client to a newer version',
    );
  }
  if (!new ApiVersion(MAX_API_VERSION).atLeast(asked)) {
    throw invalid(`client version ${asked} is too new. Maximum supported API version is ${MAX_API_VERSION}`);
  }
  return version;
}
