/** Runs that have lost their shim, or never got beyond its start. */
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { SIGKILL } from '../core/container/signals.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { LEAVE_MS } from './ending.ts';
import { killEverything } from './kill.ts';
import { supervise } from './supervise.ts';

/** A replacement takes the FIFOs of a shim that died, and watches the process. */
export async function takeOver(ctx: EngineContext, container: Container): Promise<void> {
  const { handle } = await ctx.shims.adopt(ctx.store.paths(container.id).execDir);
  await failpoint('restore.adopted');
  ctx.logger.warn('a container whose shim had died was given another; its exit code will be unknown', { container: container.id });
  await supervise(ctx, container, handle);
}

/** Ends what was created in the runtime and never started. Its shim takes back what it made, if it still can. */
export async function abandon(ctx: EngineContext, container: Container): Promise<void> {
  const { execDir } = ctx.store.paths(container.id);
  const { shim } = await ctx.shims.liveness(execDir);
  try {
    if (shim === 'answering') await ctx.shims.handle(execDir).stop({ signal: SIGKILL, timeoutMs: 0 });
  } catch (error) {
    ctx.logger.debug('a shim left before it was told to', { container: container.id, error: messageOf(error) });
  }
  await ctx.shims.end(execDir, LEAVE_MS);
  await killEverything(ctx, container);
}
