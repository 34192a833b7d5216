/**
 * Images on disk. An image exists when its record exists; the record is written after the config's bytes and after all
 * layers, and removed before them, so that whatever a crash leaves is either a whole image or garbage that
 * `recover` removes:
 *
 *     blobs/sha256/<hex>   the config, byte for byte as it came; its digest is the image's id
 *     records/<hex>.json   when it came, its parent, the sizes of its layers
 *     repositories.json    the names (references.ts)
 *     distribution/        where layers came from (distribution.ts)
 *     tmp/                 downloads and unpacked archives; emptied at start
 */
import { mkdir, open, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/logger.ts';
import { chainIds, sha256 } from '../core/image/chain.ts';
import { MAX_CONFIG_BYTES, decodeImageConfig } from '../core/image/config.ts';
import type { ImageConfig } from '../core/image/config.ts';
import type { Image } from '../core/image/image.ts';
import { familiarString } from '../core/image/reference.ts';
import { makeDirectory, readRecord, removeRecord, removeTemporaries, writeFileAtomic, writeRecord } from '../store/record.ts';
import { ReferenceStore } from './references.ts';

const SCHEMA = 1;

interface ImageRecord {
  schema: number;
  addedNs: bigint;
  /** Id of the image this one was committed from, or empty. */
  parent: string;
  /** Bytes of each layer's own files, lowest first. */
  layerSizes: number[];
  /** Removed by force while a container used it: no image any more, but its layers stay until the container is gone. */
  detached: boolean;
}

interface Entry {
  readonly config: ImageConfig;
  /** Chain ids of its layers, lowest first. */
  readonly chain: readonly string[];
  readonly record: ImageRecord;
}

export class ImageStore {
  readonly references: ReferenceStore;
  /** Empty at start; made for downloads and archives. */
  readonly temporary: string;
  readonly #root: string;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  /** Images that cannot be read: while there is one, nobody knows which layers are garbage. */
  readonly #unreadable: string[] = [];

  private constructor(root: string, clock: Clock, references: ReferenceStore) {
    this.#root = root;
    this.#clock = clock;
    this.references = references;
    this.temporary = join(root, 'tmp');
  }

  /** Reads what is there. An image that cannot be read is logged and left out; it never stops the others. */
  static async open(root: string, options: { clock: Clock; logger: Logger }): Promise<ImageStore> {
    for (const folder of ['blobs/sha256', 'records', 'distribution']) {
      await mkdir(join(root, folder), { recursive: true, mode: 0o700 });
    }
    await makeDirectory(root);
    const problem = (message: string): void => options.logger.error(message);
    const store = new ImageStore(root, options.clock, await ReferenceStore.open(root, problem));
    await rm(store.temporary, { recursive: true, force: true });
    await mkdir(store.temporary, { mode: 0o700 });
    await removeTemporaries(join(root, 'records'));
    for (const name of await readdir(join(root, 'records'))) {
      const hex = /^([a-f0-9]{64})\.json$/.exec(name)?.[1];
      if (hex !== undefined) await store.#load(`sha256:${hex}`, problem);
    }
    return store;
  }

  get(id: string): Image | undefined {
    const entry = this.#entries.get(id);
    return entry === undefined || entry.record.detached ? undefined : this.#image(id, entry);
  }

  list(): Image[] {
    return [...this.#entries].filter(([, { record }]) => !record.detached).map(([id, entry]) => this.#image(id, entry));
  }

  /** Ids that begin with these hex digits (`sha256:` may stand before them). */
  search(prefix: string): string[] {
    const digits = prefix.replace(/^sha256:/, '');
    if (!/^[a-f0-9]+$/.test(digits)) return [];
    return [...this.#entries].filter(([id, { record }]) => !record.detached && id.startsWith(`sha256:${digits}`)).map(([id]) => id);
  }

  /** The bytes of an image's config. */
  async configBytes(id: string): Promise<Buffer> {
    return readBounded(this.#blobPath(id), MAX_CONFIG_BYTES);
  }

  /** Adds an image whose layers are all there. The same bytes again are the same image. */
  async add(bytes: Uint8Array, options: { layerSizes: number[]; parent?: string }): Promise<Image> {
    const id = sha256(bytes);
    const known = this.#entries.get(id);
    if (known !== undefined && !known.record.detached) return this.#image(id, known);
    const config = decodeImageConfig(bytes);
    await writeFileAtomic(this.#blobPath(id), bytes, { durable: true, mode: 0o600 });
    const record: ImageRecord = {
      schema: SCHEMA,
      addedNs: this.#clock.nowNs(),
      parent: options.parent ?? '',
      layerSizes: options.layerSizes,
      detached: false,
    };
    const entry = { config, chain: chainIds(config.diffIds), record };
    await this.#write(id, entry);
    return this.#image(id, entry);
  }

  /** The image is gone for everybody but the containers that use it. */
  async detach(id: string): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry !== undefined) await this.#write(id, { ...entry, record: { ...entry.record, detached: true } });
  }

  /** Images that only containers keep. */
  detached(): string[] {
    return [...this.#entries].filter(([, { record }]) => record.detached).map(([id]) => id);
  }

  /** Forgets the image; its layers and names are the caller's. The chain ids it had, lowest first. */
  async remove(id: string): Promise<readonly string[]> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return [];
    await removeRecord(this.#recordPath(id));
    this.#entries.delete(id);
    await failpoint('image.remove');
    await rm(this.#blobPath(id), { force: true });
    return entry.chain;
  }

  /** Chain ids of everything that an image, whole or detached, is made of. */
  neededLayers(): Set<string> {
    return new Set([...this.#entries.values()].flatMap(({ chain }) => chain));
  }

  /** False while an image is unreadable: then nothing may be taken for garbage. */
  get complete(): boolean {
    return this.#unreadable.length === 0;
  }

  /** Removes config blobs that belong to no image. */
  async removeOrphanedBlobs(): Promise<void> {
    if (!this.complete) return;
    const folder = join(this.#root, 'blobs/sha256');
    for (const name of await readdir(folder)) {
      if (!this.#entries.has(`sha256:${name}`)) await rm(join(folder, name), { force: true });
    }
  }

  async #write(id: string, entry: Entry): Promise<void> {
    await writeRecord(this.#recordPath(id), entry.record);
    this.#entries.set(id, entry);
  }

  async #load(id: string, problem: (message: string) => void): Promise<void> {
    const read = await readRecord<ImageRecord>(this.#recordPath(id), { schema: SCHEMA, parse: parseImageRecord });
    if (read.kind === 'missing') return;
    try {
      if (read.kind === 'damaged') throw new Error(`${read.reason} (put aside as ${read.quarantined})`);
      if (read.kind === 'newer') throw new Error(`its record was written by a newer release (schema ${read.schema})`);
      const bytes = await this.configBytes(id);
      if (sha256(bytes) !== id) throw new Error('its config does not have the digest it should have');
      const config = decodeImageConfig(bytes);
      this.#entries.set(id, { config, chain: chainIds(config.diffIds), record: read.value });
    } catch (error) {
      this.#unreadable.push(id);
      problem(`image ${id} cannot be read and is left alone: ${messageOf(error)}`);
    }
  }

  #image(id: string, { config, record }: Entry): Image {
    const references = this.references.of(id);
    return {
      ...config,
      id,
      repoTags: references.filter(({ digest }) => digest === '').map(familiarString),
      repoDigests: references.filter(({ digest }) => digest !== '').map(familiarString),
      layerSizes: record.layerSizes,
      size: record.layerSizes.reduce((sum, size) => sum + size, 0),
      addedNs: record.addedNs,
      parent: record.parent,
    };
  }

  #recordPath(id: string): string {
    return join(this.#root, 'records', `${id.slice('sha256:'.length)}.json`);
  }

  #blobPath(id: string): string {
    return join(this.#root, 'blobs/sha256', id.slice('sha256:'.length));
  }
}

/** A file's bytes; an error if there are more than `limit`. */
export async function readBounded(path: string, limit: number): Promise<Buffer> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    if (size > limit) throw new Error(`${path} is too large (${size} bytes)`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function parseImageRecord(value: Record<string, unknown>): ImageRecord {
  const { addedNs, parent, layerSizes, detached } = value;
  if (typeof addedNs !== 'bigint' || typeof parent !== 'string' || !Array.isArray(layerSizes)) throw new Error('the record is not whole');
  const sizes = layerSizes.map((size: unknown) => {
    if (typeof size !== 'number') throw new Error('a layer size is no number');
    return size;
  });
  return { schema: SCHEMA, addedNs, parent, layerSizes: sizes, detached: detached === true };
}
