import { conflict, invalid } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { checkContainerName } from '../core/container/validate.ts';
import { subjectOf } from './container.ts';
import type { Container } from './container.ts';
import { containerEvent } from './context.ts';
import type { EngineContext } from './context.ts';
import { refreshNames } from './names.ts';

export function renameContainer(ctx: EngineContext, container: Container, to: string): Promise<void> {
  return container.lock.run(async () => {
    if (to === '' || to === '/') throw invalid('Neither old nor new names may be empty');
    const name = checkContainerName(to);
    const old = container.record.name;
    if (name === old) throw invalid('Renaming a container with the same name as its current name');
    if (container.state.kind === 'removing') throw conflict(`container ${container.id} is marked for removal`);
    ctx.containers.reserveName(name, container.id);
    const renamed = { ...container.record, name };
    await ctx.events.telling(containerEvent(subjectOf(renamed), 'rename', { oldName: `/${old}` }), { of: 'container name', id: container.id, name }, async () => {
      try {
        await ctx.store.save(renamed);
        await failpoint('rename.saved');
        container.record = renamed;
      } catch (error) {
        ctx.containers.releaseName(name, container.id);
        throw error;
      }
      ctx.containers.releaseName(old, container.id);
      await refreshNames(ctx, container);
    });
  });
}
