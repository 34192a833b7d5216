/** `docker info` and `docker system df`: counted from what is there. */
import { statusOf } from '../core/container/snapshot.ts';
import type { EngineInfo } from '../core/engineInfo.ts';
import type { Image } from '../core/image/image.ts';
import type { VolumeRecord } from '../core/ports/volumes.ts';
import type { SysInfo } from '../core/container/sysInfo.ts';
import type { ContainerSnapshot } from '../core/container/snapshot.ts';
import { forwardWarnings } from './forward.ts';
import { lostPortWarnings } from './shimPorts.ts';
import { layersOf } from './context.ts';
import type { EngineContext } from './context.ts';
import { snapshot } from './query.ts';
import { usersOfVolume } from './removal.ts';

export async function engineInfo(ctx: EngineContext): Promise<EngineInfo> {
  const statuses = ctx.containers.all().map((container) => statusOf(container));
  const running = statuses.filter((status) => status === 'running' || status === 'restarting').length;
  const paused = statuses.filter((status) => status === 'paused').length;
  const settings = ctx.settings();
  const layers = ctx.layers.get(settings.storageDriver);
  const broken = ctx.containers.all().flatMap((container) => (container.state.kind === 'broken' ? [`WARNING: container ${container.record.name} (${container.id.slice(0, 12)}): ${container.state.reason}`] : []));
  return {
    containers: { all: statuses.length, running, paused, stopped: statuses.length - running - paused },
    images: (await ctx.images.list()).length,
    driver: settings.storageDriver,
    driverStatus: layers === undefined ? [] : await layers.status(),
    host: await ctx.host.info(),
    sys: ctx.host.sysInfo(),
    settings,
    nowNs: ctx.clock.nowNs(),
    warnings: [...limitWarnings(ctx.host.sysInfo()), ...ctx.pending().map((line) => `WARNING: ${line}`), ...broken, ...lostPortWarnings(ctx), ...(await forwardWarnings(ctx))],
  };
}

/** What the kernel cannot limit (moby `fillDebugInfo`'s neighbours). */
function limitWarnings(sys: SysInfo): string[] {
  const lacking: [boolean, string][] = [
    [sys.memoryLimit, 'No memory limit support'],
    [sys.swapLimit, 'No swap limit support'],
    [sys.cpuCfs, 'No cpu cfs quota support'],
    [sys.cpuShares, 'No cpu shares support'],
    [sys.cpuset, 'No cpuset support'],
    [sys.pidsLimit, 'No pids limit support'],
  ];
  return lacking.flatMap(([there, text]) => (there ? [] : [`WARNING: ${text}`]));
}

export interface DiskUsage {
  layersBytes: number;
  images: { image: Image; containers: number; shared: number }[];
  containers: { snapshot: ContainerSnapshot; rw: number; rootFs: number }[];
  volumes: { record: VolumeRecord; size: number; users: number }[];
}

export async function diskUsage(ctx: EngineContext): Promise<DiskUsage> {
  const all = ctx.containers.all();
  const images = await ctx.images.list();
  const driver = ctx.layers.get(ctx.settings().storageDriver);
  const layers = driver === undefined ? [] : await driver.list();
  const layersBytes = driver === undefined ? 0 : (await Promise.all(layers.map((layer) => driver.size(layer)))).reduce((sum, size) => sum + size, 0);
  return {
    layersBytes,
    images: images.map((image) => ({ image, containers: all.filter(({ record }) => record.imageId === image.id).length, shared: 0 })),
    containers: await Promise.all(all.map(async (container) => {
      const rw = container.problem === '' ? await layersOf(ctx, container).sizeRw(container.id) : 0;
      return { snapshot: snapshot(ctx, container), rw, rootFs: rw + (images.find(({ id }) => id === container.record.imageId)?.size ?? 0) };
    })),
    volumes: await Promise.all(ctx.volumes.list().map(async (record) => ({ record, size: await ctx.volumes.usage(record.name), users: usersOfVolume(ctx, record.name).length }))),
  };
}
