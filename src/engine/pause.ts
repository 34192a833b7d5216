/** `docker pause` and `docker unpause`: the freezer is the truth, the runtime its hand. */
import { conflict, internal } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { cgroupPathOf } from './bundle.ts';
import type { Container } from './container.ts';
import { containerEvent, runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';

export function pauseContainer(ctx: EngineContext, container: Container): Promise<void> {
  return container.lock.run(async () => {
    const { kind } = container.state;
    if (kind === 'paused') throw conflict(`Container ${container.id} is already paused`);
    if (kind === 'restarting') throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
    if (kind !== 'running') throw conflict(`container ${container.id} is not running`);
    await ctx.events.telling(containerEvent(container.subject, 'pause'), { of: 'container', id: container.id, is: 'frozen' }, async () => {
      await ctx.runtime.pause(runtimeTarget(ctx, container));
      await failpoint('pause.done');
      container.transition({ kind: 'paused' });
    });
  });
}

export function unpauseContainer(ctx: EngineContext, container: Container): Promise<void> {
  return container.lock.run(async () => {
    if (container.state.kind !== 'paused') throw internal(`Container ${container.id} is not paused`);
    await ctx.events.telling(containerEvent(container.subject, 'unpause'), { of: 'container', id: container.id, is: 'thawed' }, async () => {
      // Somebody else may have thawed it, which the runtime refuses to do again.
      if (await ctx.cgroups.frozen(cgroupPathOf(ctx, container))) await ctx.runtime.resume(runtimeTarget(ctx, container));
      await failpoint('unpause.done');
      container.transition({ kind: 'resumed' });
    });
  });
}

/** Before a signal that is to be taken: paused by us or frozen by somebody else, it runs. */
export async function thaw(ctx: EngineContext, container: Container): Promise<void> {
  await ctx.cgroups.thaw(cgroupPathOf(ctx, container));
  if (container.state.kind === 'paused') container.transition({ kind: 'resumed' });
}
