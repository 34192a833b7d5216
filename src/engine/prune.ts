/** `docker container prune`: everything that does not run. */
import { isKind } from '../base/errors.ts';
import type { Container } from './container.ts';
import { layersOf, publish } from './context.ts';
import type { EngineContext } from './context.ts';
import { removeContainer } from './remove.ts';

export async function pruneContainers(ctx: EngineContext, matches: (container: Container) => boolean): Promise<{ ids: string[]; bytes: number }> {
  const ids: string[] = [];
  let bytes = 0;
  for (const container of ctx.containers.all()) {
    if (container.occupied || !matches(container)) continue;
    try {
      const size = container.problem === '' ? await layersOf(ctx, container).sizeRw(container.id) : 0;
      await removeContainer(ctx, container, { force: false, volumes: false });
      ids.push(container.id);
      bytes += size;
    } catch (error) {
      // Started or removed by somebody else since we looked.
      if (!isKind(error, 'conflict')) throw error;
    }
  }
  publish(ctx, { type: 'container', action: 'prune', actorId: '', attributes: { reclaimed: String(bytes) } });
  return { ids, bytes };
}
