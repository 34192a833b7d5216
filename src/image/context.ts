/** What the operations on images share. */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Mutex } from '../base/mutex.ts';
import type { LayerPort } from '../core/ports/layers.ts';
import type { ImageEventSink } from '../core/ports/images.ts';
import type { Distribution } from './distribution.ts';
import type { LayerKeeper } from './layerKeeper.ts';
import type { ImageStore } from './store.ts';

export interface ImageContext {
  readonly store: ImageStore;
  readonly layers: LayerPort;
  readonly keeper: LayerKeeper;
  readonly distribution: Distribution;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: ImageEventSink;
  /** Held while names and the images behind them change together. */
  readonly mutex: Mutex;
}

/** Tells `docker events`: the image's labels go with it, and the name by which it was meant. */
export function emit(context: ImageContext, action: string, image: { id: string; name: string; labels?: Record<string, string> }): void {
  const labels = image.labels ?? context.store.get(image.id)?.config.labels ?? {};
  context.events({ action, id: image.id, attributes: { ...labels, name: image.name } });
}
