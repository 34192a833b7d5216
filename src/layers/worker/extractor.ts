/**
 * Makes files of tar entries, below the root of a confined thread. Synchronous. Order matters: content, owner, xattrs,
 * mode (a change of owner clears setuid and capabilities), time; the times of directories last of all.
 */
import { chmodSync, closeSync, constants, fchmodSync, fchownSync, ftruncateSync, lchownSync, linkSync, lstatSync, mkdirSync, openSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import type { Stats } from 'node:fs';
import { errnoOf, invalid, messageOf } from '../../base/errors.ts';
import { bytesOf, textOf } from '../../base/tar/header.ts';
import type { ByteString, TarHeader } from '../../base/tar/header.ts';
import type { TarHandler } from '../../base/tar/parser.ts';
import { makeDevice, makeNode, setTimes } from '../../sys/fileNodes.ts';
import { setXattr } from '../../sys/xattr.ts';
import { cleanName, joinNames, parentOf } from './names.ts';
import { writeAll } from './split.ts';

/** What is special about an extraction. */
export interface ExtractRules {
  /** Directory below the root into which names go, clean and without a leading slash; empty for the root. */
  base?: ByteString;
  /** Decides about an entry before it is made: true if it is dealt with. */
  intercept?(header: TarHeader, path: ByteString): boolean;
  /** Called before something that is there gives way; may refuse. `replaced` is called when it is gone. */
  beforeReplace?(header: TarHeader, existing: Stats, path: ByteString): void;
  replaced?(existing: Stats, path: ByteString): void;
  owner?: { uid: number; gid: number };
  /** Leaves an existing root directory's owner, mode and times alone. */
  keepRoot?: boolean;
}

const WRITE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
const NODE_TYPES = { char: constants.S_IFCHR, block: constants.S_IFBLK, fifo: constants.S_IFIFO } as const;

export class Extractor implements TarHandler {
  readonly #rules: ExtractRules;
  readonly #base: ByteString;
  readonly #directories = new Map<ByteString, bigint>();
  #file: { fd: number; path: ByteString; header: TarHeader; end: number } | undefined;
  /** Bytes of all files that were made. */
  size = 0;

  constructor(rules: ExtractRules = {}) {
    this.#rules = rules;
    this.#base = rules.base ?? '';
  }

  entry(header: TarHeader): void {
    try {
      this.#entry(header);
    } catch (error) {
      throw naming(error, header);
    }
  }

  #entry(header: TarHeader): void {
    const name = cleanName(header.name);
    const path = joinNames(this.#base, name);
    if (this.#rules.intercept?.(header, path) === true) return;
    if (name === '') {
      // The root is there; an entry for it can only say what it is like.
      if (header.type === 'directory' && this.#rules.keepRoot !== true) this.#finish(path, header);
      return;
    }
    if (header.type === 'file') {
      this.size += header.size;
      this.#create(header, path, () => this.#open(header, path));
      return;
    }
    this.#create(header, path, () => this.#make(header, path));
    if (header.type !== 'hardlink') this.#finish(path, header);
  }

  data(chunk: Buffer, position: number): void {
    if (this.#file === undefined) return;
    try {
      writeAll(this.#file.fd, chunk, position);
    } catch (error) {
      throw naming(error, this.#file.header);
    }
    this.#file.end = position + chunk.length;
  }

  endEntry(): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    try {
      // A hole at the end.
      if (file.end < file.header.size) ftruncateSync(file.fd, file.header.size);
      this.#finish(file.path, file.header, file.fd);
    } catch (error) {
      throw naming(error, file.header);
    } finally {
      closeSync(file.fd);
    }
  }

  /** Whether the content of the last entry goes to a file. */
  get isWriting(): boolean {
    return this.#file !== undefined;
  }

  /** After the last entry. */
  finish(): void {
    for (const [path, mtime] of this.#directories) {
      try {
        setTimes(target(path), mtime, mtime);
      } catch (error) {
        if (!isGone(error)) throw error;
      }
    }
  }

  /** Closes what an error left open. */
  close(): void {
    if (this.#file !== undefined) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  /** Tries to make a thing; makes its parents, or room in its place, and tries again. */
  #create(header: TarHeader, path: ByteString, make: () => void): void {
    for (let attempt = 0; ; attempt++) {
      try {
        make();
        return;
      } catch (error) {
        const code = errnoOf(error);
        if (attempt >= 2 || (code !== 'ENOENT' && code !== 'EEXIST')) throw error;
        if (code === 'ENOENT') mkdirSync(target(parentOf(path)), { recursive: true, mode: 0o755 });
        else if (this.#makeRoom(header, path) === 'keep') return;
      }
    }
  }

  /** A directory that meets a directory joins it; everything else gives way. */
  #makeRoom(header: TarHeader, path: ByteString): 'keep' | 'gone' {
    const existing = lstatSync(target(path));
    this.#rules.beforeReplace?.(header, existing, path);
    if (existing.isDirectory() && header.type === 'directory') return 'keep';
    if (existing.isDirectory()) rmSync(target(path), { recursive: true });
    else unlinkSync(target(path));
    this.#directories.delete(path);
    this.#rules.replaced?.(existing, path);
    return 'gone';
  }

  #open(header: TarHeader, path: ByteString): void {
    this.#file = { fd: openSync(target(path), WRITE_NEW, 0o600), path, header, end: 0 };
  }

  #make(header: TarHeader, path: ByteString): void {
    const file = target(path);
    switch (header.type) {
      case 'directory':
        mkdirSync(file, 0o700);
        return;
      case 'symlink':
        symlinkSync(bytesOf(header.linkName), file);
        return;
      case 'hardlink':
        this.#link(header, file);
        return;
      case 'char':
      case 'block':
      case 'fifo':
        makeNode(file, NODE_TYPES[header.type] | 0o600, header.type === 'fifo' ? 0n : makeDevice(header.devMajor, header.devMinor));
        return;
      case 'file':
    }
  }

  #link(header: TarHeader, file: Buffer): void {
    const source = target(joinNames(this.#base, cleanName(header.linkName)));
    try {
      linkSync(source, file);
    } catch (error) {
      // ENOENT is either side's; `#create` can only help with the new name's parent.
      if (errnoOf(error) === 'ENOENT') lstatSync(source);
      throw error;
    }
  }

  #finish(path: ByteString, header: TarHeader, fd?: number): void {
    const file = target(path);
    const { uid, gid } = this.#rules.owner ?? header;
    if (fd === undefined) lchownSync(file, uid, gid);
    else fchownSync(fd, uid, gid);
    for (const [name, value] of header.xattrs) putXattr(file, name, value);
    if (fd !== undefined) fchmodSync(fd, header.mode);
    else if (header.type !== 'symlink') chmodSync(file, header.mode);
    // Go's time before the epoch is the epoch, as Docker does it.
    const mtime = header.mtimeNs < 0n ? 0n : header.mtimeNs;
    if (header.type === 'directory') this.#directories.set(path, mtime);
    else setTimes(file, mtime, mtime);
  }
}

/** The overlay driver's own attributes come from nobody else; what the filesystem cannot hold is left out, as in Docker. */
function putXattr(file: Buffer, name: ByteString, value: Buffer): void {
  if (name.startsWith('trusted.overlay.')) return;
  try {
    setXattr(file, name, value);
  } catch (error) {
    const code = errnoOf(error);
    const unsupported = code === 'ENOTSUP' || code === 'EOPNOTSUPP' || (code === 'EPERM' && name.startsWith('user.'));
    if (!unsupported) throw error;
  }
}

export const target = (path: ByteString): Buffer => bytesOf(`/${path}`);

const isGone = (error: unknown): boolean => ['ENOENT', 'ENOTDIR', 'ELOOP'].includes(errnoOf(error) ?? '');

/** What is wrong with an entry's name or numbers is the archive's fault, the rest the system's. */
function naming(error: unknown, header: TarHeader): unknown {
  const code = errnoOf(error);
  if (code === 'ERR_OUT_OF_RANGE' || code === 'ERR_INVALID_ARG_VALUE' || code === 'ENAMETOOLONG') {
    return invalid(`invalid entry ${JSON.stringify(textOf(header.name))} in the archive: ${messageOf(error)}`, error);
  }
  // A call on a descriptor or of libc's does not say which file it was about.
  if (error instanceof Error && 'syscall' in error && !('path' in error)) return Object.assign(error, { path: `/${textOf(header.name)}` });
  return error;
}
