/** Copies directories, laid over one another, into a new place: owners, modes, times, xattrs and hard links kept. */
import { chmodSync, constants, copyFileSync, lchownSync, linkSync, mkdirSync, readlinkSync, symlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { enter } from '../../sys/confinement.ts';
import { makeNode, setTimes } from '../../sys/fileNodes.ts';
import { getXattr, listXattrs, setXattr } from '../../sys/xattr.ts';
import type { ByteString } from '../../base/tar/header.ts';
import { target } from './extractor.ts';
import { joinNames } from './names.ts';
import type { Jobs } from './protocol.ts';
import { entries } from './union.ts';
import type { Directories } from './union.ts';

export function copyTree({ root, from, to }: Jobs['copyTree']['input']): null {
  enter(root);
  new TreeCopy().directory(from, to);
  return null;
}

export class TreeCopy {
  readonly #links = new Map<string, ByteString>();
  copied = 0;

  /** Copies what is in the directories into one that is there. */
  directory(from: Directories, to: ByteString): void {
    for (const [name, found] of entries(from)) {
      const copy = joinNames(to, name);
      this.copied++;
      if (found.stat.isDirectory()) {
        mkdirSync(target(copy), 0o700);
        this.directory(found.directories, copy);
      } else if (!this.#make(found.path, copy, found.stat)) continue;
      copyAttributes(found.path, copy, found.stat);
    }
  }

  /** False if the thing needs no attributes of its own. */
  #make(from: ByteString, to: ByteString, stat: BigIntStats): boolean {
    if (stat.isSocket()) return false;
    const inode = `${stat.dev}:${stat.ino}`;
    const first = stat.nlink > 1n ? this.#links.get(inode) : undefined;
    if (first !== undefined) {
      linkSync(target(first), target(to));
      return false;
    }
    if (stat.nlink > 1n) this.#links.set(inode, to);
    if (stat.isFile()) copyFileSync(target(from), target(to), constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    else if (stat.isSymbolicLink()) symlinkSync(readlinkSync(target(from), 'buffer'), target(to));
    else makeNode(target(to), Number(stat.mode), stat.rdev);
    return true;
  }
}

/** Owner, xattrs, mode, times, in the order in which none undoes another. */
export function copyAttributes(from: ByteString, to: ByteString, stat: BigIntStats): void {
  const [source, copy] = [target(from), target(to)];
  lchownSync(copy, Number(stat.uid), Number(stat.gid));
  for (const name of listXattrs(source)) {
    const value = name.startsWith('trusted.overlay.') ? undefined : getXattr(source, name);
    if (value !== undefined) setXattr(copy, name, value);
  }
  if (!stat.isSymbolicLink()) chmodSync(copy, Number(stat.mode) & 0o7777);
  setTimes(copy, stat.atimeNs, stat.mtimeNs);
}
