/** The end of a run whose shim is gone. */
import { failpoint } from '../base/failpoint.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { runtimeTarget } from './context.ts';
import { giveBack } from './giveBack.ts';
import { endShims } from './kill.ts';
import { keepHealth } from './health.ts';
import { removeAfterExit } from './removal.ts';
import { applyEntry, noteEnd } from './supervise.ts';

/** How long a shim that is on its way out may take; one that creates its container first waits for the runtime. */
export const LEAVE_MS = 10_000;

/** The run is over and no shim is there to say so: what its files tell is taken, what they don't is unknown. */
export async function endWithoutShim(ctx: EngineContext, container: Container, graceMs = LEAVE_MS): Promise<void> {
  const { exit, journal } = ctx.store.paths(container.id);
  await endShims(ctx, container, graceMs);
  for (const entry of (await ctx.shims.readJournal(journal, container.view.seq)).entries) applyEntry(ctx, container, entry);
  if (container.view.live !== 'no') {
    const record = await ctx.shims.readExit(exit);
    const { facts } = container.view;
    const known = record.kind === 'ok' && record.value.startedAt === facts.startedNs ? record.value : undefined;
    container.view = {
      ...container.view,
      live: 'no',
      pid: 0,
      facts: { ...facts, finishedNs: known?.finishedAt ?? ctx.clock.nowNs(), exitCode: known?.exitCode ?? 'unknown', oomKilled: known?.oom ?? false },
    };
  }
  await container.lock.run(async () => {
    await ctx.runtime.delete(runtimeTarget(ctx, container));
    await failpoint('collect.deleted');
    await giveBack(ctx, container);
    await failpoint('collect.given-back');
    await keepHealth(ctx, container);
    if (await noteEnd(ctx, container)) await ctx.store.removeExecDir(container.id);
    container.handle = null;
    if (container.state.kind !== 'created') container.transition({ kind: 'ended' });
  });
  ctx.forward.ended(container.id);
  container.notify('exit');
}

/** The same at the end of a run that this daemon knew. */
export async function endLost(ctx: EngineContext, container: Container, graceMs = LEAVE_MS): Promise<void> {
  await endWithoutShim(ctx, container, graceMs);
  await removeAfterExit(ctx, container);
}
