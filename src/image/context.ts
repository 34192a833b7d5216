/** What the operations on images share. */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { Mutex } from '../base/mutex.ts';
import type { LayerPort } from '../core/ports/layers.ts';
import type { ImageEvents } from '../core/ports/images.ts';
import type { OwnEvent, Proof } from '../core/ports/telling.ts';
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
  readonly events: ImageEvents;
  /** Held while names and the images behind them change together. */
  readonly mutex: Mutex;
}

/** Tells `docker events`: the image's labels go with it, and the name by which it was meant. */
export function emit(context: ImageContext, action: string, image: Told): void {
  context.events.publish({ ...eventOf(context, action, image), timeNs: context.clock.nowNs() });
}

/** For what changes: told once, whenever the daemon dies. */
export const telling = <T>(context: ImageContext, told: Told & { action: string; proof: Proof }, act: () => Promise<T>): Promise<T> =>
  context.events.telling(eventOf(context, told.action, told), told.proof, act);

interface Told {
  readonly id: string;
  readonly name: string;
  readonly labels?: Record<string, string>;
}

const eventOf = (context: ImageContext, action: string, image: Told): OwnEvent =>
  ({ type: 'image', action, actorId: image.id, attributes: { ...(image.labels ?? context.store.get(image.id)?.config.labels), name: image.name } });

