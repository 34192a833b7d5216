/** `docker update`: the record first, then the kernel, then the bundle from which the shim restarts. */
import { createHash } from 'node:crypto';
import { conflict, messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { HostConfig } from '../core/container/config.ts';
import { planUpdate } from '../core/container/update.ts';
import type { UpdateRequest } from '../core/container/update.ts';
import { recordedLimits, updateResources, withResources } from '../core/oci/resources.ts';
import { isRunning } from '../core/container/snapshot.ts';
import type { Container } from './container.ts';
import { containerEvent, runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';

/** Of a host config: whether it is the one that an update was to make. */
export const settingsDigest = (host: HostConfig): string =>
  createHash('sha256').update(JSON.stringify(host, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))).digest('hex');

export function updateContainer(ctx: EngineContext, container: Container, request: UpdateRequest): Promise<{ warnings: string[] }> {
  return container.lock.run(async () => {
    if (container.state.kind === 'removing' || container.problem !== '') throw conflict(`Cannot update container ${container.id}: container is marked for removal and cannot be "update"`);
    const { host, changes, warnings } = planUpdate(container.record.hostConfig, request, ctx.host.sysInfo());
    const event = containerEvent(container.subject, 'update');
    await ctx.events.telling(event, { of: 'container settings', id: container.id, digest: settingsDigest(host) }, () => apply(ctx, container, { host, changes, request }));
    return { warnings };
  });
}

async function apply(ctx: EngineContext, container: Container, { host, changes, request }: { host: HostConfig; changes: Parameters<typeof updateResources>[0]; request: UpdateRequest }): Promise<void> {
  if (container.state.kind === 'running' || container.state.kind === 'paused') {
    // The kernel may refuse (memory below what is in use): then nothing was changed.
    await ctx.runtime.update(runtimeTarget(ctx, container), updateResources(changes));
  }
  await failpoint('update.applied');
  const updated = { ...container.record, hostConfig: host };
  await ctx.store.save(updated);
  container.record = updated;
  await failpoint('update.saved');
  await rewriteBundle(ctx, container);
  if (request.restartPolicy !== undefined) await container.handle?.policy({ restart: container.record.desired === 'stopped' ? { name: 'no', maximumRetryCount: 0 } : request.restartPolicy });
}

/** Only the limits: what else stands there is what the container was started with. */
async function rewriteBundle(ctx: EngineContext, container: Container): Promise<void> {
  if (!isRunning(container)) return;
  const bundle = await ctx.store.readBundle(container.id, 'config.json');
  await ctx.store.writeBundle(container.id, { 'config.json': withResources(bundle, container.record.hostConfig, ctx.host.devices()) });
}

/** A daemon that died within an update may have left the kernel, or the bundle, with other limits than the record's. */
export async function mendSettings(ctx: EngineContext, container: Container): Promise<void> {
  await container.lock.run(async () => {
    if (container.state.kind !== 'running' && container.state.kind !== 'paused') return;
    try {
      await ctx.runtime.update(runtimeTarget(ctx, container), recordedLimits(container.record.hostConfig));
      await rewriteBundle(ctx, container);
    } catch (error) {
      ctx.logger.warn("a container's limits may not be those of its record", { container: container.id, error: messageOf(error) });
    }
  });
}
