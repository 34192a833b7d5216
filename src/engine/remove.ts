/** `docker rm`. */
import { conflict } from '../base/errors.ts';
import { SIGKILL } from '../core/container/signals.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { removeNow } from './removal.ts';
import { orderStop } from './stop.ts';

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
