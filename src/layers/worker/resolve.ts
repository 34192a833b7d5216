/** Paths of containers as Docker takes them, inside the root of a confined thread. */
import { lstatSync, readlinkSync } from 'node:fs';
import { errnoOf, invalid } from '../../base/errors.ts';
import { textOf } from '../../base/tar/header.ts';
import type { ByteString } from '../../base/tar/header.ts';
import { target } from './extractor.ts';
import { cleanName, joinNames, parentOf } from './names.ts';

/** As many as Docker's FollowSymlinkInScope follows. */
const MAX_LINKS = 255;

/** Absolute and clean, except that a slash or `/.` at the end, which says "what it leads to", stays. */
export function absolutePath(path: ByteString): ByteString {
  const clean = `/${cleanName(`/${path}`)}`;
  if (/(^|\/)\.$/.test(path)) return clean === '/' ? '/.' : `${clean}/.`;
  return path.endsWith('/') && clean !== '/' ? `${clean}/` : clean;
}

/** Go's `filepath.Base` of an absolute path. */
export function baseName(path: ByteString): ByteString {
  const trimmed = path.replace(/\/+$/, '');
  return trimmed === '' ? '/' : trimmed.slice(trimmed.lastIndexOf('/') + 1);
}

/**
 * Where a path leads when every symlink is followed, the last one too; without a leading slash. What does not exist is
 * kept as it is.
 */
export function followLinks(path: ByteString): ByteString {
  const todo = path.split('/').toReversed();
  let at = '';
  let links = 0;
  for (let part = todo.pop(); part !== undefined; part = todo.pop()) {
    if (part === '' || part === '.') continue;
    if (part === '..') {
      at = parentOf(at);
      continue;
    }
    const next = joinNames(at, part);
    const link = readLink(next);
    if (link === undefined) {
      at = next;
      continue;
    }
    if (++links > MAX_LINKS) throw invalid(`too many symbolic links in ${JSON.stringify(textOf(path))}`);
    if (link.startsWith('/')) at = '';
    todo.push(...link.split('/').toReversed());
  }
  return at;
}

function readLink(path: ByteString): ByteString | undefined {
  try {
    return lstatSync(target(path)).isSymbolicLink() ? readlinkSync(target(path), 'buffer').toString('latin1') : undefined;
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
