/** `docker update`: the record first, then the kernel, then the bundle from which the shim restarts. */
import { conflict } from '../base/errors.ts';
import { planUpdate, type UpdateRequest } from '../core/container/update.ts';
import { updateResources } from '../core/oci/resources.ts';
import { isRunning } from '../core/container/snapshot.ts';
import { buildBundle } from './bundle.ts';
import type { Container } from './container.ts';
import { type EngineContext, layersOf, publishContainer, runtimeTarget } from './context.ts';

export function updateContainer(ctx: EngineContext, container: Container, request: UpdateRequest): Promise<{ warnings: string[] }> {
  return container.lock.run(async () => {
    if (container.state.kind === 'removing' || container.problem !== '') throw conflict(`Cannot update container ${container.id}: container is marked for removal and cannot be "update"`);
    const { host, warnings } = planUpdate(container.record.hostConfig, request, ctx.host.sysInfo());
    const before = container.record;
    if (container.state.kind === 'running' || container.state.kind === 'paused') {
      // The kernel may refuse (memory below what is in use): then nothing was changed.
      await ctx.runtime.update(runtimeTarget(ctx, container), updateResources({ ...host, ...request.resources }));
    }
    container.record = { ...before, hostConfig: host };
    await ctx.store.save(container.record);
    if (isRunning(container)) {
      const bundle = await buildBundle(ctx, container, { rootfs: await layersOf(ctx, container).mountRw(container.id), sandbox: container.sandbox });
      await ctx.store.writeBundle(container.id, bundle.files);
    }
    if (request.restartPolicy !== undefined) await container.handle?.policy({ restart: container.record.desired === 'stopped' ? { name: 'no', maximumRetryCount: 0 } : request.restartPolicy });
    publishContainer(ctx, container.subject, 'update');
    return { warnings };
  });
}
