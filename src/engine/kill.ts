/** The last resort: no shim is asked. */
import { messageOf } from '../base/errors.ts';
import { SIGKILL } from '../core/container/signals.ts';
import { cgroupPathOf } from './bundle.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { runtimeTarget } from './context.ts';

/** Kills whatever there is of a container, by the runtime and by its cgroup. Nothing to kill is fine. */
export async function killEverything(ctx: EngineContext, container: Container): Promise<void> {
  try {
    await ctx.runtime.kill(runtimeTarget(ctx, container), SIGKILL, { all: true });
  } catch (error) {
    ctx.logger.debug('the runtime could not kill a container', { container: container.id, error: messageOf(error) });
  }
  await ctx.cgroups.killAll(cgroupPathOf(ctx, container));
}

/** Ends what holds a container's folder. Somebody else there, or one that not even SIGKILL ends, is no reason to leave the container as it is. */
export async function endShims(ctx: EngineContext, container: Container, graceMs: number): Promise<void> {
  try {
    await ctx.shims.end(ctx.store.paths(container.id).execDir, graceMs);
  } catch (error) {
    ctx.logger.warn('what holds the folder of a shim could not be ended', { container: container.id, error: messageOf(error) });
  }
}
