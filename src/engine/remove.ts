/** `docker rm`: the intent is durable first, so that a crash anywhere is finished by the next start (continuity C1, B14). */
import { conflict, internal, isKind, messageOf } from '../base/errors.ts';
import { SIGKILL } from '../core/container/signals.ts';
import type { Container } from './container.ts';
import { type EngineContext, layersOf, publishContainer } from './context.ts';
import { giveBack } from './giveBack.ts';
import { killEverything, orderStop } from './stop.ts';

export interface RemoveOptions {
  force: boolean;
  /** Its anonymous volumes too. */
  volumes: boolean;
}

export async function removeContainer(ctx: EngineContext, container: Container, options: RemoveOptions): Promise<void> {
  if (container.state.kind === 'removing') throw conflict(`removal of container ${container.record.name} is already in progress`);
  if (container.occupied) {
    if (!options.force) throw conflict(inUse(container));
    await orderStop(ctx, container, { signal: SIGKILL, timeoutMs: 0, manual: true });
  }
  // An end that is being dealt with finishes first; with `--rm` it may have removed the container already.
  await container.whenSettled();
  await container.lock.run(async () => {
    if (ctx.containers.get(container.id) === undefined) return;
    if (container.occupied) throw conflict(inUse(container));
    await removeNow(ctx, container, options.volumes);
  });
}

function inUse({ record, state }: Container): string {
  const start = `cannot remove container "/${record.name}": container is`;
  if (state.kind === 'paused') return `${start} paused and must be unpaused first`;
  return `${start} ${state.kind === 'restarting' ? 'restarting' : 'running'}: stop the container before removing or force remove`;
}

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
  const { subject } = container;
  container.transition({ kind: 'remove' });
  try {
    if (container.problem === '') {
      container.record = { ...container.record, desired: 'removing', removeVolumes: volumes };
      await ctx.store.save(container.record);
    } else {
      await killEverything(ctx, container);
    }
    await giveBack(ctx, container);
    if (container.problem === '') await layersOf(ctx, container).removeRw(container.id);
    else await Promise.all([...ctx.layers.values()].map((layers) => layers.removeRw(container.id)));
    if (volumes) await removeAnonymousVolumes(ctx, container);
    await ctx.store.remove(container.id);
  } catch (error) {
    container.transition({ kind: 'broke', reason: `its removal failed: ${messageOf(error)}`, pid: 0 });
    container.notify('removed', messageOf(error));
    throw internal(`cannot remove container "${container.record.name}": ${messageOf(error)}`, error);
  }
  ctx.containers.delete(container);
  publishContainer(ctx, subject, 'destroy');
  container.notify('removed');
}

async function removeAnonymousVolumes(ctx: EngineContext, container: Container): Promise<void> {
  for (const mount of container.record.mounts) {
    if (mount.type !== 'volume' || !mount.anonymous) continue;
    if (usersOfVolume(ctx, mount.name).some((user) => user.id !== container.id)) continue;
    try {
      await ctx.volumes.remove(mount.name);
    } catch (error) {
      if (!isKind(error, 'not-found')) throw error;
    }
  }
}

/** The containers that mount a volume, running or not. */
export const usersOfVolume = (ctx: EngineContext, name: string): Container[] =>
  ctx.containers.all().filter((container) => container.record.mounts.some((mount) => mount.type === 'volume' && mount.name === name));
