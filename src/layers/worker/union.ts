/**
 * Directories laid over one another, topmost first, as overlayfs would show them; without a mount. Symlinks are never
 * followed: only real directories are entered.
 */
import { lstatSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import type { ByteString } from '../../base/tar/header.ts';
import { target } from './extractor.ts';
import { joinNames } from './names.ts';
import { sortedNames } from './packer.ts';
import { isOpaque, isWhiteout } from './whiteouts.ts';

export type Directories = readonly ByteString[];

export interface Found {
  path: ByteString;
  stat: BigIntStats;
  /** Of a directory: those that show up as one under this name. */
  directories: Directories;
}

const look = (path: ByteString): BigIntStats | undefined => lstatSync(target(path), { bigint: true, throwIfNoEntry: false });

/** What is visible under a name, or undefined. */
export function lookup(directories: Directories, name: ByteString): Found | undefined {
  const merged: ByteString[] = [];
  let top: BigIntStats | undefined;
  for (const directory of directories) {
    const path = joinNames(directory, name);
    const stat = look(path);
    if (stat === undefined) continue;
    const hides = isWhiteout(stat) || !stat.isDirectory();
    if (top === undefined && hides) return isWhiteout(stat) ? undefined : { path, stat, directories: [] };
    if (hides) break;
    top ??= stat;
    merged.push(path);
    if (isOpaque(target(path))) break;
  }
  const [path] = merged;
  return top === undefined || path === undefined ? undefined : { path, stat: top, directories: merged };
}

/** The visible names in order, with what they are. */
export function* entries(directories: Directories): Generator<[name: ByteString, found: Found], void, undefined> {
  const names = directories.length === 1 ? sortedNames(directories[0] ?? '') : [...new Set(directories.flatMap(sortedNames))].toSorted();
  for (const name of names) {
    const found = lookup(directories, name);
    if (found !== undefined) yield [name, found];
  }
}
