/** Reading: snapshots for list and inspect, sizes, processes, statistics. */
import { conflict } from '../base/errors.ts';
import type { ContainerDetails, ContainerSnapshot } from '../core/container/snapshot.ts';
import { isRunning } from '../core/container/snapshot.ts';
import type { CgroupStats } from '../core/container/stats.ts';
import type { ImageUse } from '../core/ports/images.ts';
import type { Change } from '../core/ports/layers.ts';
import type { ProcessTable } from '../core/ports/runtime.ts';
import { cgroupPathOf } from './bundle.ts';
import type { Container } from './container.ts';
import { layersOf, publishContainer, runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';
import { healthDetails } from './health.ts';

export const snapshot = (ctx: EngineContext, container: Container): ContainerSnapshot => ({
  record: container.record,
  state: container.state,
  view: container.view,
  sandbox: container.sandbox,
  exitCode: container.exitCode,
  paths: ctx.store.paths(container.id),
  execIds: [...container.execs.values()].filter(({ exitCode }) => exitCode === null).map(({ record }) => record.id),
});

export const networkIds = (ctx: EngineContext): ReadonlyMap<string, string> => new Map(ctx.network.list().map(({ name, id }) => [name, id]));

export async function details(ctx: EngineContext, container: Container, withSizes: boolean): Promise<ContainerDetails> {
  const { probes, streak } = await healthDetails(ctx, container);
  return {
    probes,
    healthStreak: streak,
    sizes: withSizes ? await sizes(ctx, container) : null,
    networkIds: networkIds(ctx),
  };
}

export async function sizes(ctx: EngineContext, container: Container): Promise<{ rw: number; rootFs: number }> {
  const rw = await layersOf(ctx, container).sizeRw(container.id);
  const image = await ctx.images.get(container.record.imageId);
  return { rw, rootFs: rw + (image?.size ?? 0) };
}

export async function topContainer(ctx: EngineContext, container: Container, psArgs: string): Promise<ProcessTable> {
  if (!isRunning(container)) throw conflict(`container ${container.id} is not running`);
  if (container.state.kind === 'restarting') throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  const table = await ctx.runtime.top(runtimeTarget(ctx, container), psArgs);
  publishContainer(ctx, container.subject, 'top');
  return table;
}

export const statsOf = (ctx: EngineContext, container: Container): Promise<CgroupStats> => ctx.cgroups.stats(cgroupPathOf(ctx, container));

export const changesOf = (ctx: EngineContext, container: Container): Promise<Change[]> => layersOf(ctx, container).changes(container.id);

/** Which images containers are made of, for the refusals of `docker rmi`. */
export const imageUses = (ctx: EngineContext): ImageUse[] =>
  ctx.containers.all().map((container) => ({ id: container.id, imageId: container.record.imageId, running: isRunning(container) }));
