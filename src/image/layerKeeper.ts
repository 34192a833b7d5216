/**
 * Which read-only layers must stay: those of the images there are, and those on which a pull, load or commit is at work
 * (its lease). A layer is checked and made, or checked and removed, by one at a time, so that a removal never takes away
 * what somebody has just found to be there.
 */
import type { Readable } from 'node:stream';
import { isKind } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { KeyedMutex } from '../base/keyedMutex.ts';
import type { LayerPort } from '../core/ports/layers.ts';

export interface LayerSpec {
  readonly chainId: string;
  readonly diffId: string;
  readonly parent: string | null;
}

export class LayerKeeper {
  readonly #layers: LayerPort;
  /** Chain ids that images need; asked each time. */
  readonly #needed: () => Set<string>;
  readonly #leases = new Map<string, number>();
  readonly #mutex = new KeyedMutex();

  constructor(layers: LayerPort, needed: () => Set<string>) {
    this.#layers = layers;
    this.#needed = needed;
  }

  /** Layers made under a lease stay until it is released, and then if an image needs them. */
  lease(): LayerLease {
    return new LayerLease(this);
  }

  /** For LayerLease. */
  hold(chainId: string): void {
    this.#leases.set(chainId, (this.#leases.get(chainId) ?? 0) + 1);
  }

  /** For LayerLease. */
  unhold(chainId: string): void {
    const left = (this.#leases.get(chainId) ?? 1) - 1;
    if (left > 0) this.#leases.set(chainId, left);
    else this.#leases.delete(chainId);
  }

  /** Makes the layer unless it is there; its size. The caller holds it. */
  async ensure(layer: LayerSpec, open: () => Promise<Readable>, signal?: AbortSignal): Promise<number> {
    return this.#mutex.run(layer.chainId, async () => {
      signal?.throwIfAborted();
      if (await this.#layers.has(layer.chainId)) return this.#layers.size(layer.chainId);
      const tar = await open();
      try {
        const options = { chainId: layer.chainId, diffId: layer.diffId, parent: layer.parent };
        return (await this.#layers.apply(tar, signal === undefined ? options : { ...options, signal })).size;
      } finally {
        tar.destroy();
      }
    });
  }

  /** Removes those of a chain (lowest first) that nobody needs any more; what was removed, top first. */
  async release(chain: readonly string[]): Promise<string[]> {
    const removed: string[] = [];
    for (const chainId of chain.toReversed()) {
      await this.#mutex.run(chainId, async () => {
        if (this.#leases.has(chainId) || this.#needed().has(chainId)) return;
        if (!(await this.#layers.has(chainId))) return;
        await failpoint('image.layer-remove');
        if (await this.#removeUnlessUsed(chainId)) removed.push(chainId);
      });
    }
    return removed;
  }

  /** A layer on which a container or a layer that nobody knows of stands is kept. */
  async #removeUnlessUsed(chainId: string): Promise<boolean> {
    try {
      await this.#layers.remove(chainId);
      return true;
    } catch (error) {
      if (isKind(error, 'conflict')) return false;
      throw error;
    }
  }
}

export class LayerLease {
  readonly #keeper: LayerKeeper;
  readonly #held: string[] = [];

  constructor(keeper: LayerKeeper) {
    this.#keeper = keeper;
  }

  /** Keeps a layer from being removed, whether it is there yet or not. */
  hold(chainId: string): void {
    this.#keeper.hold(chainId);
    this.#held.push(chainId);
  }

  /** Makes the layer unless it is there (then `open` is not called); the size of its files. */
  ensure(layer: LayerSpec, open: () => Promise<Readable>, signal?: AbortSignal): Promise<number> {
    this.hold(layer.chainId);
    return this.#keeper.ensure(layer, open, signal);
  }

  /** Ends the lease. Layers that no image came to need are removed. Call it after the image is added. */
  async release(): Promise<void> {
    const held = this.#held.splice(0);
    for (const chainId of held) this.#keeper.unhold(chainId);
    await this.#keeper.release([...new Set(held)]);
  }
}
