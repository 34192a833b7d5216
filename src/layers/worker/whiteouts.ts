/**
 * Whiteouts (OCI image spec, "Representing Changes"): `.wh.name` hides `name` of the layers below, `.wh..wh..opq` all of
 * a directory. They speak of lower layers only, wherever in the archive they stand. On disk both are overlayfs' forms,
 * whichever driver uses the layer.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import type { BigIntStats, Stats } from 'node:fs';
import { errnoOf, invalid } from '../../base/errors.ts';
import { textOf } from '../../base/tar/header.ts';
import type { ByteString, TarHeader } from '../../base/tar/header.ts';
import { makeNode } from '../../sys/fileNodes.ts';
import { getXattr, setXattr } from '../../sys/xattr.ts';
import { target } from './extractor.ts';
import { baseOf, joinNames, parentOf } from './names.ts';
import { unlessGone } from './packer.ts';

export const WHITEOUT_PREFIX = '.wh.';
export const OPAQUE_NAME = '.wh..wh..opq';
/** Names of aufs' own bookkeeping, in old images. */
const META_PREFIX = '.wh..wh.';
const OPAQUE_XATTR = 'trusted.overlay.opaque';

const S_IFCHR = 0o020000;
const S_IFMT = 0o170000;

export const isWhiteout = (stat: Stats | BigIntStats): boolean => (Number(stat.mode) & S_IFMT) === S_IFCHR && Number(stat.rdev) === 0;
export const isOpaque = (directory: Buffer): boolean => unlessGone(() => getXattr(directory, OPAQUE_XATTR))?.toString('latin1') === 'y';

export class LayerWhiteouts {
  /** A whiteout that just gave way to an entry. */
  #lifted: ByteString | undefined;

  /** True if the entry is a whiteout, which is then on disk. */
  intercept(header: TarHeader, path: ByteString): boolean {
    const base = baseOf(path);
    if (!base.startsWith(WHITEOUT_PREFIX)) return false;
    if (base === OPAQUE_NAME) setOpaque(parentOf(path));
    else if (!base.startsWith(META_PREFIX)) hide(header, joinNames(parentOf(path), base.slice(WHITEOUT_PREFIX.length)));
    return true;
  }

  replaced(existing: Stats, path: ByteString): void {
    if (isWhiteout(existing)) this.#lifted = path;
  }

  /** After an entry was made: a directory in the place of a whiteout shows nothing of the layers below. */
  made(header: TarHeader): void {
    if (this.#lifted !== undefined && header.type === 'directory') setOpaque(this.#lifted);
    this.#lifted = undefined;
  }
}

function hide(header: TarHeader, path: ByteString): void {
  const name = baseOf(path);
  if (name === '' || name === '.' || name === '..') throw invalid(`invalid whiteout ${JSON.stringify(textOf(header.name))}`);
  for (let attempt = 0; ; attempt++) {
    try {
      makeNode(target(path), S_IFCHR, 0n);
      return;
    } catch (error) {
      const code = errnoOf(error);
      if (code === 'ENOENT' && attempt === 0) {
        mkdirSync(target(parentOf(path)), { recursive: true, mode: 0o755 });
        continue;
      }
      if (code !== 'EEXIST') throw error;
      // This layer's own: anything but a directory hides what is below by being there.
      if (lstatSync(target(path)).isDirectory()) setOpaque(path);
      return;
    }
  }
}

function setOpaque(directory: ByteString): void {
  mkdirSync(target(directory), { recursive: true, mode: 0o755 });
  // By its real name: the attribute must not be set on a symlink.
  setXattr(target(directory === '' ? '.' : `${directory}/.`), OPAQUE_XATTR, Buffer.from('y'));
}
