/**
 * Storage driver overlay2: image layers are the lower directories of an overlay mount, the container's own is the upper.
 * A mounted root is the kernel's: it outlives the daemon, and the next one finds it mounted and leaves it alone.
 */
import { existsSync } from 'node:fs';
import { readdir, rename, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, internal, invalid, messageOf, unavailable } from '../base/errors.ts';
import { KeyedMutex } from '../base/keyedMutex.ts';
import type { Logger } from '../base/logger.ts';
import type { Change, LayerPort, RwLayer } from '../core/ports/layers.ts';
import { MNT_DETACH, mount, umount } from '../sys/mount.ts';
import { backingFilesystem } from './backing.ts';
import { LayerStore } from './layerStore.ts';
import type { ApplyOptions } from './layerStore.ts';
import { makeFolders, RwStore } from './rwStore.ts';
import { drain } from './transfer.ts';

/** The kernel takes one page of mount options. */
const OPTIONS_LIMIT = 4095;
/** As in Docker. */
const MAX_LAYERS = 127;
const UNMOUNT_TRIES = 10;
const UNMOUNT_PAUSE_MS = 50;

/** What a mount is made of, relative to the driver's root. */
interface Overlay {
  lower: string[];
  upper: string;
  work: string;
  target: string;
}

export class Overlay2 implements LayerPort {
  readonly driver = 'overlay2';
  readonly #layers: LayerStore;
  readonly #rw: RwStore;
  readonly #mutex = new KeyedMutex();

  private constructor(layers: LayerStore, rw: RwStore) {
    this.#layers = layers;
    this.#rw = rw;
  }

  /**
   * Opens `<data root>/layers/overlay2`; mounted roots stay mounted. Throws if the filesystem there cannot carry an
   * overlay.
   */
  static async open(root: string, logger: Logger): Promise<Overlay2> {
    const layers = await LayerStore.open(root, logger);
    const driver = new Overlay2(layers, await RwStore.open(layers));
    // What carries layers has shown that it can.
    if (layers.list().length === 0 && driver.#rw.list().length === 0) await driver.#probe();
    await driver.#cleanInit();
    return driver;
  }

  async #probe(): Promise<void> {
    const staging = await this.#layers.staging('probe');
    try {
      await this.#withMount(staging, null, () => Promise.resolve());
    } catch (error) {
      throw unavailable(`error initializing graphdriver: driver not supported: overlay2: ${messageOf(error)}`, error);
    } finally {
      await this.#layers.discard(staging);
    }
  }

  async #cleanInit(): Promise<void> {
    // A layer that cannot be read may have containers that run, with their init layer below them.
    if (this.#layers.damaged) return;
    const known = new Set(['empty', ...this.#layers.list().map((id) => this.#layers.get(id).link)]);
    const folder = path.join(this.#layers.root, 'init');
    for (const name of await readdir(folder)) if (!known.has(name)) await this.#layers.discard(path.join(folder, name));
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
    if (!this.#layers.has(chainId)) return;
    const init = initName(this.#layers.get(chainId).link);
    await this.#layers.remove(chainId, () => this.#rw.userOf(chainId));
    await this.#layers.discard(path.join(this.#layers.root, init));
  }

  async tar(chainId: string): Promise<Readable> {
    return this.#layers.tar(chainId);
  }

  async list(): Promise<string[]> {
    return this.#layers.list();
  }

  async createRw(id: string, parent: string | null, options: { storageOpt: Record<string, string> }): Promise<RwLayer> {
    if (Object.keys(options.storageOpt).length > 0) {
      throw invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
    }
    return this.#mutex.run(id, async () => {
      await this.#ensureInit(parent);
      await this.#rw.create(id, parent, (directory) => makeFolders(directory, { diff: 0o755, work: 0o700, merged: 0o700 }));
      return { id, mountPath: this.#rw.path(id, 'merged') };
    });
  }

  async mountRw(id: string): Promise<string> {
    return this.#mutex.run(id, async () => {
      const { parent } = this.#rw.get(id);
      const target = this.#rw.path(id, 'merged');
      if (await isMountPoint(target)) return target;
      await this.#ensureInit(parent);
      const own = path.join('rw', id);
      const lower = [this.#initOf(parent), ...this.#lowerOf(parent)];
      await this.#mount({ lower, upper: path.join(own, 'diff'), work: path.join(own, 'work'), target });
      return target;
    });
  }

  async unmountRw(id: string): Promise<void> {
    await this.#mutex.run(id, () => this.#unmount(this.#rw.path(id, 'merged')));
  }

  async removeRw(id: string): Promise<void> {
    await this.#mutex.run(id, async () => {
      await this.#unmount(this.#rw.path(id, 'merged'));
      await this.#rw.remove(id);
    });
  }

  async listRw(): Promise<string[]> {
    return this.#rw.list();
  }

  async sizeRw(id: string): Promise<number> {
    this.#rw.get(id);
    return this.#layers.quick.run('usage', { root: this.#rw.path(id, 'diff') });
  }

  async changes(id: string): Promise<Change[]> {
    const { parent } = this.#rw.get(id);
    const lower = [this.#initOf(parent), ...this.#lowerOf(parent)];
    return this.#layers.quick.run('changes', { root: this.#layers.root, own: path.join('rw', id, 'diff'), lower, whole: false });
  }

  async diffTar(id: string): Promise<Readable> {
    this.#rw.get(id);
    const root = this.#rw.path(id, 'diff');
    return drain((sink) => this.#layers.streaming.run('packUpper', { root, sink }));
  }

  async status(): Promise<[string, string][]> {
    return [
      ['Backing Filesystem', await backingFilesystem(this.#layers.root)],
      ['Supports d_type', 'true'],
      ['Using metacopy', 'false'],
      ['Native Overlay Diff', 'true'],
      ['userxattr', 'false'],
    ];
  }

  #lowerOf(parent: string | null): string[] {
    const chain = this.#layers.chain(parent);
    if (chain.length > MAX_LAYERS) throw invalid('max depth exceeded');
    return chain.length === 0 ? ['empty'] : chain.map((layer) => path.join('l', layer.link));
  }

  #initOf(parent: string | null): string {
    return initName(parent === null ? 'empty' : this.#layers.get(parent).link);
  }

  /**
   * The layer between an image and its containers: the files over which the engine mounts (Docker's `-init` layer), so
   * that they are there, whatever the image has in their place, and are no change of the container's. One for all
   * containers of an image.
   */
  async #ensureInit(parent: string | null): Promise<void> {
    const init = path.join(this.#layers.root, this.#initOf(parent));
    if (await exists(init)) return;
    await this.#mutex.run(init, async () => {
      if (!(await exists(init))) await this.#layers.holding(parent, () => this.#makeInit(parent, init));
    });
  }

  async #makeInit(parent: string | null, init: string): Promise<void> {
    const staging = await this.#layers.staging('init');
    try {
      await this.#withMount(staging, parent, (root) => this.#layers.quick.run('makeMountPoints', { root }));
      // Not synced: what a power loss takes of it, the runtime makes again.
      await rename(path.join(staging, 'diff'), init);
    } finally {
      await this.#layers.discard(staging);
    }
  }

  /** Lays `staging/diff` over a layer for as long as `work` takes. */
  async #withMount(staging: string, parent: string | null, work: (root: string) => Promise<unknown>): Promise<void> {
    const target = path.join(staging, 'merged');
    await makeFolders(staging, { diff: 0o755, work: 0o700, merged: 0o700 });
    const own = path.relative(this.#layers.root, staging);
    await this.#mount({ lower: this.#lowerOf(parent), upper: path.join(own, 'diff'), work: path.join(own, 'work'), target });
    try {
      await work(target);
    } finally {
      await this.#unmount(target);
    }
  }

  async #mount(overlay: Overlay): Promise<void> {
    const { root } = this.#layers;
    const { target } = overlay;
    const options = overlayOptions(`${root}/`, overlay);
    try {
      if (Buffer.byteLength(options) <= OPTIONS_LIMIT && !/[\\:,"'\s]/.test(root)) await mount({ source: 'overlay', target, type: 'overlay', data: options });
      // Relative names are short, and nothing of the root's path needs escaping; a thread has a working directory for it.
      else await this.#layers.quick.run('mountOverlay', { root, target, options: overlayOptions('', overlay) });
    } catch (error) {
      throw internal(`error creating overlay mount to ${target}: ${errnoOf(error) ?? messageOf(error)}`, error);
    }
  }

  /** Unmounts all that is mounted there. Whoever is still in it gets a moment to leave; then it is taken away all the same. */
  async #unmount(target: string): Promise<void> {
    for (let tries = 0; ; ) {
      try {
        await umount(target, tries < UNMOUNT_TRIES ? 0 : MNT_DETACH);
      } catch (error) {
        const code = errnoOf(error);
        if (code === 'EINVAL' || code === 'ENOENT') return;
        if (code !== 'EBUSY' || tries >= UNMOUNT_TRIES) throw error;
        if (++tries === UNMOUNT_TRIES) this.#layers.logger.warn('a root is still in use; it is detached', { path: target });
        else await sleep(UNMOUNT_PAUSE_MS);
      }
    }
  }
}

const initName = (link: string): string => path.join('init', link);

function overlayOptions(prefix: string, { lower, upper, work }: Overlay): string {
  const lowers = lower.map((name) => prefix + name).join(':');
  return [`lowerdir=${lowers}`, `upperdir=${prefix}${upper}`, `workdir=${prefix}${work}`, ...featuresOff()].join(',');
}

/** Features that a kernel may have on by default and that would make an upper directory unfit as a layer. */
const featuresOff = (): string[] =>
  ['index', 'metacopy', 'redirect_dir'].filter((name) => existsSync(`/sys/module/overlay/parameters/${name}`)).map((name) => `${name}=off`);

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}

/** True if something is mounted on the directory: it is on another device than its parent. */
async function isMountPoint(directory: string): Promise<boolean> {
  const [own, parent] = await Promise.all([stat(directory), stat(path.dirname(directory))]);
  return own.dev !== parent.dev;
}
