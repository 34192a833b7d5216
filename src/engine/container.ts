/**
 * One container in memory: its record (desired, ours), its view (observed, the shim's), the state that both give, and
 * whoever waits for it. Verbs change it; each change of record, sandbox or shim holds its lock.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Mutex } from '../base/mutex.ts';
import type { ContainerRecord, ExecRecord } from '../core/container/record.ts';
import { nextState } from '../core/container/state.ts';
import type { ContainerState, StateEvent } from '../core/container/state.ts';
import { EMPTY_VIEW, shownExitCode } from '../core/container/view.ts';
import type { ContainerView, EventSubject } from '../core/container/view.ts';
import type { Sandbox } from '../core/ports/network.ts';
import type { ShimHandle, ShimWatch } from '../core/ports/shim.ts';

/** A shim tells its watchers before it answers. */
const SEEN_MS = 1000;

export type WaitCondition = 'not-running' | 'next-exit' | 'removed';

export interface Ended {
  exitCode: number;
  /** Why the removal that was waited for failed, or empty. */
  error: string;
}

/** Someone who attached before there was a shim: given the handle between its launch and the first instruction of the container. */
export type PendingAttach = (handle: ShimHandle) => Promise<void>;

/** An exec session in memory: `running` while its shim lives. */
export interface ExecSession {
  record: ExecRecord;
  started: boolean;
  running: boolean;
  /** null: not started, or not ended yet. */
  exitCode: number | null;
  pid: number;
  handle: ShimHandle | null;
  /** 0n: not yet. */
  endedNs: bigint;
  /** Settles when the session ended. */
  ended: Promise<void>;
}

export const subjectOf = (record: ContainerRecord): EventSubject =>
  ({ id: record.id, name: record.name, image: record.config.image, labels: record.config.labels });

export class Container {
  record: ContainerRecord;
  view: ContainerView = EMPTY_VIEW;
  sandbox: Sandbox | null = null;
  handle: ShimHandle | null = null;
  watch: ShimWatch | null = null;
  /** Settles when the present run is over and everything it held is given back; never rejects. Its end may be followed by another (a shim that was replaced): `whenSettled`. */
  settled: Promise<void> = Promise.resolve();
  /** Why the record itself cannot be used, or empty: such a container can only be looked at, stopped and removed. */
  readonly problem: string;
  /** Its run was over, or had never begun, when this daemon came: what its end gave back may have been told. */
  inherited = false;
  /** Its shim was told to stop it. */
  stopping = false;
  /** Greater than 0: its end is followed by a start, so `--rm` waits. */
  kept = 0;
  /** What is left of its restore: it is listed already, and everything else waits for this (`whenRestored`). */
  restore: (() => Promise<void>) | null = null;
  readonly lock = new Mutex();
  /** Held while the view is written. */
  readonly viewLock = new Mutex();
  readonly execs = new Map<string, ExecSession>();
  readonly pendingAttaches = new Set<PendingAttach>();
  #state: ContainerState;
  readonly #starts = new Set<() => void>();
  readonly #waiters = new Set<{ condition: WaitCondition; resolve: (ended: Ended) => void }>();

  constructor(record: ContainerRecord, state: ContainerState, problem = '') {
    this.record = record;
    this.#state = state;
    this.problem = problem;
  }

  get id(): string {
    return this.record.id;
  }

  get state(): ContainerState {
    return this.#state;
  }

  /** Takes an event through the state table. */
  transition(event: StateEvent): void {
    this.#state = nextState(this.#state, event);
    if (event.kind !== 'started') return;
    for (const started of this.#starts) started();
    this.#starts.clear();
  }

  /** Resolves when a daemon's start is through with it; never rejects. Asking brings it forward. */
  async whenRestored(): Promise<void> {
    await this.restore?.();
  }

  /** Resolves when no run is under way any more, whichever shims it had. */
  async whenSettled(): Promise<void> {
    let seen: Promise<void>;
    do {
      seen = this.settled;
      await seen;
    } while (seen !== this.settled);
  }

  /** Resolves when an entry of the journal has been taken over, or soon after if it never is. */
  async seen(seq: bigint): Promise<void> {
    const end = performance.now() + SEEN_MS;
    while (this.view.seq < seq && performance.now() < end) await sleep(1);
  }

  /** Resolves when the shim next says that the container was started. */
  nextStart(): Promise<void> {
    return new Promise((resolve) => this.#starts.add(resolve));
  }

  get subject(): EventSubject {
    return subjectOf(this.record);
  }

  get exitCode(): number {
    if (this.record.startFailure !== null) return this.record.startFailure.exitCode;
    return shownExitCode(this.view.facts.exitCode);
  }

  /** Resolves when the condition is met; `abort` forgets the wait. */
  wait(condition: WaitCondition, signal: AbortSignal): Promise<Ended> {
    if (condition === 'not-running' && !this.occupied) return Promise.resolve({ exitCode: this.exitCode, error: '' });
    return new Promise((resolve) => {
      const waiter = { condition, resolve };
      this.#waiters.add(waiter);
      signal.addEventListener('abort', () => this.#waiters.delete(waiter), { once: true });
    });
  }

  /** True while it runs, or will run again by itself (Docker's `Running`, which includes paused and restarting). */
  get occupied(): boolean {
    const { kind } = this.#state;
    return kind === 'running' || kind === 'paused' || kind === 'restarting' || kind === 'starting' || (this.#state.kind === 'broken' && this.#state.pid > 0);
  }

  /** Tells those who wait. A removal wakes everybody, an exit everybody but those who wait for the removal. */
  notify(what: 'exit' | 'removed', error = ''): void {
    for (const waiter of this.#waiters) {
      if (what === 'exit' && waiter.condition === 'removed') continue;
      this.#waiters.delete(waiter);
      waiter.resolve({ exitCode: this.exitCode, error });
    }
  }
}
