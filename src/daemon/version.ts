/** What this program is. */
import { readFileSync } from 'node:fs';

function readPackage(): { version: string; commit: string } {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  const parsed: unknown = JSON.parse(text);
  const get = (key: string): string => {
    const value: unknown = typeof parsed === 'object' && parsed !== null ? Reflect.get(parsed, key) : undefined;
    return typeof value === 'string' ? value : 'unknown';
  };
  // A release writes the commit that it was made from next to the version.
  return { version: get('version'), commit: get('commit') };
}

export const { version: VERSION, commit: COMMIT } = readPackage();
