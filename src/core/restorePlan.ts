/**
 * Restore as a plan: what was recorded and what is seen of one container give the steps that bring them together. Pure,
 * one container at a time, so that a broken one delays nobody (design laws 3–5; continuity B15).
 */
import type { ContainerRecord } from './container/record.ts';
import type { ExitCode } from './ports/shim.ts';

/** What looking at the exec root, the shim and the kernel showed. */
export interface Observed {
  /**
   * - `none`: nothing of this boot: no folder in the exec root, or one of an earlier boot.
   * - `answering` / `foreign` / `silent` / `gone`: the shim's process; a foreign one speaks another major of the contract.
   */
  shim: 'none' | 'answering' | 'foreign' | 'silent' | 'gone';
  /** The container's init. */
  init: 'alive' | 'gone' | 'unknown';
  /** Init's pid, 0 if it is not known to be there. */
  pid: number;
  /** The shim's last words on the state; undefined if its status cannot be read. */
  shimState: 'created' | 'running' | 'restarting' | 'exited' | undefined;
  /** Why the status cannot be read, or empty. */
  problem: string;
  /** The last known exit code (restart policies look at it). */
  exitCode: ExitCode;
  restartCount: number;
  /** The freezer's state now. */
  frozen: boolean;
}

export type RestoreStep =
  /** Undo a half-made container. */
  | { step: 'discard' }
  /** Finish a removal that was asked for, or honour `--rm`. */
  | { step: 'remove' }
  /** Connect to its shim and go on as if nothing had been. */
  | { step: 'resume'; paused: boolean }
  /** Give it a new shim; its own died. */
  | { step: 'replace-shim'; paused: boolean }
  /** End a container that was created in the runtime but never started. */
  | { step: 'abandon' }
  /** Take over what happened at its end and clear away its sandbox, mounts and folder. */
  | { step: 'collect' }
  /** Stop it politely (live restore is off). */
  | { step: 'stop' }
  /** Start it: its policy wants it to run. */
  | { step: 'start' }
  /** List it with the reason. */
  | { step: 'mark-broken'; reason: string; pid: number }
  /** Look again when its shim answers, or is gone. */
  | { step: 'await-shim' };

export interface RestoreOptions {
  liveRestore: boolean;
}

/** The steps for one container, in order. */
export function planRestore(record: ContainerRecord, observed: Observed, options: RestoreOptions): RestoreStep[] {
  if (record.desired === 'creating') return [{ step: 'discard' }];
  if (record.desired === 'removing') return [{ step: 'remove' }];
  switch (observed.shim) {
    case 'none':
      return planEnded(record, observed);
    case 'silent':
      // Without a status it is at work on a start that was cut short, and leaves by itself.
      if (observed.shimState === undefined && observed.problem === '') return abandoned(record, observed);
      return [{ step: 'mark-broken', reason: 'its shim does not answer', pid: observed.pid }, { step: 'await-shim' }];
    case 'foreign':
      return [{ step: 'mark-broken', reason: observed.problem, pid: observed.pid }];
    case 'answering':
      return planAnswering(record, observed, options);
    case 'gone':
      return planWithoutShim(record, observed, options);
  }
}

/** Nothing runs: what a policy, or `--rm`, wants of it. */
function planEnded(record: ContainerRecord, observed: Observed): RestoreStep[] {
  if (record.hostConfig.autoRemove && record.startedBefore) return [{ step: 'remove' }];
  return wantsStart(record, observed) ? [{ step: 'start' }] : [];
}

/** Created in the runtime, `start` never sent: the user was never told that it runs. */
const abandoned = (record: ContainerRecord, observed: Observed): RestoreStep[] => [{ step: 'abandon' }, { step: 'collect' }, ...planEnded(record, observed)];

function planAnswering(record: ContainerRecord, observed: Observed, options: RestoreOptions): RestoreStep[] {
  if (observed.shimState === 'created') return abandoned(record, observed);
  const resume: RestoreStep = { step: 'resume', paused: observed.frozen };
  // One that has ended tells the rest by itself: its end is followed as if this daemon had been there.
  if (observed.shimState === 'exited') return record.hostConfig.autoRemove ? [resume] : [resume, ...planEnded(record, observed)];
  return options.liveRestore ? [resume] : [resume, ...stopped(record, observed)];
}

function planWithoutShim(record: ContainerRecord, observed: Observed, options: RestoreOptions): RestoreStep[] {
  if (observed.init === 'unknown' && observed.pid > 0) return [{ step: 'mark-broken', reason: observed.problem, pid: observed.pid }];
  if (observed.init !== 'alive') return [{ step: 'collect' }, ...planEnded(record, observed)];
  if (observed.shimState === 'created') return abandoned(record, observed);
  const replace: RestoreStep = { step: 'replace-shim', paused: observed.frozen };
  return options.liveRestore ? [replace] : [replace, ...stopped(record, observed)];
}

/** Live restore is off: stopped at the start, and started again if its policy wants it; `--rm` follows the stop by itself. */
function stopped(record: ContainerRecord, observed: Observed): RestoreStep[] {
  return !record.hostConfig.autoRemove && wantsStart(record, observed) ? [{ step: 'stop' }, { step: 'start' }] : [{ step: 'stop' }];
}

/**
 * Whether a policy starts the container at a daemon's start (dockerd-live-restore.md 1.2): `always` even after a
 * user's stop, `unless-stopped` not, `on-failure` while it has tries left; never one that was only created.
 */
export function wantsStart(record: ContainerRecord, observed: Pick<Observed, 'exitCode' | 'restartCount'>): boolean {
  if (!record.startedBefore) return false;
  const { name, maximumRetryCount } = record.hostConfig.restartPolicy;
  switch (name) {
    case 'no':
      return false;
    case 'always':
      return true;
    case 'unless-stopped':
      return record.desired !== 'stopped';
    case 'on-failure':
      if (record.desired === 'stopped' || observed.exitCode === 0) return false;
      return maximumRetryCount === 0 || observed.restartCount < maximumRetryCount;
  }
}
