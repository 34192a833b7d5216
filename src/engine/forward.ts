/** Handing a container's log to its forwarder, and what is to be said of those that wait. */
import { messageOf } from '../base/errors.ts';
import { logDriverKind } from '../core/log/drivers.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { logSubject } from './shimSpec.ts';

/** Nothing for a log that is only a file. `live`: the container writes to it. */
export async function forwardLog(ctx: EngineContext, container: Container, { live }: { live: boolean }): Promise<void> {
  if (container.problem !== '' || ctx.containers.get(container.id) !== container) return;
  const { type, config } = container.record.hostConfig.logConfig;
  if (logDriverKind(type) !== 'target') return;
  const { log, forward } = ctx.store.paths(container.id);
  try {
    ctx.forward.start({ driver: type, config, subject: await logSubject(ctx, container), logPath: log, cursorPath: forward, live });
  } catch (error) {
    ctx.logger.error('the log of a container is not forwarded', { container: container.id, error: messageOf(error) });
  }
}

/** One line for each container whose log target cannot be reached, or has missed something. */
export async function forwardWarnings(ctx: EngineContext): Promise<string[]> {
  const states = await ctx.forward.states();
  return states.flatMap(({ id, name, address, error, behindBytes, gaps, lostBytes }) => {
    const container = `WARNING: container ${name} (${id.slice(0, 12)}): its log target ${address}`;
    return [
      ...(error === '' ? [] : [`${container} cannot be reached (${error}); ${behindBytes} bytes of its log wait`]),
      ...(gaps === 0 ? [] : [`${container} missed ${lostBytes === 0 ? 'an unknown part' : `at least ${lostBytes} bytes`} of its log, which was rotated away before it could be delivered`]),
    ];
  });
}
