/**
 * Storage driver vfs: for filesystems that overlayfs cannot use. Image layers are kept as for overlay2; each container
 * gets a whole copy, so that nothing has to be mounted.
 */
import path from 'node:path';
import type { Readable } from 'node:stream';
import { invalid } from '../base/errors.ts';
import { KeyedMutex } from '../base/keyedMutex.ts';
import type { Logger } from '../base/logger.ts';
import type { Change, LayerPort, RwLayer } from '../core/ports/layers.ts';
import { backingFilesystem } from './backing.ts';
import { LayerStore } from './layerStore.ts';
import type { ApplyOptions } from './layerStore.ts';
import { makeFolders, RwStore } from './rwStore.ts';
import { drain } from './transfer.ts';
import type { Jobs } from './worker/protocol.ts';

export class Vfs implements LayerPort {
  readonly driver = 'vfs';
  readonly #layers: LayerStore;
  readonly #rw: RwStore;
  readonly #mutex = new KeyedMutex();

  private constructor(layers: LayerStore, rw: RwStore) {
    this.#layers = layers;
    this.#rw = rw;
  }

  /** Opens `<data root>/layers/vfs`. */
  static async open(root: string, logger: Logger): Promise<Vfs> {
    const layers = await LayerStore.open(root, logger);
    return new Vfs(layers, await RwStore.open(layers));
  }

  close(): Promise<void> {
    return this.#layers.close();
  }

  async has(chainId: string): Promise<boolean> {
    return this.#layers.has(chainId);
  }

  apply(tar: Readable, options: ApplyOptions): Promise<{ size: number }> {
    return this.#layers.apply(tar, options);
  }

  async size(chainId: string): Promise<number> {
    return this.#layers.get(chainId).size;
  }

  async remove(chainId: string): Promise<void> {
    await this.#layers.remove(chainId, () => this.#rw.userOf(chainId));
  }

  async tar(chainId: string): Promise<Readable> {
    return this.#layers.tar(chainId);
  }

  async list(): Promise<string[]> {
    return this.#layers.list();
  }

  async createRw(id: string, parent: string | null, options: { storageOpt: Record<string, string> }): Promise<RwLayer> {
    if (Object.keys(options.storageOpt).length > 0) throw invalid('--storage-opt is not supported for vfs');
    return this.#mutex.run(id, async () => {
      await this.#rw.create(id, parent, (directory) => this.#fill(directory, parent));
      return { id, mountPath: this.#rw.path(id, 'root') };
    });
  }

  async #fill(directory: string, parent: string | null): Promise<void> {
    await makeFolders(directory, { root: 0o755 });
    const to = path.join(path.relative(this.#layers.root, directory), 'root');
    await this.#layers.extracting.run('copyTree', { root: this.#layers.root, from: this.#lowerOf(parent), to });
  }

  #lowerOf(parent: string | null): string[] {
    return this.#layers.chain(parent).map((layer) => path.join('l', layer.link));
  }

  /** There is nothing to mount. */
  async mountRw(id: string): Promise<string> {
    this.#rw.get(id);
    return this.#rw.path(id, 'root');
  }

  async unmountRw(): Promise<void> {}

  async removeRw(id: string): Promise<void> {
    await this.#mutex.run(id, () => this.#rw.remove(id));
  }

  async listRw(): Promise<string[]> {
    return this.#rw.list();
  }

  async sizeRw(id: string): Promise<number> {
    this.#rw.get(id);
    return this.#layers.quick.run('usage', { root: this.#rw.path(id, 'root') });
  }

  async changes(id: string): Promise<Change[]> {
    return this.#layers.quick.run('changes', this.#comparison(id));
  }

  async diffTar(id: string): Promise<Readable> {
    const compare = this.#comparison(id);
    const tree = this.#rw.path(id, 'root');
    return drain((sink) => this.#layers.streaming.run('packChanges', { tree, compare, sink }));
  }

  async status(): Promise<[string, string][]> {
    return [['Backing Filesystem', await backingFilesystem(this.#layers.root)]];
  }

  #comparison(id: string): Jobs['changes']['input'] {
    const { parent } = this.#rw.get(id);
    return { root: this.#layers.root, own: path.join('rw', id, 'root'), lower: this.#lowerOf(parent), whole: true };
  }
}
