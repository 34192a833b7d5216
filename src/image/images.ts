/** The image port: one door to the store, archives and registries. */
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { Mutex } from '../base/mutex.ts';
import { chainIds } from '../core/image/chain.ts';
import type { ChainId, Image } from '../core/image/image.ts';
import { familiarString, parseReference, withDefaultTag, withTag } from '../core/image/reference.ts';
import { invalid } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { DistributionInspect, ImageDeletion, ImageEvents, ImagePort, ProgressSink, PullOptions, RegistryAuth } from '../core/ports/images.ts';
import type { LayerPort } from '../core/ports/layers.ts';
import { loadArchive } from './archive/load.ts';
import { saveArchive } from './archive/save.ts';
import { telling } from './context.ts';
import type { ImageContext } from './context.ts';
import { commitImage, importImage } from './create.ts';
import { Distribution } from './distribution.ts';
import { LayerKeeper } from './layerKeeper.ts';
import { Registries } from './registry/registries.ts';
import type { RegistryOptions } from './registry/registries.ts';
import { collectDetached, pruneImages, removeImage } from './remove.ts';
import { resolveImage } from './resolve.ts';
import { ImageStore } from './store.ts';

export interface ImagesOptions {
  /** The data root: images are kept in its `images` folder. */
  readonly dataRoot: string;
  readonly layers: LayerPort;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: ImageEvents;
  readonly registry: RegistryOptions;
}

export class Images implements ImagePort {
  readonly #context: ImageContext;
  readonly #registries: Registries;

  private constructor(context: ImageContext, registries: Registries) {
    this.#context = context;
    this.#registries = registries;
  }

  /** Reads the store; `recover` then tidies it. */
  static async open(options: ImagesOptions): Promise<Images> {
    const root = join(options.dataRoot, 'images');
    const store = await ImageStore.open(root, options);
    const keeper = new LayerKeeper(options.layers, () => store.neededLayers());
    const distribution = await Distribution.open(root);
    const { layers, clock, logger, events } = options;
    const context: ImageContext = { store, layers, keeper, distribution, clock, logger, events, mutex: new Mutex() };
    return new Images(context, new Registries(context, options.registry));
  }

  /** Takes over changed mirrors, insecure registries and limits (reload). */
  configure(options: RegistryOptions): void {
    this.#registries.configure(options);
  }

  async resolve(reference: string): Promise<Image> {
    return resolveImage(this.#context.store, reference);
  }

  async get(id: string): Promise<Image | undefined> {
    return this.#context.store.get(id);
  }

  async list(): Promise<Image[]> {
    return this.#context.store.list();
  }

  topLayer(image: Image): ChainId {
    return chainIds(image.diffIds).at(-1) ?? null;
  }

  pull(options: PullOptions): Promise<void> {
    return this.#registries.pull(options);
  }

  push(options: Parameters<ImagePort['push']>[0]): Promise<void> {
    return this.#registries.push(options);
  }

  inspectRemote(options: Parameters<ImagePort['inspectRemote']>[0]): Promise<DistributionInspect> {
    return this.#registries.inspect(options);
  }

  authenticate(auth: RegistryAuth, signal: AbortSignal): Promise<{ status: string; identityToken: string }> {
    return this.#registries.authenticate(auth, signal);
  }

  load(tar: Readable, options: Parameters<ImagePort['load']>[1]): Promise<void> {
    return loadArchive(this.#context, tar, options);
  }

  save(references: string[], signal: AbortSignal): Promise<Readable> {
    return saveArchive(this.#context, references, signal);
  }

  fetch(source: string, progress: ProgressSink, signal: AbortSignal): Promise<Readable> {
    return this.#registries.fetch(source, progress, signal);
  }

  import(tar: Readable, options: Parameters<ImagePort['import']>[1]): Promise<string> {
    return importImage(this.#context, tar, options);
  }

  commit(options: Parameters<ImagePort['commit']>[0]): Promise<Image> {
    return commitImage(this.#context, options);
  }

  async tag(source: string, repo: string, tag: string): Promise<void> {
    const context = this.#context;
    const named = parseReference(repo);
    if (named.digest !== '') throw invalid('refusing to create a tag with a digest reference');
    const target = tag === '' ? withDefaultTag(named) : withTag(named, tag);
    await context.mutex.run(async () => {
      const image = resolveImage(context.store, source);
      const name = familiarString(target);
      await telling(context, { action: 'tag', id: image.id, name, proof: { of: 'image name', reference: name, image: image.id } }, async () => {
        await context.store.references.set(target, image.id);
        await failpoint('tag.named');
      });
    });
  }

  remove(reference: string, options: Parameters<ImagePort['remove']>[1]): Promise<ImageDeletion[]> {
    return this.#context.mutex.run(() => removeImage(this.#context, reference, options));
  }

  prune(options: Parameters<ImagePort['prune']>[0]): Promise<{ deleted: ImageDeletion[]; reclaimed: number }> {
    return this.#context.mutex.run(() => pruneImages(this.#context, options));
  }

  collect(inUse: ReadonlySet<string>): Promise<void> {
    return this.#context.mutex.run(() => collectDetached(this.#context, inUse));
  }

  /** Closes idle connections to registries. */
  close(): Promise<void> {
    return this.#registries.close();
  }

  async recover(): Promise<void> {
    const { store, keeper, logger } = this.#context;
    await store.removeOrphanedBlobs();
    if (!store.complete) {
      logger.warn('unused layers are not removed while there are images that cannot be read');
      return;
    }
    // A layer cannot go before those that stand on it, whose order is unknown: again until nothing goes any more.
    for (let unused = await this.#unusedLayers(); unused.length > 0;) {
      let removed: string[] = [];
      try {
        removed = await keeper.release(unused);
      } catch (error) {
        logger.warn('layers that no image needs could not be removed', { error });
      }
      if (removed.length === 0) return;
      unused = await this.#unusedLayers();
    }
  }

  async #unusedLayers(): Promise<string[]> {
    const needed = this.#context.store.neededLayers();
    return (await this.#context.layers.list()).filter((chainId) => !needed.has(chainId));
  }
}

