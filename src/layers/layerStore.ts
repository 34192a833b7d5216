/**
 * Read-only layers on disk, the same for every driver: `ro/<chain>/` holds the files in overlayfs' form (`diff`), what is
 * needed to write the tar again (`split`) and the record (`layer.json`). A layer is made in `tmp/`, synced and renamed, so
 * it exists whole or not at all.
 */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, mkdtemp, open, readdir, rename, symlink } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { conflict, errnoOf, internal, invalid, messageOf, notFound } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/logger.ts';
import { KeyedMutex } from '../base/keyedMutex.ts';
import { readRecord, syncDirectory, writeRecord } from '../store/record.ts';
import { MNT_DETACH, syncfs, umount } from '../sys/mount.ts';
import { fileThreads } from './fileThreads.ts';
import { removeTree } from './removeTree.ts';
import { drain, feed, keepErrors } from './transfer.ts';

export interface LayerRecord {
  schema: 1;
  chainId: string;
  diffId: string;
  parent: string | null;
  size: number;
  /** Short name in `l/`, so that many layers fit into one mount's options. */
  link: string;
  /** False if a path came twice in the tar, so that it cannot be written again. */
  whole: boolean;
}

/** As in LayerPort.apply. */
export type ApplyOptions = { chainId: string; diffId: string; parent: string | null; signal?: AbortSignal };

const HEX = /^[0-9a-f]{64}$/;
const CHAIN_ID = /^sha256:([0-9a-f]{64})$/;

export class LayerStore {
  readonly root: string;
  readonly logger: Logger;
  // Jobs that last as long as their input does, jobs that wait for a reader, and all others do not stand in each other's way.
  readonly extracting = fileThreads(2);
  readonly streaming = fileThreads(8);
  readonly quick = fileThreads(2);
  readonly #layers = new Map<string, LayerRecord>();
  /** Whether there are layers of which nothing is known. */
  damaged = false;
  readonly #mutex = new KeyedMutex();
  /** Parents of layers that are being made. */
  readonly #awaited: string[] = [];

  private constructor(root: string, logger: Logger) {
    this.root = root;
    this.logger = logger;
  }

  /** Opens `<data root>/layers/<driver>`, made if missing; removes what a crash left half done. */
  static async open(root: string, logger: Logger): Promise<LayerStore> {
    const store = new LayerStore(root, logger);
    for (const name of ['', 'ro', 'rw', 'l', 'tmp', 'init', 'empty']) await mkdir(path.join(root, name), { recursive: true, mode: name === 'empty' ? 0o755 : 0o700 });
    await store.#recover();
    return store;
  }

  async close(): Promise<void> {
    await Promise.all([this.extracting.close(), this.streaming.close(), this.quick.close()]);
  }

  async #recover(): Promise<void> {
    for (const name of await readdir(this.#path('tmp'))) await this.#clean(this.#path('tmp', name));
    for (const name of await readdir(this.#path('ro'))) if (HEX.test(name)) await this.#load(name);
    const links = new Map([...this.#layers.values()].map((layer) => [layer.link, layer.chainId]));
    for (const name of await readdir(this.#path('l'))) if (!links.delete(name)) await this.#clean(this.#path('l', name));
    for (const [link, chainId] of links) await symlink(path.join('..', 'ro', hexOf(chainId), 'diff'), this.#path('l', link));
  }

  /** What a crash left is garbage, but no reason not to start. */
  async #clean(leftover: string): Promise<void> {
    try {
      await umount(path.join(leftover, 'merged'), MNT_DETACH);
    } catch {
      // Hardly ever is something mounted there.
    }
    try {
      await removeTree(leftover);
    } catch (error) {
      this.logger.warn('cannot remove what an interrupted operation left', { path: leftover, error: messageOf(error) });
    }
  }

  async #load(hex: string): Promise<void> {
    const record = await readRecord<LayerRecord>(this.#path('ro', hex, 'layer.json'), { schema: 1, parse: parseLayer });
    if (record.kind === 'ok' && hexOf(record.value.chainId) === hex) this.#layers.set(record.value.chainId, record.value);
    else {
      // Containers may be using it; it is left as it is.
      this.damaged = true;
      this.logger.warn('a layer has no readable record', { layer: hex, reason: record.kind });
    }
  }

  #path(...parts: string[]): string {
    return path.join(this.root, ...parts);
  }

  has(chainId: string): boolean {
    return this.#layers.has(chainId);
  }

  get(chainId: string): LayerRecord {
    const layer = this.#layers.get(chainId);
    if (layer === undefined) throw notFound(`layer ${chainId} does not exist`);
    return layer;
  }

  list(): string[] {
    return [...this.#layers.keys()];
  }

  /** The layer and all below it, topmost first. */
  chain(top: string | null): LayerRecord[] {
    const chain: LayerRecord[] = [];
    for (let id = top; id !== null; ) {
      const layer = this.get(id);
      chain.push(layer);
      id = layer.parent;
    }
    return chain;
  }

  layerPath(chainId: string, ...parts: string[]): string {
    return this.#path('ro', hexOf(chainId), ...parts);
  }

  diffPath(chainId: string): string {
    return this.layerPath(chainId, 'diff');
  }

  async apply(tar: Readable, options: ApplyOptions): Promise<{ size: number }> {
    keepErrors(tar);
    return this.#mutex.run(options.chainId, async () => {
      const there = this.#layers.get(options.chainId);
      if (there !== undefined) {
        tar.destroy();
        return { size: there.size };
      }
      hexOf(options.chainId);
      return this.holding(options.parent, () => this.#make(tar, options));
    });
  }

  async #make(tar: Readable, options: ApplyOptions): Promise<{ size: number }> {
    const staging = await this.staging('layer');
    try {
      const record = await this.#extract(tar, staging, options);
      await this.#publish(staging, record);
      return { size: record.size };
    } catch (error) {
      tar.destroy();
      await removeTree(staging);
      throw error;
    }
  }

  /** Keeps a layer, which must be there, from being removed while something is made upon it. */
  async holding<T>(chainId: string | null, work: () => Promise<T>): Promise<T> {
    if (chainId === null) return work();
    this.get(chainId);
    this.#awaited.push(chainId);
    try {
      return await work();
    } finally {
      this.#awaited.splice(this.#awaited.indexOf(chainId), 1);
    }
  }

  async #extract(tar: Readable, staging: string, options: ApplyOptions): Promise<LayerRecord> {
    const root = path.join(staging, 'diff');
    await mkdir(root, { mode: 0o755 });
    const split = path.join(staging, 'split');
    const result = await feed(tar, (source) => this.extracting.run('extractLayer', { root, split, source }), options.signal);
    if (result.diffId !== options.diffId) throw invalid(`invalid diffID for layer: expected "${options.diffId}", got "${result.diffId}"`);
    const { chainId, diffId, parent } = options;
    return { schema: 1, chainId, diffId, parent, size: result.size, link: randomBytes(8).toString('hex'), whole: result.whole };
  }

  async #publish(staging: string, record: LayerRecord): Promise<void> {
    await writeRecord(path.join(staging, 'layer.json'), record, { durable: false });
    await symlink(path.join('..', 'ro', hexOf(record.chainId), 'diff'), this.#path('l', record.link));
    await this.sync();
    await failpoint('layers.publish');
    await this.#replace(staging, this.layerPath(record.chainId));
    await syncDirectory(this.#path('ro'));
    this.#layers.set(record.chainId, record);
  }

  /** A layer of that name without a readable record is put aside: roots that are mounted over it keep it so. */
  async #replace(staging: string, place: string): Promise<void> {
    try {
      await rename(staging, place);
    } catch (error) {
      if (errnoOf(error) !== 'ENOTEMPTY' && errnoOf(error) !== 'EEXIST') throw error;
      await rename(place, `${place}.damaged-${randomBytes(4).toString('hex')}`);
      await rename(staging, place);
    }
  }

  /** Writes back everything below the root: once a layer, instead of once a file. */
  async sync(): Promise<void> {
    const directory = await open(this.root, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await syncfs(directory.fd);
    } finally {
      await directory.close();
    }
  }

  /** Refused while another layer stands on it, or a container: `user` names one if there is. */
  async remove(chainId: string, user: () => string | undefined): Promise<void> {
    await this.#mutex.run(chainId, async () => {
      const layer = this.#layers.get(chainId);
      if (layer === undefined) return;
      const child = this.list().find((other) => this.get(other).parent === chainId);
      if (child !== undefined) throw conflict(`layer ${chainId} is in use by layer ${child}`);
      const container = user();
      if (container !== undefined) throw conflict(`layer ${chainId} is in use by container ${container}`);
      if (this.#awaited.includes(chainId)) throw conflict(`layer ${chainId} is in use`);
      this.#layers.delete(chainId);
      await this.discard(this.layerPath(chainId));
      await removeTree(this.#path('l', layer.link));
    });
  }

  /** Removes a directory so that at no time a part of it stands in its place. A missing one is fine. */
  async discard(directory: string): Promise<void> {
    const doomed = this.#path('tmp', `gone-${randomBytes(8).toString('hex')}`);
    try {
      await rename(directory, doomed);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw error;
    }
    await failpoint('layers.discard');
    await removeTree(doomed);
  }

  /** A folder in `tmp/` that is removed at the next start if nobody renames it. */
  async staging(prefix: string): Promise<string> {
    return mkdtemp(this.#path('tmp', `${prefix}-`));
  }

  tar(chainId: string): Readable {
    const layer = this.get(chainId);
    if (!layer.whole) throw internal(`layer ${chainId} has a path more than once and cannot be written out again`);
    const input = { root: this.diffPath(chainId), split: this.layerPath(chainId, 'split') };
    return drain((sink) => this.streaming.run('assembleLayer', { ...input, sink }));
  }
}

function hexOf(chainId: string): string {
  const hex = CHAIN_ID.exec(chainId)?.[1];
  if (hex === undefined) throw invalid(`invalid chain id ${JSON.stringify(chainId)}`);
  return hex;
}

function parseLayer(value: Record<string, unknown>): LayerRecord {
  const { chainId, diffId, parent, size, link, whole } = value;
  const valid = typeof chainId === 'string' && typeof diffId === 'string' && (parent === null || typeof parent === 'string');
  if (!valid || typeof size !== 'number' || typeof link !== 'string' || !/^[0-9a-f]{16}$/.test(link)) throw new Error('a field is missing or wrong');
  return { schema: 1, chainId, diffId, parent, size, link, whole: whole === true };
}
