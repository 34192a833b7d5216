/** What a container changed against its image (`docker diff`), by the rules of moby's `archive.ChangesDirs`. */
import { lstatSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { textOf } from '../../base/tar/header.ts';
import type { ByteString } from '../../base/tar/header.ts';
import type { Change } from '../../core/ports/layers.ts';
import { enter } from '../../sys/confinement.ts';
import { getXattr } from '../../sys/xattr.ts';
import { target } from './extractor.ts';
import { joinNames } from './names.ts';
import { sortedNames, unlessGone } from './packer.ts';
import type { Jobs } from './protocol.ts';
import { entries, lookup } from './union.ts';
import type { Directories, Found } from './union.ts';
import { isOpaque, isWhiteout } from './whiteouts.ts';

const MODIFIED = 0;
const ADDED = 1;
const DELETED = 2;

/** A change whose path is a byte string without the leading slash. */
export interface RawChange {
  path: ByteString;
  kind: Change['kind'];
}

export function changes(input: Jobs['changes']['input']): Change[] {
  return findChanges(input).map(({ path, kind }) => ({ path: `/${textOf(path)}`, kind }));
}

/** Sorted by path, so that a directory comes before what is in it. */
export function findChanges({ root, own, lower, whole }: Jobs['changes']['input']): RawChange[] {
  enter(root);
  const found: RawChange[] = [];
  compare({ own, lower, path: '', whole }, found);
  return found.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

interface Level {
  own: ByteString;
  lower: Directories;
  path: ByteString;
  /** Whether what is missing here is gone; else whiteouts say so. */
  whole: boolean;
}

/** True if anything at or below this level changed. */
function compare(level: Level, found: RawChange[]): boolean {
  const before = found.length;
  const names = sortedNames(level.own);
  for (const name of names) compareOne(level, name, found);
  if (level.whole) {
    const present = new Set(names);
    for (const [name] of entries(level.lower)) if (!present.has(name)) found.push({ path: joinNames(level.path, name), kind: DELETED });
  }
  return found.length > before;
}

function compareOne(level: Level, name: ByteString, found: RawChange[]): void {
  const own = joinNames(level.own, name);
  const path = joinNames(level.path, name);
  const stat = lstatSync(target(own), { bigint: true, throwIfNoEntry: false });
  if (stat === undefined) return;
  const below = lookup(level.lower, name);
  if (!level.whole && isWhiteout(stat)) {
    if (below !== undefined) found.push({ path, kind: DELETED });
    return;
  }
  const kind = below === undefined ? ADDED : differs({ stat, own }, below) ? MODIFIED : undefined;
  if (kind !== undefined) found.push({ path, kind });
  if (!stat.isDirectory()) return;
  const inside = compare({ own, lower: below?.directories ?? [], path, whole: level.whole || isOpaque(target(own)) }, found);
  if (inside && kind === undefined) found.push({ path, kind: MODIFIED });
}

/** A directory's own time and size say only that something in it changed. */
function differs({ stat, own }: { stat: BigIntStats; own: ByteString }, below: Found): boolean {
  const old = below.stat;
  if (stat.mode !== old.mode || stat.uid !== old.uid || stat.gid !== old.gid || stat.rdev !== old.rdev) return true;
  if (!stat.isDirectory() && (stat.mtimeNs !== old.mtimeNs || stat.size !== old.size)) return true;
  return !sameCapability(target(own), target(below.path));
}

function sameCapability(a: Buffer, b: Buffer): boolean {
  const [one, two] = [a, b].map((file) => unlessGone(() => getXattr(file, 'security.capability')));
  return one === undefined || two === undefined ? one === two : one.equals(two);
}
