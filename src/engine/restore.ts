/**
 * Start is recovery (design law 3): records are read, the kernel looked at, and each container brought together with what
 * is seen, all side by side and each within its own bounds. What is not understood is listed with its reason.
 */
import { messageOf } from '../base/errors.ts';
import { mapLimit } from '../base/mutex.ts';
import type { LoadedContainer } from '../core/ports/containerStore.ts';
import type { Liveness } from '../core/ports/shim.ts';
import { type Observed, planRestore, type RestoreStep } from '../core/restorePlan.ts';
import { isContainerMode } from '../core/container/modes.ts';
import { cgroupPathOf } from './bundle.ts';
import { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { endExec, followEnd } from './exec.ts';
import { giveBack, volumeNames } from './giveBack.ts';
import { placeholderRecord } from './placeholder.ts';
import { removeNow } from './remove.ts';
import { startContainer } from './start.ts';
import { killEverything, orderStop, stopSignalOf, stopTimeoutMs } from './stop.ts';
import { applyEntry, endWithoutShim, supervise, takeOver } from './supervise.ts';

const AT_ONCE = 32;

interface Task {
  container: Container;
  steps: RestoreStep[];
}

/**
 * Restores every container. Resolves when all that runs is known again, so that the API can be served; `later` holds
 * what follows in the background (stops with live restore off, starts by policy, removals).
 */
export async function restoreContainers(ctx: EngineContext): Promise<{ later: Promise<void> }> {
  const loaded = await ctx.store.loadAll();
  const execDirs = new Set(await ctx.store.listExecDirs());
  const tasks = await mapLimit(loaded, AT_ONCE, (each) => look(ctx, each, execDirs));
  await clearStrays(ctx, new Set(loaded.map(({ id }) => id)));
  const live = tasks.map(({ container }) => container).filter((container) => container.sandbox !== null);
  await ctx.network.restore(live.map((container) => ({ containerId: container.id, sandbox: sandboxOf(container) })));
  await ctx.volumes.restore(live.flatMap((container) => volumeNames(container).map((name) => ({ name, user: container.id }))));
  await mapLimit(tasks, AT_ONCE, ({ container, steps }) => carryOut(ctx, container, steps.filter(isImmediate)));
  return { later: carryOutLater(ctx, tasks) };
}

/** Containers that share another's network are started after the others, so that it is there. */
async function carryOutLater(ctx: EngineContext, tasks: readonly Task[]): Promise<void> {
  const dependent = ({ container }: Task): boolean => isContainerMode(container.record.hostConfig.networkMode);
  for (const group of [tasks.filter((task) => !dependent(task)), tasks.filter(dependent)]) {
    await mapLimit(group, 8, ({ container, steps }) => carryOut(ctx, container, steps.filter((step) => !isImmediate(step))));
  }
}

/** What must be done before the API answers; the rest may take its time. */
const isImmediate = ({ step }: RestoreStep): boolean => step === 'resume' || step === 'replace-shim' || step === 'mark-broken' || step === 'collect' || step === 'abandon' || step === 'discard';

function sandboxOf(container: Container): NonNullable<Container['sandbox']> {
  if (container.sandbox === null) throw new Error(`container ${container.id} has no sandbox`);
  return container.sandbox;
}

/** Reads what is recorded and seen of one container, and plans. Never throws: what goes wrong is the container's reason. */
async function look(ctx: EngineContext, loaded: LoadedContainer, execDirs: ReadonlySet<string>): Promise<Task> {
  try {
    if (loaded.kind === 'problem') return await lookAtProblem(ctx, loaded);
    const { record } = loaded;
    const container = new Container(record, { kind: record.startedBefore ? 'exited' : 'created' });
    ctx.containers.add(container);
    container.view = await ctx.store.loadView(record.id);
    const liveness = await ctx.shims.liveness(ctx.store.paths(record.id).execDir);
    const observed = await observe(ctx, container, { liveness, execDirs });
    if (observed.shim !== 'none') container.sandbox = await ctx.store.loadSandbox(record.id);
    return { container, steps: planRestore(record, observed, { liveRestore: ctx.settings().liveRestore }) };
  } catch (error) {
    const container = new Container(loaded.kind === 'ok' ? loaded.record : placeholderRecord(loaded.id), { kind: 'exited' });
    ctx.containers.add(container);
    return { container, steps: [{ step: 'mark-broken', reason: messageOf(error) }] };
  }
}

async function lookAtProblem(ctx: EngineContext, loaded: { id: string; reason: string }): Promise<Task> {
  const container = new Container(placeholderRecord(loaded.id), { kind: 'exited' }, loaded.reason);
  ctx.containers.add(container);
  const liveness = await ctx.shims.liveness(ctx.store.paths(loaded.id).execDir);
  if (liveness.status.kind === 'ok' && liveness.init === 'alive') container.view = { ...container.view, pid: liveness.status.value.pid };
  container.sandbox = await ctx.store.loadSandbox(loaded.id);
  return { container, steps: [{ step: 'mark-broken', reason: loaded.reason }] };
}

async function observe(ctx: EngineContext, container: Container, known: { liveness: Liveness; execDirs: ReadonlySet<string> }): Promise<Observed> {
  const { liveness } = known;
  const { status } = liveness;
  // A folder without a status is what a start left that a crash cut short: there is something to clear away.
  const none = status.kind === 'missing' && liveness.shim === 'gone' && !known.execDirs.has(container.id);
  const exit = await ctx.shims.readExit(ctx.store.paths(container.id).exit);
  return {
    shim: none ? 'none' : liveness.shim,
    init: liveness.init,
    shimState: status.kind === 'ok' ? status.value.state : undefined,
    problem: status.kind === 'problem' ? `its shim's status cannot be read: ${status.message}` : '',
    exitFinal: exit.kind === 'ok' && exit.value.final,
    exitCode: exit.kind === 'ok' ? exit.value.exitCode : container.view.facts.exitCode,
    restartCount: exit.kind === 'ok' ? exit.value.restartCount : container.view.facts.restartCount,
    frozen: liveness.init === 'alive' && (await ctx.cgroups.frozen(cgroupPathOf(ctx, container))),
  };
}

/** Folders in the exec root that no record claims: a create that a crash cut short, with all it may have started. */
async function clearStrays(ctx: EngineContext, known: Set<string>): Promise<void> {
  for (const id of await ctx.store.listExecDirs()) {
    if (known.has(id)) continue;
    const stray = new Container(placeholderRecord(id), { kind: 'exited' });
    ctx.logger.warn('a container without a record is cleared away', { container: id });
    await killEverything(ctx, stray);
    await giveBack(ctx, stray);
    await ctx.store.removeExecDir(id);
  }
}

async function carryOut(ctx: EngineContext, container: Container, steps: RestoreStep[]): Promise<void> {
  for (const step of steps) {
    try {
      await carryOutStep(ctx, container, step);
    } catch (error) {
      ctx.logger.error('a container could not be restored', { container: container.id, step: step.step, error: messageOf(error) });
      if (step.step !== 'start') container.transition({ kind: 'broke', reason: messageOf(error), pid: container.view.pid });
      return;
    }
  }
}

async function carryOutStep(ctx: EngineContext, container: Container, step: RestoreStep): Promise<void> {
  const { execDir } = ctx.store.paths(container.id);
  switch (step.step) {
    case 'discard':
    case 'remove':
      await container.lock.run(() => removeNow(ctx, container, container.record.desired === 'creating' || container.record.hostConfig.autoRemove || container.record.removeVolumes));
      return;
    case 'resume': {
      await importJournal(ctx, container);
      const handle = ctx.shims.handle(execDir);
      adoptState(container);
      await supervise(ctx, container, handle);
      if (step.paused && container.state.kind === 'running') container.transition({ kind: 'paused' });
      await handle.policy({ liveRestore: ctx.settings().liveRestore, restart: container.record.desired === 'stopped' ? { name: 'no', maximumRetryCount: 0 } : container.record.hostConfig.restartPolicy });
      await resumeExecs(ctx, container);
      return;
    }
    case 'replace-shim':
      await importJournal(ctx, container);
      adoptState(container);
      await takeOver(ctx, container, true);
      await resumeExecs(ctx, container);
      return;
    case 'abandon':
      await killEverything(ctx, container);
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
      container.transition({ kind: 'broke', reason: step.reason, pid: container.view.pid });
      ctx.logger.warn('a container is listed but cannot be managed as usual', { container: container.id, reason: step.reason });
      return;
  }
}

/** What happened while no daemon was there, published with the times at which it happened. */
async function importJournal(ctx: EngineContext, container: Container): Promise<void> {
  const journal = await ctx.shims.readJournal(ctx.store.paths(container.id).journal, container.view.seq);
  if (container.view.live !== 'no' || journal.entries.length > 0) adoptState(container);
  for (const entry of journal.entries) applyEntry(ctx, container, entry);
  if (journal.gap) ctx.logger.warn("a container's journal was rotated before it was read: some of its events are lost", { container: container.id });
  await ctx.store.saveView(container.id, container.view);
}

/** The state that the view stands for, so that later entries find the table's row they belong to. */
function adoptState(container: Container): void {
  if (container.state.kind === 'exited' || container.state.kind === 'created') container.transition({ kind: 'launch' });
  if (container.view.live === 'running' && container.state.kind === 'starting') container.transition({ kind: 'started', pid: container.view.pid });
  if (container.view.live === 'restarting' && container.state.kind === 'starting') container.transition({ kind: 'died-restarting' });
}

/** Exec sessions of an earlier daemon: those that run are followed again, those that ended are known with their codes (B4). */
async function resumeExecs(ctx: EngineContext, container: Container): Promise<void> {
  for (const { record, ended } of await ctx.store.listExecs(container.id)) {
    const dir = ctx.store.execDir(container.id, record.id);
    const liveness = await ctx.shims.liveness(dir);
    const pid = liveness.status.kind === 'ok' ? liveness.status.value.pid : 0;
    const session = { record, started: true, running: false, exitCode: null as number | null, pid, handle: null as Container['handle'], endedNs: 0n, ended: Promise.resolve() };
    container.execs.set(record.id, session);
    if (liveness.shim === 'answering') {
      const handle = ctx.shims.handle(dir);
      const watch = await handle.watch({ since: 0n, onEntry: () => undefined });
      session.running = true;
      session.handle = handle;
      session.ended = followEnd(ctx, container, { session, ended: watch.ended });
    } else if (ended) {
      const exit = await ctx.shims.readExit(`${dir}/exit`);
      session.exitCode = exit.kind === 'ok' && exit.value.exitCode !== 'unknown' ? exit.value.exitCode : 255;
      session.endedNs = exit.kind === 'ok' ? exit.value.finishedAt : ctx.clock.nowNs();
    } else await endExec(ctx, container, session);
  }
}

/** Leftovers of layers: writable ones that no container claims. */
export async function clearLayers(ctx: EngineContext): Promise<void> {
  for (const layers of ctx.layers.values()) {
    for (const id of await layers.listRw()) {
      if (ctx.containers.get(id) === undefined) await layers.removeRw(id);
    }
  }
}
