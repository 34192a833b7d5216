import type { EngineEvent } from '../events.ts';

export interface EventSubscription {
  close(): void;
}

/** What of a container's shims has been published, by whichever daemon. */
export interface Told {
  /** The last journal entry. */
  seq: bigint;
  /** The exec sessions whose end. */
  execs: ReadonlySet<string>;
}

/** The events of this engine, over all its daemons. */
export interface EventLogPort {
  /** Publishes: to disk and to subscribers, in the order of the calls. Never throws; a write that fails is logged once. */
  publish(event: EngineEvent): void;
  /** Everything kept from `sinceNs` to `untilNs` (both inclusive, 0n: unset), ordered by time. */
  history(sinceNs: bigint, untilNs: bigint): Promise<EngineEvent[]>;
  /** What earlier daemons told of a container: one that died between an event and its note of it must not make the next tell it again. */
  told(containerId: string): Promise<Told>;
  subscribe(listener: (event: EngineEvent) => void): EventSubscription;
  /** Resolves when all that was published has been written. */
  flushed(): Promise<void>;
}
