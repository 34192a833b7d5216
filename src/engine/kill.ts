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
