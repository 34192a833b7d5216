/**
 * What a container is doing, as one union; Docker's `Running/Paused/Restarting/Dead` booleans are derived from it in
 * `wire/`. The table says which event leads where; an event that a state does not list is a bug of the caller and throws.
 */
import { internal } from '../../base/errors.ts';
import type { ExitCode } from '../ports/shim.ts';

export type ContainerState =
  | { kind: 'created' }
  /** A shim was launched and has not answered `start` yet. */
  | { kind: 'starting' }
  | { kind: 'running'; pid: number }
  | { kind: 'paused'; pid: number }
  /** Its shim waits for the back-off to pass. */
  | { kind: 'restarting' }
  | { kind: 'exited' }
  | { kind: 'removing' }
  /** It can't be understood or its shim can't be reached; `pid` is 0 when no process is known. Listed and stoppable all the same (law 5). */
  | { kind: 'broken'; reason: string; pid: number };

export type StateKind = ContainerState['kind'];

export type StateEvent =
  | { kind: 'launch' }
  | { kind: 'launch-failed' }
  | { kind: 'started'; pid: number }
  | { kind: 'died-restarting' }
  | { kind: 'ended' }
  | { kind: 'paused' }
  | { kind: 'resumed' }
  | { kind: 'remove' }
  | { kind: 'broke'; reason: string; pid: number };

type EventKind = StateEvent['kind'];

/** state × event → next state. `same` keeps it: the event is late and harmless there. */
export const STATE_TABLE = {
  created: { launch: 'starting', remove: 'removing', ended: 'exited', broke: 'broken' },
  starting: { started: 'running', 'launch-failed': 'created', ended: 'exited', 'died-restarting': 'restarting', broke: 'broken' },
  running: { started: 'running', 'died-restarting': 'restarting', ended: 'exited', paused: 'paused', remove: 'removing', broke: 'broken' },
  paused: { resumed: 'running', started: 'running', ended: 'exited', 'died-restarting': 'restarting', remove: 'removing', broke: 'broken' },
  restarting: { started: 'running', ended: 'exited', 'died-restarting': 'restarting', remove: 'removing', broke: 'broken' },
  exited: { launch: 'starting', remove: 'removing', ended: 'exited', broke: 'broken' },
  removing: { ended: 'removing', 'died-restarting': 'removing', started: 'removing', remove: 'removing', broke: 'broken' },
  broken: { ended: 'exited', started: 'running', 'died-restarting': 'restarting', remove: 'removing', broke: 'broken' },
} as const satisfies Record<StateKind, Partial<Record<EventKind, StateKind>>>;

/** The state after an event; an internal error names both if the table has no such line. */
export function nextState(state: ContainerState, event: StateEvent): ContainerState {
  const row: Partial<Record<EventKind, StateKind>> = STATE_TABLE[state.kind];
  const next = row[event.kind];
  if (next === undefined) throw internal(`a container that is ${state.kind} cannot take the event ${event.kind}`);
  switch (next) {
    case 'running':
      return { kind: 'running', pid: event.kind === 'started' ? event.pid : pidOf(state) };
    case 'paused':
      return { kind: 'paused', pid: pidOf(state) };
    case 'broken':
      return event.kind === 'broke' ? { kind: 'broken', reason: event.reason, pid: event.pid } : state;
    case 'created':
    case 'starting':
    case 'restarting':
    case 'exited':
    case 'removing':
      return { kind: next };
  }
}

/** Init's pid in the host's namespace, 0 when there is none. */
export function pidOf(state: ContainerState): number {
  return state.kind === 'running' || state.kind === 'paused' || state.kind === 'broken' ? state.pid : 0;
}

/** True while a process of the container may exist or will exist by itself: what `docker ps` shows without `-a`. */
export const isLive = (state: ContainerState): boolean =>
  state.kind === 'running' || state.kind === 'paused' || state.kind === 'restarting' || state.kind === 'starting' || (state.kind === 'broken' && state.pid > 0);

/** What is known of a container's last run: its shim's words, never the daemon's. */
export interface RunFacts {
  /** 0n: never. */
  startedNs: bigint;
  finishedNs: bigint;
  exitCode: ExitCode;
  oomKilled: boolean;
  restartCount: number;
  /** Why the last start failed, or empty. */
  error: string;
}

export const NO_RUN: RunFacts = { startedNs: 0n, finishedNs: 0n, exitCode: 0, oomKilled: false, restartCount: 0, error: '' };
