/** What a run held and the daemon had given it: taken back after its end. Idempotent, so that a crash in between is finished by the next start. */
import { messageOf } from '../base/errors.ts';
import type { Container } from './container.ts';
import { type EngineContext, layersOf } from './context.ts';

/** Network, mounts, volumes, exec folder. The caller holds the lock. What fails is logged and tried again at the next start or removal. */
export async function giveBack(ctx: EngineContext, container: Container): Promise<void> {
  const sandbox = container.sandbox ?? (await ctx.store.loadSandbox(container.id));
  const attempts: [string, () => Promise<void>][] = [
    ['network', async () => {
      if (sandbox !== null) await ctx.network.down(container.id, sandbox);
    }],
    ['root filesystem', () => layersOf(ctx, container).unmountRw(container.id)],
    ...volumeNames(container).map((name): [string, () => Promise<void>] => ['volume', () => ctx.volumes.unmount(name, container.id)]),
  ];
  await Promise.all(attempts.map(async ([what, attempt]) => {
    try {
      await attempt();
    } catch (error) {
      ctx.logger.warn(`a stopped container's ${what} could not be given back`, { container: container.id, error: messageOf(error) });
    }
  }));
  container.sandbox = null;
}

export const volumeNames = (container: Container): string[] => container.record.mounts.flatMap((mount) => (mount.type === 'volume' ? [mount.name] : []));
