import type { EngineEvent } from '../events.ts';
import type { Intent, Telling } from './telling.ts';

export interface EventSubscription {
  close(): void;
}

/** What of a container's shims has been published, by whichever daemon. */
export interface Told {
  /** The last journal entry. */
  seq: bigint;
  /** `exec_create ID`, `exec_start ID`, `exec_die ID`. */
  execs: ReadonlySet<string>;
  /** Networks and volumes: whether the last that was told is that the container has them. */
  holds: ReadonlyMap<string, boolean>;
}

/** The events of this engine, over all its daemons. */
export interface EventLogPort {
  /** Publishes: to disk and to subscribers, in the order of the calls. Never throws; a write that fails is logged once. */
  publish(event: EngineEvent): void;
  /** For what the daemon does itself: told once, whenever it dies. */
  telling: Telling;
  /** What earlier daemons began and perhaps did not tell, oldest first. Each is to be made good, once. */
  readonly intents: readonly Intent[];
  /** Tells the event unless it was told already; undefined: the act was not done. Resolves when the intent is dealt with. */
  makeGood(intent: Intent, event: EngineEvent | undefined): Promise<void>;
  /** Everything kept from `sinceNs` to `untilNs` (both inclusive, 0n: unset), ordered by time. */
  history(sinceNs: bigint, untilNs: bigint): Promise<EngineEvent[]>;
  /** What earlier daemons told of a container: one that died between an event and its note of it must not make the next tell it again. */
  told(containerId: string): Promise<Told>;
  subscribe(listener: (event: EngineEvent) => void): EventSubscription;
  /** Resolves when all that was published has been written. */
  flushed(): Promise<void>;
}
