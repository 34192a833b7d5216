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
   * - `answering` / `silent` / `gone`: the shim's process.
   */
  shim: 'none' | 'answering' | 'silent' | 'gone';
  /** The container's init. */
  init: 'alive' | 'gone' | 'unknown';
  /** The shim's last words on the state; undefined if its status cannot be read. */
  shimState: 'created' | 'running' | 'restarting' | 'exited' | undefined;
  /** Why the status cannot be read, or empty. */
  problem: string;
  /** The last exit record says that no restart follows. */
  exitFinal: boolean;
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
  | { step: 'replace-shim' }
  /** End a container that was created in the runtime but never started. */
  | { step: 'abandon' }
  /** Take over what happened at its end and clear away its sandbox, mounts and folder. */
  | { step: 'collect' }
  /** Stop it politely (live restore is off). */
  | { step: 'stop' }
  /** Start it: its policy wants it to run. */
  | { step: 'start' }
  /** List it with the reason. */
  | { step: 'mark-broken'; reason: string };

export interface RestoreOptions {
  liveRestore: boolean;
}

/** The steps for one container, in order. */
export function planRestore(record: ContainerRecord, observed: Observed, options: RestoreOptions): RestoreStep[] {
  if (record.desired === 'creating') return [{ step: 'discard' }];
  if (record.desired === 'removing') return [{ step: 'remove' }];
  const alive = planAlive(record, observed, options);
  if (alive !== undefined) return alive;
  const steps: RestoreStep[] = observed.shim === 'none' ? [] : [{ step: 'collect' }];
  if (record.hostConfig.autoRemove && record.startedBefore) return [...steps, { step: 'remove' }];
  if (wantsStart(record, observed)) steps.push({ step: 'start' });
  return steps;
}

/** What to do with a container of which a process or a shim is there; undefined if neither is. */
function planAlive(record: ContainerRecord, observed: Observed, options: RestoreOptions): RestoreStep[] | undefined {
  switch (observed.shim) {
    case 'none':
      return undefined;
    case 'silent':
      return [{ step: 'mark-broken', reason: 'its shim does not answer' }];
    case 'answering': {
      if (observed.shimState === 'exited') return undefined;
      // Created in the runtime, `start` never sent: the user was never told that it runs.
      if (observed.shimState === 'created') return [{ step: 'abandon' }, { step: 'collect' }];
      const resume: RestoreStep = { step: 'resume', paused: observed.frozen };
      if (options.liveRestore) return [resume];
      const stopped: RestoreStep[] = [resume, { step: 'stop' }];
      if (record.hostConfig.autoRemove) return stopped;
      return wantsStart(record, observed) ? [...stopped, { step: 'start' }] : stopped;
    }
    case 'gone': {
      if (observed.init === 'unknown' && observed.problem !== '') return [{ step: 'mark-broken', reason: observed.problem }];
      if (observed.init !== 'alive') return undefined;
      if (observed.shimState === 'created') return [{ step: 'abandon' }, { step: 'collect' }];
      return options.liveRestore ? [{ step: 'replace-shim' }] : [{ step: 'replace-shim' }, { step: 'stop' }];
    }
  }
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
