/**
 * Start is recovery (design law 3): records are read, the kernel looked at, and each container brought together with what
 * is seen, all side by side and each within its own bounds. What is not understood is listed with its reason.
 */
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { mapLimit } from '../base/mutex.ts';
import { startStep } from '../base/trace.ts';
import { isContainerMode } from '../core/container/modes.ts';
import type { RestoreStep } from '../core/restorePlan.ts';
import { admit } from './admit.ts';
import { mendEndpoints } from './connect.ts';
import { Container } from './container.ts';
import { runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';
import { followDataRoot } from './followDataRoot.ts';
import { forwardLog } from './forward.ts';
import { giveBack, volumeNames } from './giveBack.ts';
import { refreshNames } from './names.ts';
import { placeholderRecord } from './placeholder.ts';
import { abandon } from './recover.ts';
import { carryOut, look, lookAtProblem, shimLost } from './restoreOne.ts';
import type { Task } from './restoreOne.ts';
import { tellUntoldContainers, tellUntoldResources } from './untold.ts';

const AT_ONCE = 32;

/**
 * Restores every container. Resolves when all that runs is known again, so that the API can be served; `behind` is what
 * follows: shims that were not asked yet are connected to, and `later` brings what takes its time (stops with live restore
 * off, starts by policy, removals). `moved`: the data root has another path than when these containers were started.
 */
export async function restoreContainers(ctx: EngineContext, options: { moved: boolean } = { moved: false }): Promise<Restored> {
  ctx.containers.shimLost = (container) => shimLost(ctx, container);
  if (options.moved) await followDataRoot(ctx);
  const loaded = await ctx.store.loadAll();
  startStep('records');
  // Without live restore nothing goes on as it is, and of a root that was moved little is plain.
  const plain = ctx.settings().liveRestore && !options.moved ? loaded.containers.map((each) => admit(ctx, each)) : [];
  const admitted = plain.filter((each) => each !== undefined);
  startStep('a first look');
  const tasks = await mapLimit(loaded.containers.filter((_, index) => plain[index] === undefined), AT_ONCE, (each) => look(ctx, each));
  await failpoint('restore.looked');
  for (const stray of await mapLimit(loaded.strays, AT_ONCE, (id) => lookAtStray(ctx, id))) if (stray !== undefined) tasks.push(stray);
  startStep('a second look');
  for (const { container, paused } of admitted) container.restore = once(() => resumeAdmitted(ctx, container, paused));
  const looked = tasks.filter((task) => task.live).map(({ container }) => container);
  const live = [...admitted.map(({ container }) => container), ...looked];
  await ctx.network.restore(live.flatMap(({ id, sandbox }) => (sandbox === null ? [] : [{ containerId: id, sandbox }])));
  startStep('network');
  await ctx.names.restore(live.map(({ id }) => id));
  await failpoint('restore.network');
  await tellUntoldResources(ctx);
  await ctx.volumes.restore(live.flatMap((container) => volumeNames(container).map((name) => ({ name, user: container.id }))));
  startStep('names and volumes');
  await mapLimit(tasks, AT_ONCE, ({ container, steps }) => carryOut(ctx, container, steps.filter(isImmediate)));
  for (const { container, steps } of tasks) if (steps.some(({ step }) => step === 'remove')) markForRemoval(container);
  await mapLimit(looked, AT_ONCE, (container) => container.lock.run(() => mendEndpoints(ctx, container)));
  await mapLimit(tasks, AT_ONCE, ({ container }) => forwardLog(ctx, container, { live: container.occupied }));
  await tellUntoldContainers(ctx);
  startStep('what had changed');
  for (const container of looked) void container.lock.run(() => refreshNames(ctx, container));
  await failpoint('restore.done');
  return {
    behind: () => mapLimit(admitted, AT_ONCE, ({ container }) => container.whenRestored()).then(() => undefined),
    later: () => carryOutLater(ctx, tasks),
  };
}

export interface Restored {
  behind(): Promise<void>;
  later(): Promise<void>;
}

/** Never rejects. */
async function resumeAdmitted(ctx: EngineContext, container: Container, paused: boolean): Promise<void> {
  await carryOut(ctx, container, [{ step: 'resume', paused }]);
  await forwardLog(ctx, container, { live: container.occupied });
  container.restore = null;
  void container.lock.run(() => refreshNames(ctx, container));
}

/** However often it is called, it is done once. */
function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}

/** Containers that share another's network are started after the others, so that it is there. */
async function carryOutLater(ctx: EngineContext, tasks: readonly Task[]): Promise<void> {
  const dependent = ({ container }: Task): boolean => isContainerMode(container.record.hostConfig.networkMode);
  for (const group of [tasks.filter((task) => !dependent(task)), tasks.filter(dependent)]) {
    await mapLimit(group, 8, ({ container, steps }) => carryOut(ctx, container, steps.filter((step) => !isImmediate(step))));
  }
}

/** A removal takes its time, and nobody may start meanwhile what is about to go. */
function markForRemoval(container: Container): void {
  if (container.state.kind !== 'broken') container.transition({ kind: 'remove' });
}

const LATER: ReadonlySet<RestoreStep['step']> = new Set(['remove', 'stop', 'start']);

/** What must be done before the API answers; the rest may take its time. */
const isImmediate = ({ step }: RestoreStep): boolean => !LATER.has(step);

/**
 * A folder in the exec root that no record claims. One that runs is nobody's to end: the data root may be another one than
 * it was started with. Else it is what a crash left of a removal or a create.
 */
async function lookAtStray(ctx: EngineContext, id: string): Promise<Task | undefined> {
  const { init, status } = await ctx.shims.liveness(ctx.store.paths(id).execDir);
  const started = status.kind === 'ok' && (status.value.state === 'running' || status.value.state === 'restarting');
  if (started && init === 'alive') return await lookAtProblem(ctx, { id, reason: `it has no record in ${ctx.settings().dataRoot}` });
  await clearStray(ctx, id);
  return undefined;
}

async function clearStray(ctx: EngineContext, id: string): Promise<void> {
  ctx.logger.warn('a container without a record is cleared away', { container: id });
  const stray = new Container(placeholderRecord(id), { kind: 'exited' });
  try {
    await abandon(ctx, stray);
    await ctx.runtime.delete(runtimeTarget(ctx, stray));
    await giveBack(ctx, stray);
    await ctx.store.removeExecDir(id);
  } catch (error) {
    ctx.logger.error('a container without a record could not be cleared away', { container: id, error: messageOf(error) });
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
