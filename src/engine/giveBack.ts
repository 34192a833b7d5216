/** What a run held and the daemon had given it: taken back after its end. Idempotent, so that a crash in between is finished by the next start. */
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { traced } from '../base/trace.ts';
import type { MountPoint } from '../core/container/mounts.ts';
import type { LayerPort } from '../core/ports/layers.ts';
import type { Container } from './container.ts';
import { layersOf } from './context.ts';
import type { EngineContext } from './context.ts';
import { publishNetwork, publishUnmount } from './resourceEvents.ts';

/** The driver of a container's layer; all of them where its record does not tell. */
const driversOf = (ctx: EngineContext, container: Container): LayerPort[] =>
  container.record.storageDriver === '' ? [...ctx.layers.values()] : [layersOf(ctx, container)];

/** Network, mounts, volumes, exec folder. The caller holds the lock. What fails is logged and tried again at the next start or removal. */
export async function giveBack(ctx: EngineContext, container: Container): Promise<void> {
  const held = await whatWasTold(ctx, container);
  // A crash may have left a namespace whose sandbox was not written down yet.
  const sandbox = container.sandbox ?? (await ctx.store.loadSandbox(container.id)) ?? { netnsPath: ctx.store.paths(container.id).netns, endpoints: [], ports: [] };
  const attempts: [string, () => Promise<void>][] = [
    ['network', async () => {
      await ctx.network.down(container.id, sandbox);
      await failpoint('give-back.network');
      for (const endpoint of sandbox.endpoints.filter(({ networkId }) => held(networkId))) publishNetwork(ctx, container, { action: 'disconnect', endpoint });
    }],
    ['names', () => ctx.names.withdraw(container.id)],
    ['shared memory', () => ctx.host.unmountShm(shmFolder(ctx, container))],
    ['root filesystem', async () => {
      for (const layers of driversOf(ctx, container)) await layers.unmountRw(container.id);
    }],
    ...volumeMounts(container).map((mount): [string, () => Promise<void>] => ['volume', async () => {
      await ctx.volumes.unmount(mount.name, container.id);
      if (held(mount.name)) publishUnmount(ctx, container, mount);
    }]),
  ];
  await failpoint('give-back');
  await Promise.all(attempts.map(async ([what, attempt]) => {
    try {
      await traced(container.id, `give back: ${what}`, attempt);
    } catch (error) {
      ctx.logger.warn(`a stopped container's ${what} could not be given back`, { container: container.id, error: messageOf(error) });
    }
  }));
  container.sandbox = null;
  await failpoint('give-back.done');
}

/**
 * Whether it was told that the container has a network or volume, so that it is told once that it has it no more: of a
 * run that is ending, not of one that a removal makes sure of. What an earlier daemon told before it died, its event log knows.
 */
async function whatWasTold(ctx: EngineContext, container: Container): Promise<(id: string) => boolean> {
  const { occupied } = container;
  if (!container.inherited) return () => occupied;
  container.inherited = false;
  const { holds } = await ctx.events.told(container.id);
  return (id) => holds.get(id) ?? occupied;
}

export const volumeMounts = (container: Container): MountPoint[] => container.record.mounts.filter(({ type }) => type === 'volume');
export const volumeNames = (container: Container): string[] => volumeMounts(container).map(({ name }) => name);

/** Where the /dev/shm of a container that shares it is mounted. */
export const shmFolder = (ctx: EngineContext, container: Container): string => `${ctx.store.paths(container.id).execDir}/shm`;
