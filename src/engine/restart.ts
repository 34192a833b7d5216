/** `docker restart`: a stop that is no user's stop, then a start; dockerd's order of events. */
import { internal, messageOf } from '../base/errors.ts';
import type { Container } from './container.ts';
import { containerEvent } from './context.ts';
import type { EngineContext } from './context.ts';
import { startContainer } from './start.ts';
import { orderStop, stopSignalOf, stopTimeoutMs, tellingStop } from './stop.ts';
import type { StopOptions } from './stop.ts';

export async function restartContainer(ctx: EngineContext, container: Container, options: StopOptions): Promise<void> {
  try {
    if (container.occupied) {
      const signal = stopSignalOf(container, options.signal);
      // With --rm the container stays: it is started again at once.
      const stop = (): Promise<void> => orderStop(ctx, container, { signal, timeoutMs: stopTimeoutMs(ctx, container, options.timeout), manual: false });
      await keeping(container, () => tellingStop(ctx, container, stop));
    }
    await ctx.events.telling(containerEvent(container.subject, 'restart'), { of: 'container', id: container.id, is: 'restarted' }, () => startContainer(ctx, container));
  } catch (error) {
    throw internal(`Cannot restart container ${container.record.name}: ${messageOf(error)}`, error);
  }
}

async function keeping(container: Container, work: () => Promise<void>): Promise<void> {
  container.kept += 1;
  try {
    await work();
  } finally {
    container.kept -= 1;
  }
}
