/**
 * An image archive put on disk, so that its parts can be read in any order. Files are stored under numbers: whatever names
 * an archive uses, absolute ones, `..`, links, they are only keys here and never paths of the host.
 */
import { open, mkdtemp, rm, statfs } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join, posix } from 'node:path';
import type { Readable } from 'node:stream';
import { invalid, unavailable } from '../../base/errors.ts';
import { textOf } from '../../base/tar/header.ts';
import type { TarEntry } from '../../base/tar/reader.ts';
import { readTar } from '../../base/tar/reader.ts';
import { decompress } from '../../sys/decompress.ts';
import { readBounded } from '../store.ts';

const MAX_ENTRIES = 100_000;
const MAX_LINKS = 16;
/** Left free on the data root's file system, for everybody else. */
const RESERVE = 32 * 1024 * 1024;

export interface SpooledFile {
  readonly path: string;
  readonly size: number;
}

export class Spool implements AsyncDisposable {
  readonly #folder: string;
  readonly #files = new Map<string, SpooledFile>();
  readonly #links = new Map<string, string>();
  #serial = 0;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /**
   * Reads a whole archive (plain or compressed) into a new folder in `parent`. Throws `invalid` for one that is damaged,
   * `unavailable` if there is no room; then nothing stays.
   */
  static async read(archive: Readable, parent: string, signal: AbortSignal): Promise<Spool> {
    // An error before anything is read must not go unheard.
    archive.on('error', () => {});
    const spool = new Spool(await mkdtemp(join(parent, 'archive-')));
    const stop = (): void => void archive.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      let entries = 0;
      for await (const entry of readTar(await decompress(archive))) {
        if (++entries > MAX_ENTRIES) throw invalid('archive has too many entries');
        await spool.#take(entry);
      }
      return spool;
    } catch (error) {
      await spool[Symbol.asyncDispose]();
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** The regular file of that name, links within the archive followed; undefined if there is none. */
  find(name: string): SpooledFile | undefined {
    let key = clean(name);
    for (let hops = 0; hops < MAX_LINKS; hops += 1) {
      const file = this.#files.get(key);
      if (file !== undefined) return file;
      const target = this.#links.get(key);
      if (target === undefined) return undefined;
      key = target;
    }
    return undefined;
  }

  /** The regular file of that name; throws `invalid` if the archive has none. */
  file(name: string): SpooledFile {
    const file = this.find(name);
    if (file === undefined) throw invalid(`invalid archive: ${JSON.stringify(name)} is missing`);
    return file;
  }

  /** The bytes of a small file. */
  async bytes(name: string, limit: number): Promise<Buffer> {
    const { path, size } = this.file(name);
    if (size > limit) throw invalid(`invalid archive: ${JSON.stringify(name)} is too large (${size} bytes)`);
    return readBounded(path, limit);
  }

  /** All names of regular files. */
  names(): string[] {
    return [...this.#files.keys()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #take(entry: TarEntry): Promise<void> {
    const name = clean(textOf(entry.header.name));
    const target = textOf(entry.header.linkName);
    switch (entry.header.type) {
      case 'file':
        this.#links.delete(name);
        this.#files.set(name, await this.#write(entry));
        break;
      case 'hardlink':
        this.#files.delete(name);
        this.#links.set(name, clean(target));
        break;
      case 'symlink':
        this.#files.delete(name);
        this.#links.set(name, clean(posix.isAbsolute(target) ? target : posix.join(posix.dirname(name), target)));
        break;
      default:
        // Directories are implied by the names in them; devices and the like have no business here.
        break;
    }
  }

  async #write(entry: TarEntry): Promise<SpooledFile> {
    const { size } = entry.header;
    await this.#checkRoom(size);
    const path = join(this.#folder, String(this.#serial++));
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of entry.body) await writeAll(file, chunk);
    } finally {
      await file.close();
    }
    return { path, size };
  }

  async #checkRoom(size: number): Promise<void> {
    const { bavail, bsize } = await statfs(this.#folder);
    if (size + RESERVE > bavail * bsize) throw unavailable(`no space left on device for ${size} bytes of the archive`);
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let offset = 0; offset < chunk.length;) {
    offset += (await file.write(chunk, offset)).bytesWritten;
  }
}

/** The name as a key: relative, without `.` and `..`. */
const clean = (name: string): string => posix.normalize(`/${name}`).slice(1).replace(/\/$/, '');
