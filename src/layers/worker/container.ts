/** Jobs of `docker cp`, `docker export` and the filling of volumes: in a container's root, with its mounts over it. */
import { lstatSync, readdirSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import path from 'node:path';
import { conflict, errnoOf, invalid, notFound } from '../../base/errors.ts';
import { byteString, bytesOf, textOf } from '../../base/tar/header.ts';
import type { ByteString } from '../../base/tar/header.ts';
import { TarParser } from '../../base/tar/parser.ts';
import type { FsView, PathStat } from '../../core/ports/layers.ts';
import { enter, leave } from '../../sys/confinement.ts';
import { Ring } from '../ring.ts';
import { copyAttributes, TreeCopy } from './copyTree.ts';
import { Extractor, target } from './extractor.ts';
import type { ExtractRules } from './extractor.ts';
import { goFileMode } from './goFileMode.ts';
import { baseOf, joinNames, parentOf } from './names.ts';
import { Packer, packInto, sortedNames } from './packer.ts';
import type { Jobs } from './protocol.ts';
import { absolutePath, baseName, followLinks } from './resolve.ts';

export function statPath({ view, path: given }: Jobs['statPath']['input']): PathStat {
  enterView(view);
  return statOf(absolutePath(byteString(given)));
}

export function readPath({ view, path: given, sink }: Jobs['readPath']['input']): null {
  const ring = new Ring(sink);
  return packInto(ring, () => {
    enterView(view);
    const absolute = absolutePath(byteString(given));
    const stat = lstat(absolute);
    const packer = new Packer(ring);
    // A directory is entered through symlinks on the way, and through its own if the path says so with a slash.
    const real = stat.isDirectory() ? followLinks(absolute) : realParent(absolute);
    const name = baseName(absolute);
    if (stat.isDirectory()) packDirectory(packer, { real, name, stat });
    else packer.one({ path: real, name, stat });
    packer.finish();
  });
}

/** The root's own entry is `/`, and its children's names begin with a slash: clients know it so. */
function packDirectory(packer: Packer, { real, name, stat }: { real: ByteString; name: ByteString; stat: BigIntStats }): void {
  packer.one({ path: real, name, stat });
  const prefix = name === '/' ? '' : name;
  for (const child of sortedNames(real)) packer.tree(joinNames(real, child), `${prefix}/${child}`);
}

const realParent = (absolute: ByteString): ByteString => {
  const parent = followLinks(parentOf(absolute));
  return parent === '' ? baseOf(absolute) : `${parent}/${baseOf(absolute)}`;
};

export function writePath({ view, path: given, source, noOverwriteDirNonDir, owner }: Jobs['writePath']['input']): null {
  const ring = new Ring(source);
  let extractor: Extractor | undefined;
  try {
    enterView(view);
    const base = extractionPoint(view, given);
    extractor = new Extractor({ base, keepRoot: true, ...(owner === undefined ? {} : { owner }), ...(noOverwriteDirNonDir ? keepKinds(base) : {}) });
    const parser = new TarParser(extractor);
    ring.readSync((chunk) => parser.write(chunk));
    parser.end();
    extractor.finish();
    return null;
  } finally {
    extractor?.close();
    ring.close();
  }
}

/** The directory, all symlinks followed; refused if it is none, or where nothing may be written. */
function extractionPoint(view: FsView, given: string): ByteString {
  const base = followLinks(absolutePath(byteString(given)));
  if (!lstat(`/${base}`).isDirectory()) throw invalid('extraction point is not a directory');
  const mount = view.mounts
    .filter(({ target: over }) => isInside(`/${textOf(base)}`, over))
    .toSorted((a, b) => b.target.length - a.target.length)
    .at(0);
  if (mount?.readOnly === true) throw invalid('mounted volume is marked read-only');
  if (mount === undefined && view.readOnlyRoot) throw invalid('container rootfs is marked read-only');
  return base;
}

function isInside(file: string, directory: string): boolean {
  const relative = path.posix.relative(path.posix.normalize(directory), file);
  return relative !== '..' && !relative.startsWith('../');
}

/** `docker cp` does not put a file in a directory's place nor the other way round. */
const keepKinds = (base: ByteString): ExtractRules => ({
  beforeReplace(header, existing, file) {
    const [name, into] = [file, base].map((place) => JSON.stringify(`/${textOf(place)}`));
    if (existing.isDirectory() && header.type !== 'directory') throw invalid(`cannot overwrite directory ${name} with non-directory ${into}`);
    if (!existing.isDirectory() && header.type === 'directory') throw invalid(`cannot overwrite non-directory ${name} with directory ${into}`);
  },
});

export function packRoot({ root, sink }: Jobs['packRoot']['input']): null {
  const ring = new Ring(sink);
  return packInto(ring, () => {
    enter(root);
    const packer = new Packer(ring);
    packer.children('', '');
    packer.finish();
  });
}

/** The real path of a directory in a root, or undefined if there is none. */
export function findDirectory({ root, path: given }: Jobs['findDirectory']['input']): string | undefined {
  enter(root);
  const real = followLinks(absolutePath(byteString(given)));
  const stat = lstatSync(target(real), { throwIfNoEntry: false });
  return stat?.isDirectory() === true ? textOf(real) : undefined;
}

/**
 * Both directories are seen in an otherwise empty root: whoever else has the volume and puts symlinks into it leads the
 * copy nowhere.
 */
export function fillVolume({ scratch, from, to }: Jobs['fillVolume']['input']): boolean {
  enter(scratch, [
    { source: from, target: '/from', readOnly: true },
    { source: to, target: '/to', readOnly: false },
  ]);
  if (readdirSync('/to').length > 0) return false;
  const copy = new TreeCopy();
  copy.directory(['from'], 'to');
  copyAttributes('from', 'to', lstatSync('/from', { bigint: true }));
  return copy.copied > 0;
}

function enterView(view: FsView): void {
  try {
    enter(view.root, view.mounted ? [] : view.mounts);
  } catch (error) {
    leave();
    if (errnoOf(error) === 'ENOENT' && view.mounted) throw conflict('the container has just ended');
    throw error;
  }
}

function statOf(absolute: ByteString): PathStat {
  const stat = lstat(absolute);
  return {
    name: textOf(baseName(absolute)),
    size: Number(stat.size),
    mode: goFileMode(Number(stat.mode)),
    mtimeNs: stat.mtimeNs,
    linkTarget: stat.isSymbolicLink() ? `/${textOf(followLinks(absolute))}` : '',
  };
}

function lstat(absolute: ByteString): BigIntStats {
  try {
    return lstatSync(bytesOf(absolute), { bigint: true });
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT') throw notFound(`lstat ${textOf(absolute)}: no such file or directory`, error);
    if (code === 'ENOTDIR') throw invalid(`lstat ${textOf(absolute)}: not a directory`, error);
    if (code === 'ELOOP') throw invalid(`lstat ${textOf(absolute)}: too many levels of symbolic links`, error);
    throw error;
  }
}
