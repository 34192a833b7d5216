/** `WWW-Authenticate` (RFC 9110, section 11): what a registry wants to see before it answers. */

export interface Challenge {
  /** Lower case: `bearer`, `basic`. */
  readonly scheme: string;
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>;
}

const MAX_HEADER = 16 * 1024;
const SCHEME = /\s*,?\s*([A-Za-z][A-Za-z0-9!#$%&'*+.^_`|~-]*)(?=[\s,]|$)/y;
const PARAMETER = /\s*,?\s*([A-Za-z0-9!#$%&'*+.^_`|~-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;

/** The challenges of a header; what cannot be read of it is left out. */
export function parseChallenges(header: string): Challenge[] {
  const challenges: Challenge[] = [];
  if (header.length > MAX_HEADER) return challenges;
  let offset = 0;
  for (;;) {
    SCHEME.lastIndex = offset;
    const scheme = SCHEME.exec(header);
    if (scheme === null) return challenges;
    offset = SCHEME.lastIndex;
    const parameters = new Map<string, string>();
    for (PARAMETER.lastIndex = offset; ; offset = PARAMETER.lastIndex) {
      const parameter = PARAMETER.exec(header);
      if (parameter === null) break;
      parameters.set((parameter[1] ?? '').toLowerCase(), parameter[2]?.replace(/\\(.)/g, '$1') ?? parameter[3] ?? '');
    }
    challenges.push({ scheme: (scheme[1] ?? '').toLowerCase(), parameters });
  }
}
