/** Containers' writable layers on disk, the same for every driver: `rw/<id>/` with a record that says what they stand on. */
import { mkdir, readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { conflict, invalid, notFound } from '../base/errors.ts';
import { readRecord, syncDirectory, syncFile, writeRecord } from '../store/record.ts';
import type { LayerStore } from './layerStore.ts';

export interface RwRecord {
  schema: 1;
  id: string;
  parent: string | null;
}

const ID = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$/;

export class RwStore {
  readonly #layers: LayerStore;
  readonly #records = new Map<string, RwRecord>();
  /** Those whose record cannot be read: they stay where they are. */
  readonly #damaged = new Set<string>();

  private constructor(layers: LayerStore) {
    this.#layers = layers;
  }

  static async open(layers: LayerStore): Promise<RwStore> {
    const store = new RwStore(layers);
    for (const id of await readdir(path.join(layers.root, 'rw'))) await store.#load(id);
    return store;
  }

  async #load(id: string): Promise<void> {
    const record = await readRecord<RwRecord>(this.path(id, 'layer.json'), { schema: 1, parse: parseRw });
    if (record.kind === 'ok') this.#records.set(id, record.value);
    else {
      this.#damaged.add(id);
      this.#layers.logger.warn('the layer of a container has no readable record', { container: id, reason: record.kind });
    }
  }

  path(id: string, ...parts: string[]): string {
    if (!ID.test(id)) throw invalid(`invalid container id ${JSON.stringify(id)}`);
    return path.join(this.#layers.root, 'rw', id, ...parts);
  }

  has(id: string): boolean {
    return this.#records.has(id);
  }

  get(id: string): RwRecord {
    const record = this.#records.get(id);
    if (record === undefined) throw notFound(`the layer of container ${id} does not exist`);
    return record;
  }

  list(): string[] {
    return [...this.#records.keys(), ...this.#damaged];
  }

  /** A container that stands on the layer, or undefined. Unreadable ones could stand on anything. */
  userOf(chainId: string): string | undefined {
    for (const record of this.#records.values()) if (record.parent === chainId) return record.id;
    return this.#damaged.values().next().value;
  }

  /** Makes `rw/<id>`, filled by `fill` before it appears. If it is there already, for the same parent, that is fine. */
  async create(id: string, parent: string | null, fill: (directory: string) => Promise<void>): Promise<void> {
    this.path(id);
    const there = this.#records.get(id);
    if (there?.parent === parent) return;
    if (there !== undefined || this.#damaged.has(id)) throw conflict(`container ${id} has a layer already`);
    await this.#layers.holding(parent, () => this.#make({ schema: 1, id, parent }, fill));
  }

  async #make(record: RwRecord, fill: (directory: string) => Promise<void>): Promise<void> {
    const target = this.path(record.id);
    const staging = await this.#layers.staging('rw');
    try {
      await fill(staging);
      await writeRecord(path.join(staging, 'layer.json'), record, { durable: false });
      await rename(staging, target);
      // Side by side: the disk is flushed once for all three.
      await Promise.all([syncFile(path.join(target, 'layer.json')), syncDirectory(target), syncDirectory(path.dirname(target))]);
      this.#records.set(record.id, record);
    } catch (error) {
      await this.#layers.discard(staging);
      throw error;
    }
  }

  async remove(id: string): Promise<void> {
    await this.#layers.discard(this.path(id));
    this.#records.delete(id);
    this.#damaged.delete(id);
  }
}

/** Subfolders of a layer under construction. */
export async function makeFolders(directory: string, folders: Record<string, number>): Promise<void> {
  for (const [name, mode] of Object.entries(folders)) await mkdir(path.join(directory, name), { mode });
}

function parseRw(value: Record<string, unknown>): RwRecord {
  const { id, parent } = value;
  if (typeof id !== 'string' || (parent !== null && typeof parent !== 'string')) throw new Error('a field is missing or wrong');
  return { schema: 1, id, parent };
}
