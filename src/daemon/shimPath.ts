/** Where the shim lies: beside a release's bundle, or where a checkout builds it. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { internal } from '../base/errors.ts';

export function shimPath(): string {
  const here = import.meta.dirname;
  const candidates = [path.join(here, 'moored-shim'), path.join(here, '..', 'libexec', 'moored-shim'), path.join(here, '..', '..', 'shim', 'build', 'moored-shim')];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw internal(`moored-shim is missing: looked for ${candidates.join(', ')}`);
  return found;
}
