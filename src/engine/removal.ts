/** A removal, step by step: the intent is durable first, so that a crash anywhere is finished by the next start (continuity C1, B14). */
import { errnoOf, internal, isKind, messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { traced } from '../base/trace.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { containerEvent, layersOf, runtimeTarget } from './context.ts';
import { giveBack } from './giveBack.ts';
import { endShims, killEverything } from './kill.ts';
import { removeVolume } from './resourceEvents.ts';

/** `--rm`, at the end of a run. */
export async function removeAfterExit(ctx: EngineContext, container: Container): Promise<void> {
  if (!container.record.hostConfig.autoRemove || container.kept > 0 || container.state.kind !== 'exited') return;
  await container.lock.run(async () => {
    if (container.state.kind !== 'exited') return;
    try {
      await removeNow(ctx, container, true);
    } catch (error) {
      ctx.logger.error('a container could not be removed after its exit', { container: container.id, error: messageOf(error) });
    }
  });
}

/** Removes it step by step; the caller holds the lock and has made sure that nothing runs. Every step is idempotent. */
export async function removeNow(ctx: EngineContext, container: Container, volumes: boolean): Promise<void> {
  const obscure = container.problem !== '' || container.state.kind === 'broken';
  // One that a crash left half made was never told of.
  const half = container.record.desired === 'creating';
  const goesByItself = container.record.hostConfig.autoRemove && container.record.startedBefore && container.state.kind === 'exited';
  container.transition({ kind: 'remove' });
  const remove = (): Promise<void> => removeSteps(ctx, container, { obscure, goesByItself, volumes });
  if (half) await remove();
  else await ctx.events.telling(containerEvent(container.subject, 'destroy'), { of: 'container', id: container.id, is: 'gone' }, remove);
  container.notify('removed');
  await collectImages(ctx);
}

interface Removal {
  /** Nobody knows whether something of it runs. */
  readonly obscure: boolean;
  /** `--rm`, after its end. */
  readonly goesByItself: boolean;
  readonly volumes: boolean;
}

async function removeSteps(ctx: EngineContext, container: Container, { obscure, goesByItself, volumes }: Removal): Promise<void> {
  try {
    // A record that says `creating` is undone by any next start, and not told.
    if (container.problem === '' && container.record.desired !== 'creating') {
      container.record = { ...container.record, desired: 'removing', removeVolumes: volumes };
      // One that ended and removes itself is removed by any next start, whatever its record says.
      if (!goesByItself) await traced(container.id, 'durable intent', () => saveIntent(ctx, container));
      await failpoint('remove.intended');
    }
    if (obscure) await makeSureItIsGone(ctx, container);
    await ctx.forward.finish(container.id);
    await giveBack(ctx, container);
    await failpoint('remove.given-back');
    if (container.problem === '') await traced(container.id, 'remove layer', () => layersOf(ctx, container).removeRw(container.id));
    else await Promise.all([...ctx.layers.values()].map((layers) => layers.removeRw(container.id)));
    await failpoint('remove.layer');
    if (volumes) await removeAnonymousVolumes(ctx, container);
    await failpoint('remove.volumes');
    await traced(container.id, 'remove record', () => ctx.store.remove(container.id, { durable: container.problem !== '' }));
    await failpoint('remove.record');
  } catch (error) {
    container.transition({ kind: 'broke', reason: `its removal failed: ${messageOf(error)}`, pid: 0 });
    container.notify('removed', messageOf(error));
    throw internal(`cannot remove container "${container.record.name}": ${messageOf(error)}`, error);
  }
  ctx.containers.delete(container);
}

/** On a full disk its own log makes room for the record: it goes anyway. */
async function saveIntent(ctx: EngineContext, container: Container): Promise<void> {
  try {
    await ctx.store.save(container.record);
  } catch (error) {
    if (errnoOf(error) !== 'ENOSPC') throw error;
    await ctx.store.removeLogs(container.id);
    await ctx.store.save(container.record);
  }
}

/** Layers of images that were removed by force while this container still used them. */
export async function collectImages(ctx: EngineContext): Promise<void> {
  try {
    await ctx.images.collect(new Set(ctx.containers.all().map(({ record }) => record.imageId)));
  } catch (error) {
    ctx.logger.warn('layers that nothing uses could not be removed', { error: messageOf(error) });
  }
}

/** Of what cannot be understood nobody knows whether something of it runs. */
async function makeSureItIsGone(ctx: EngineContext, container: Container): Promise<void> {
  await endShims(ctx, container, 0);
  await killEverything(ctx, container);
  await ctx.runtime.delete(runtimeTarget(ctx, container));
}

async function removeAnonymousVolumes(ctx: EngineContext, container: Container): Promise<void> {
  for (const mount of container.record.mounts) {
    if (mount.type !== 'volume' || !mount.anonymous) continue;
    if (usersOfVolume(ctx, mount.name).some((user) => user.id !== container.id)) continue;
    try {
      await removeVolume(ctx, ctx.volumes.get(mount.name));
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
  }
}

/** The containers that mount a volume, running or not. */
export const usersOfVolume = (ctx: EngineContext, name: string): Container[] =>
  ctx.containers.all().filter((container) => container.record.mounts.some((mount) => mount.type === 'volume' && mount.name === name));
