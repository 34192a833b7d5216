/** Writes files below the root of a confined thread as tar entries into a ring. Sockets are left out, as in Docker. */
import { closeSync, constants, fstatSync, lstatSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import { errnoOf } from '../../base/errors.ts';
import { tarHeader } from '../../base/tar/header.ts';
import type { ByteString, EntryType, TarHeader } from '../../base/tar/header.ts';
import { encodeHeader, TAR_END, tarPadding } from '../../base/tar/writer.ts';
import { majorOf, minorOf } from '../../sys/fileNodes.ts';
import { getXattr, listXattrs } from '../../sys/xattr.ts';
import type { Ring } from '../ring.ts';
import { target } from './extractor.ts';
import { joinNames } from './names.ts';
import { sendFile } from './sendFile.ts';

const TYPES: ReadonlyMap<number, EntryType> = new Map([
  [constants.S_IFREG, 'file'],
  [constants.S_IFDIR, 'directory'],
  [constants.S_IFLNK, 'symlink'],
  [constants.S_IFCHR, 'char'],
  [constants.S_IFBLK, 'block'],
  [constants.S_IFIFO, 'fifo'],
]);

const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

export interface PackRules {
  /** Looks at each thing before it is packed: `skip` leaves it out, with all below it. */
  visit?(packer: Packer, item: PackItem): 'pack' | 'skip';
  /** After a directory's own entry, before what is in it. */
  entered?(packer: Packer, item: PackItem): void;
}

export interface PackItem {
  /** Below the root, without a leading slash; empty for the root. */
  path: ByteString;
  /** Name in the archive. */
  name: ByteString;
  stat: BigIntStats;
}

export class Packer {
  readonly #ring: Ring;
  readonly #rules: PackRules;
  /** First name of each file with several. */
  readonly #links = new Map<string, ByteString>();

  constructor(ring: Ring, rules: PackRules = {}) {
    this.#ring = ring;
    this.#rules = rules;
  }

  /** Packs the thing at `path` as `name` and, if it is a directory, all below. What vanished meanwhile is left out. */
  tree(path: ByteString, name: ByteString): void {
    const stat = lstatSync(target(path), { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return;
    const item = { path, name, stat };
    if (this.#rules.visit?.(this, item) === 'skip') return;
    this.one(item);
    if (!stat.isDirectory()) return;
    this.#rules.entered?.(this, item);
    this.children(path, name);
  }

  /** Packs what is in a directory, in the order of the names' bytes. */
  children(path: ByteString, name: ByteString): void {
    for (const child of sortedNames(path)) this.tree(joinNames(path, child), joinNames(name, child));
  }

  /** Packs one thing without what is below it. */
  one({ path, name, stat }: PackItem): void {
    const type = TYPES.get(Number(stat.mode) & constants.S_IFMT);
    if (type === undefined) return;
    const header = tarHeader({ ...statHeader(stat), type, name });
    if (type === 'file') this.#file(header, path, stat);
    else if (type === 'symlink') this.#symlink(header, path);
    else {
      if (type === 'char' || type === 'block') Object.assign(header, { devMajor: majorOf(stat.rdev), devMinor: minorOf(stat.rdev) });
      if (type === 'directory') header.xattrs = xattrsOf(path);
      this.header(header);
    }
  }

  header(header: TarHeader): void {
    this.#ring.writeSync(encodeHeader(header));
  }

  finish(): void {
    this.#ring.writeSync(TAR_END);
    this.#ring.end();
  }

  #symlink(header: TarHeader, path: ByteString): void {
    const link = unlessGone(() => readlinkSync(target(path), 'buffer'));
    if (link === undefined) return;
    header.linkName = link.toString('latin1');
    header.mode = 0o777;
    this.header(header);
  }

  #file(header: TarHeader, path: ByteString, stat: BigIntStats): void {
    if (stat.nlink > 1n) {
      const inode = `${stat.dev}:${stat.ino}`;
      const first = this.#links.get(inode);
      if (first !== undefined) {
        this.header({ ...header, type: 'hardlink', linkName: first });
        return;
      }
    }
    const fd = unlessGone(() => openSync(target(path), READ));
    if (fd === undefined) return;
    try {
      const now = fstatSync(fd, { bigint: true });
      if (!now.isFile()) return;
      const size = Number(now.size);
      if (now.nlink > 1n) this.#links.set(`${now.dev}:${now.ino}`, header.name);
      this.header({ ...header, ...statHeader(now), size, xattrs: xattrsOf(path) });
      sendFile(this.#ring, fd, { path, size, pad: true });
      this.#ring.writeSync(tarPadding(size));
    } finally {
      closeSync(fd);
    }
  }
}

export const statHeader = (stat: BigIntStats): Pick<TarHeader, 'mode' | 'uid' | 'gid' | 'mtimeNs'> => ({
  mode: Number(stat.mode) & 0o7777,
  uid: Number(stat.uid),
  gid: Number(stat.gid),
  mtimeNs: stat.mtimeNs,
});

/** What is in a directory, in the order of the bytes; nothing if it vanished, as in a container that runs it may at any time. */
export const sortedNames = (path: ByteString): ByteString[] =>
  (unlessGone(() => readdirSync(target(path), { encoding: 'buffer' })) ?? []).map((name) => name.toString('latin1')).toSorted();

/** The result, or undefined if the thing is not there any more or is another by now. */
export function unlessGone<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'ELOOP', 'EINVAL'].includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** File capabilities and users' attributes; the others belong to the host (labels, ACLs, the overlay's own). */
function xattrsOf(path: ByteString): Map<ByteString, Buffer> {
  const result = new Map<ByteString, Buffer>();
  for (const name of unlessGone(() => listXattrs(target(path))) ?? []) {
    if (name !== 'security.capability' && !name.startsWith('user.')) continue;
    const value = unlessGone(() => getXattr(target(path), name));
    if (value !== undefined) result.set(name, value);
  }
  return result;
}

/** Runs a packing to its end; the reader learns of a failure. */
export function packInto(ring: Ring, pack: () => void): null {
  try {
    pack();
    return null;
  } catch (error) {
    ring.fail();
    throw error;
  }
}
