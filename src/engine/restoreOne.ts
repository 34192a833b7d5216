/**
 * One container at a daemon's start, or after its shim was lost: what is recorded and what is seen give a plan, and the
 * plan is carried out. What changes under our hands (a shim that ends between the look and the step) is looked at again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import type { ContainerRecord } from '../core/container/record.ts';
import type { LoadedContainer } from '../core/ports/containerStore.ts';
import type { Liveness } from '../core/ports/shim.ts';
import { planRestore } from '../core/restorePlan.ts';
import type { Observed, RestoreStep } from '../core/restorePlan.ts';
import { cgroupPathOf } from './bundle.ts';
import { Container } from './container.ts';
import { runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';
import { placeholderRecord } from './placeholder.ts';
import { endWithoutShim } from './ending.ts';
import { abandon, takeOver } from './recover.ts';
import { removeNow } from './removal.ts';
import { adoptState, importJournal, resumeExecs, resumeRun } from './resume.ts';
import { startContainer } from './start.ts';
import { orderStop, stopSignalOf, stopTimeoutMs } from './stop.ts';

export interface Task {
  container: Container;
  steps: RestoreStep[];
  /** Something of a run is there: its network and volumes are in use. */
  live: boolean;
}

const MAX_LOOKS = 5;
const LOOK_AGAIN_MS = 100;
const SILENT_PAUSE_MS = 1000;

/** Reads what is recorded and seen of one container, and plans. Never throws: what goes wrong is the container's reason. */
export async function look(ctx: EngineContext, loaded: LoadedContainer): Promise<Task> {
  try {
    if (loaded.kind === 'problem') return await lookAtProblem(ctx, loaded);
    const record = withVolumePaths(ctx, loaded.record);
    const { view } = loaded;
    const container = new Container(record, { kind: record.startedBefore && view.facts.startedNs !== 0n ? 'exited' : 'created' });
    ctx.containers.add(container);
    container.view = view;
    const observed = await observe(ctx, container, loaded.present);
    const live = observed.shim !== 'none';
    container.inherited = live && observed.shimState !== 'running' && observed.shimState !== 'restarting';
    if (live) container.sandbox = loaded.sandbox;
    return { container, live, steps: planRestore(record, observed, { liveRestore: ctx.settings().liveRestore }) };
  } catch (error) {
    const container = new Container(loaded.kind === 'ok' ? loaded.record : placeholderRecord(loaded.id), { kind: 'exited' }, messageOf(error));
    ctx.containers.add(container);
    return { container, live: true, steps: [{ step: 'mark-broken', reason: messageOf(error), pid: 0 }] };
  }
}

/** Where its volumes are now: the data root may have been moved. */
function withVolumePaths(ctx: EngineContext, record: ContainerRecord): ContainerRecord {
  if (!record.mounts.some(({ type }) => type === 'volume')) return record;
  const paths = new Map(ctx.volumes.list().map(({ name, mountpoint }) => [name, mountpoint]));
  return { ...record, mounts: record.mounts.map((mount) => (mount.type === 'volume' ? { ...mount, source: paths.get(mount.name) ?? mount.source } : mount)) };
}

/** One whose record is no help: listed with the reason, and with what is known of its process. */
export async function lookAtProblem(ctx: EngineContext, loaded: { id: string; reason: string }): Promise<Task> {
  const container = new Container(placeholderRecord(loaded.id), { kind: 'exited' }, loaded.reason);
  ctx.containers.add(container);
  container.sandbox = await ctx.store.loadSandbox(loaded.id);
  const { pid } = await initOf(ctx, container, await ctx.shims.liveness(ctx.store.paths(loaded.id).execDir));
  return { container, live: container.sandbox !== null, steps: [{ step: 'mark-broken', reason: loaded.reason, pid }] };
}

async function observe(ctx: EngineContext, container: Container, present: boolean): Promise<Observed> {
  const paths = ctx.store.paths(container.id);
  const liveness = await ctx.shims.liveness(paths.execDir);
  const { status, shim } = liveness;
  const exit = await ctx.shims.readExit(paths.exit);
  const none = shim === 'gone' && !present && container.view.live === 'no' && !(await isBehind(ctx, container));
  const init = await initOf(ctx, container, liveness);
  container.stopping = status.kind === 'ok' && status.value.stopping;
  return {
    shim: none ? 'none' : shim,
    ...init,
    shimState: status.kind === 'ok' ? status.value.state : undefined,
    problem: problemOf(liveness),
    exitCode: exit.kind === 'ok' ? exit.value.exitCode : container.view.facts.exitCode,
    restartCount: exit.kind === 'ok' ? exit.value.restartCount : container.view.facts.restartCount,
    frozen: init.init === 'alive' && (await ctx.cgroups.frozen(cgroupPathOf(ctx, container))),
  };
}

/** Why its shim cannot be understood, or empty. */
function problemOf({ shim, contract, status }: Liveness): string {
  if (shim === 'foreign') return `its shim speaks contract ${contract}, which this release does not know`;
  return status.kind === 'problem' ? `its shim's status cannot be read: ${status.message}` : '';
}

/** A view that was lost is made again from the journal. */
async function isBehind(ctx: EngineContext, container: Container): Promise<boolean> {
  return container.view.seq === 0n && (await ctx.shims.readJournal(ctx.store.paths(container.id).journal, 0n)).entries.length > 0;
}

/** Init, by its shim's word; where that cannot be read, by the runtime's. */
async function initOf(ctx: EngineContext, container: Container, { init, status }: Liveness): Promise<{ init: Observed['init']; pid: number }> {
  if (status.kind === 'ok') return { init, pid: init === 'alive' ? status.value.pid : 0 };
  if (status.kind === 'missing') return { init, pid: 0 };
  try {
    const state = await ctx.runtime.state(runtimeTarget(ctx, container));
    const pid = state === undefined || state.status === 'stopped' ? 0 : state.pid;
    return pid > 0 ? { init: 'unknown', pid } : { init: 'gone', pid: 0 };
  } catch {
    return { init: 'unknown', pid: container.view.pid };
  }
}

/** The connection broke although nobody closed it: its shim died, or hangs. */
export async function shimLost(ctx: EngineContext, container: Container): Promise<void> {
  container.handle = null;
  container.watch = null;
  try {
    await restoreAgain(ctx, container);
  } catch (error) {
    ctx.logger.error('a container lost its shim and could not be given another', { container: container.id, error: messageOf(error) });
    container.transition({ kind: 'broke', reason: `its shim died and could not be replaced: ${messageOf(error)}`, pid: container.view.pid });
  }
}

/** Looks again at a container of this daemon's: live restore or not, what runs goes on. */
export async function restoreAgain(ctx: EngineContext, container: Container): Promise<void> {
  const observed = await observe(ctx, container, true);
  const steps = planRestore(container.record, observed, { liveRestore: true });
  for (const step of steps) {
    if (step.step !== 'start') await carryOutStep(ctx, container, step);
    // Who waits for the end of the run must not wait for the next one. A user's stop stands.
    else if (container.record.desired !== 'stopped') void carryOut(ctx, container, [step]);
  }
}

/** Carries out steps in order; one that fails because things have changed since is planned anew. Never throws. */
export async function carryOut(ctx: EngineContext, container: Container, steps: readonly RestoreStep[]): Promise<void> {
  for (const step of steps) {
    try {
      await carryOutStep(ctx, container, step);
    } catch (error) {
      if (step.step === 'resume' || step.step === 'replace-shim') await lookOnceMore(ctx, container, error);
      else {
        ctx.logger.error('a container could not be restored', { container: container.id, step: step.step, error: messageOf(error) });
        if (step.step !== 'start') container.transition({ kind: 'broke', reason: messageOf(error), pid: container.view.pid });
        return;
      }
    }
  }
}

async function lookOnceMore(ctx: EngineContext, container: Container, first: unknown): Promise<void> {
  let reason = messageOf(first);
  for (let looks = 1; looks < MAX_LOOKS; looks += 1) {
    await sleep(LOOK_AGAIN_MS);
    container.handle = null;
    try {
      await restoreAgain(ctx, container);
      return;
    } catch (error) {
      reason = messageOf(error);
    }
  }
  ctx.logger.error('a container could not be restored', { container: container.id, error: reason });
  container.transition({ kind: 'broke', reason, pid: container.view.pid });
}

async function carryOutStep(ctx: EngineContext, container: Container, step: RestoreStep): Promise<void> {
  switch (step.step) {
    case 'discard':
    case 'remove':
      await container.lock.run(() => removeNow(ctx, container, container.record.desired === 'creating' || container.record.hostConfig.autoRemove || container.record.removeVolumes));
      return;
    case 'resume':
      await resumeRun(ctx, container, step.paused);
      return;
    case 'replace-shim':
      await importJournal(ctx, container);
      adoptState(container);
      await takeOver(ctx, container);
      if (step.paused && container.state.kind === 'running') container.transition({ kind: 'paused' });
      await resumeExecs(ctx, container);
      return;
    case 'abandon':
      await abandon(ctx, container);
      return;
    case 'collect':
      await importJournal(ctx, container);
      await endWithoutShim(ctx, container);
      return;
    case 'stop':
      await orderStop(ctx, container, { signal: stopSignalOf(container), timeoutMs: stopTimeoutMs(ctx, container), manual: false });
      return;
    case 'start':
      await startContainer(ctx, container);
      return;
    case 'mark-broken':
      container.transition({ kind: 'broke', reason: step.reason, pid: step.pid });
      ctx.logger.warn('a container is listed but cannot be managed as usual', { container: container.id, reason: step.reason });
      return;
    case 'await-shim':
      void awaitShim(ctx, container);
  }
}

/** A shim that hangs may come back: then the container is managed again. */
async function awaitShim(ctx: EngineContext, container: Container): Promise<void> {
  const { execDir } = ctx.store.paths(container.id);
  for (;;) {
    await sleep(SILENT_PAUSE_MS, undefined, { ref: false });
    if (container.state.kind !== 'broken' || ctx.containers.get(container.id) !== container) return;
    const { shim } = await ctx.shims.liveness(execDir);
    // An order that found it silent is at work with it.
    if (shim === 'silent' || container.state.kind !== 'broken') continue;
    ctx.logger.info('a shim that did not answer does so again, or has gone', { container: container.id });
    container.settled = lookOnceMore(ctx, container, undefined);
    return;
  }
}
