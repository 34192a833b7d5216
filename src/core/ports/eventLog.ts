import type { EngineEvent } from '../events.ts';

export interface EventSubscription {
  close(): void;
}

/** The events of this engine, over all its daemons. */
export interface EventLogPort {
  /** Publishes: to disk and to subscribers, in the order of the calls. Never throws; a write that fails is logged once. */
  publish(event: EngineEvent): void;
  /** Everything kept from `sinceNs` to `untilNs` (both inclusive, 0n: unset), ordered by time. */
  history(sinceNs: bigint, untilNs: bigint): Promise<EngineEvent[]>;
  subscribe(listener: (event: EngineEvent) => void): EventSubscription;
  /** Resolves when all that was published has been written. */
  flushed(): Promise<void>;
}
