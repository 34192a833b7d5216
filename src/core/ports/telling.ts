/**
 * Events of the daemon's own acts. A daemon that dies between an act and its event would lose the event: so the intent is
 * on disk before the act, with what proves that the act was done, and the next daemon tells what it finds to be true.
 */
import type { EngineEvent } from '../events.ts';

export type OwnEvent = Omit<EngineEvent, 'timeNs' | 'shimSeq'>;

/** What is the case if, and only if, the act was done. */
export type Proof =
  /** A container: recorded whole; not recorded any more; frozen or not; not in the run it was in; in a later run. */
  | { of: 'container'; id: string; is: 'there' | 'gone' | 'frozen' | 'thawed' | 'ended' | 'restarted' }
  | { of: 'container name'; id: string; name: string }
  /** Its host config, by `settingsDigest`. */
  | { of: 'container settings'; id: string; digest: string }
  | { of: 'endpoint'; id: string; networkId: string; there: boolean }
  /** By name where it comes to be (its id is not known before), by id where it goes. */
  | { of: 'network'; nameOrId: string; there: boolean }
  | { of: 'volume'; name: string; there: boolean }
  | { of: 'image'; id: string; there: boolean }
  /** Whole references; an empty image: the name is free. */
  | { of: 'image name'; reference: string; image: string };

/** An act that an earlier daemon began, and of which nobody knows yet whether it was told. */
export interface Intent {
  readonly id: string;
  /** Its time is that of the intent. */
  readonly event: EngineEvent;
  readonly proof: Proof;
}

/** Does `act` and tells the event after it; an act that fails is not told. `idOf`: the object's id where only the act gives it. */
export type Telling = <T>(event: OwnEvent, proof: Proof, act: () => Promise<T>, idOf?: (result: T) => string) => Promise<T>;
