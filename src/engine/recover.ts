/** Runs that have lost their shim, or never got beyond its start. */
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { HealthConfig } from '../core/container/config.ts';
import { SIGKILL } from '../core/container/signals.ts';
import { needsResolver } from '../core/ports/names.ts';
import type { ShimHandle } from '../core/ports/shim.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { LEAVE_MS } from './ending.ts';
import { killEverything } from './kill.ts';
import { publishNames } from './names.ts';
import { notePorts, regainPorts } from './shimPorts.ts';
import { shimSpec } from './shimSpec.ts';
import { supervise } from './supervise.ts';

/**
 * A replacement takes the FIFOs of a shim that died, and watches the process. What its sockets held is opened again: ports
 * of the host, unless somebody took them meanwhile, and the resolver's.
 */
export async function takeOver(ctx: EngineContext, container: Container): Promise<void> {
  const { sandbox } = container;
  const { sockets, lost } = sandbox === null ? { sockets: [], lost: [] } : ctx.network.rebind(sandbox, [...sandbox.ports, ...(sandbox.lost ?? [])]);
  let handle: ShimHandle;
  try {
    using resolver = sandbox !== null && needsResolver(sandbox) ? await ctx.names.open(sandbox.netnsPath) : undefined;
    const { healthcheck } = container.record.config;
    const spec = await shimSpec(ctx, container, { sockets, resolver, probe: hasProbe(healthcheck), restartCount: container.view.facts.restartCount });
    const stopped = container.record.desired === 'stopped';
    ({ handle } = await ctx.shims.adopt(ctx.store.paths(container.id).execDir, stopped ? { ...spec, restart: { name: 'no', maximumRetryCount: 0 } } : spec));
    if (resolver !== undefined) await publishNames(ctx, container, resolver.ports);
  } finally {
    ctx.network.closeSockets(sockets);
  }
  await failpoint('restore.adopted');
  ctx.logger.warn('a container whose shim had died was given another; its exit code will be unknown', { container: container.id });
  await notePorts(ctx, container, lost);
  await supervise(ctx, container, handle);
  void regainPorts(ctx, container, handle);
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

/** Whether a container has a probe of its own: none, inherited by nobody, or `NONE` is no probe. */
const hasProbe = (health: HealthConfig | undefined): boolean => health !== undefined && health.test.length > 0 && health.test[0] !== 'NONE';
