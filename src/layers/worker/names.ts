/** Names in archives, as byte strings. */
import { invalid } from '../../base/errors.ts';
import { textOf } from '../../base/tar/header.ts';
import type { ByteString } from '../../base/tar/header.ts';

/**
 * The name as a path relative to the root: no empty parts, no `.` and `..`; empty for the root itself. As in Docker,
 * absolute names are taken from the root, and a relative one that leads out of it is refused.
 */
export function cleanName(name: ByteString): ByteString {
  const absolute = name.startsWith('/');
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined && !absolute) throw invalid(`${JSON.stringify(textOf(name))} is outside of "/"`);
  }
  return parts.join('/');
}

export const parentOf = (path: ByteString): ByteString => path.slice(0, Math.max(0, path.lastIndexOf('/')));
export const baseOf = (path: ByteString): ByteString => path.slice(path.lastIndexOf('/') + 1);
export const joinNames = (directory: ByteString, name: ByteString): ByteString => (directory === '' ? name : `${directory}/${name}`);
