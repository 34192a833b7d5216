/** `docker restart`: a stop that is no user's stop, then a start; dockerd's order of events. */
import { internal, messageOf } from '../base/errors.ts';
import type { Container } from './container.ts';
import { publishContainer } from './context.ts';
import type { EngineContext } from './context.ts';
import { startContainer } from './start.ts';
import { orderStop, stopSignalOf, stopTimeoutMs } from './stop.ts';
import type { StopOptions } from './stop.ts';

export async function restartContainer(ctx: EngineContext, container: Container, options: StopOptions): Promise<void> {
  try {
    if (container.occupied) {
      const signal = stopSignalOf(container, options.signal);
      // With --rm the container stays: it is started again at once.
      await keeping(container, () => orderStop(ctx, container, { signal, timeoutMs: stopTimeoutMs(ctx, container, options.timeout), manual: false }));
      publishContainer(ctx, container.subject, 'stop');
    }
    await startContainer(ctx, container);
  } catch (error) {
    throw internal(`Cannot restart container ${container.record.name}: ${messageOf(error)}`, error);
  }
  publishContainer(ctx, container.subject, 'restart');
}

async function keeping(container: Container, work: () => Promise<void>): Promise<void> {
  container.kept += 1;
  try {
    await work();
  } finally {
    container.kept -= 1;
  }
}
