/** How containers fare when their daemon goes: not at all with live restore; stopped in order without, or when the host goes down. */
import { messageOf } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { orderStop, stopSignalOf, stopTimeoutMs } from './stop.ts';

/** Stops what runs, all at once, within the daemon's own time (moby `ShutdownTimeout`: at least five seconds more than any container's). */
export async function shutdownContainers(ctx: EngineContext, how: { hostDown: boolean }): Promise<void> {
  const settings = ctx.settings();
  const running = ctx.containers.all().filter((container) => container.occupied);
  if (settings.liveRestore && !how.hostDown) {
    await detach(running);
    return;
  }
  await Promise.all(running.map((container) => container.whenRestored()));
  const timeouts = running.map((container) => stopTimeoutMs(ctx, container));
  const forever = settings.shutdownTimeout < 0 || timeouts.includes(-1);
  const bound = forever ? undefined : Math.max(settings.shutdownTimeout * 1000, ...timeouts.map((ms) => ms + 5000));
  const all = Promise.allSettled(running.map((container) => stopOne(ctx, container)));
  if (bound === undefined) await all;
  else if (!(await within(all, bound))) ctx.logger.error('Force shutdown daemon', { timeout: `${bound / 1000}s` });
  await detach(running);
}

/** A promise, or false after the bound. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<false>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Not a user's stop: policies start the container again with the next daemon. */
async function stopOne(ctx: EngineContext, container: Container): Promise<void> {
  try {
    await orderStop(ctx, container, { signal: stopSignalOf(container), timeoutMs: stopTimeoutMs(ctx, container), manual: false });
  } catch (error) {
    ctx.logger.error('a container did not stop', { container: container.id, error: messageOf(error) });
  }
}

/** Lets go of the shims: losing the connection means nothing to them. */
async function detach(containers: readonly Container[]): Promise<void> {
  for (const container of containers) container.watch?.close();
  await Promise.resolve();
}

/** A changed setting reaches the shims that run. */
export async function applyLiveRestore(ctx: EngineContext): Promise<void> {
  const { liveRestore } = ctx.settings();
  await Promise.allSettled(ctx.containers.all().map(async (container) => {
    try {
      await container.handle?.policy({ liveRestore });
    } catch (error) {
      ctx.logger.warn('a shim could not be told of the live-restore setting', { container: container.id, error: messageOf(error) });
    }
  }));
}
