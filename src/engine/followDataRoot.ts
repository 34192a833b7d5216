/**
 * The data root was moved, with its content, while containers ran. Their mounts and open files moved with it, and their
 * shims follow the folders that they hold. What is written in paths is written anew here: bundles, from which a shim
 * restarts, its orders, by which a successor goes on, and what the runtime noted.
 */
import { messageOf } from '../base/errors.ts';
import { mapLimit } from '../base/mutex.ts';
import { movedBundle, movedPath } from '../core/oci/moved.ts';
import type { EngineContext } from './context.ts';

const AT_ONCE = 32;

/** Before anything of the containers is looked at. A container that cannot follow is logged; it runs on all the same. */
export async function followDataRoot(ctx: EngineContext): Promise<void> {
  await mapLimit(await ctx.store.listExecDirs(), AT_ONCE, async (id) => {
    try {
      await follow(ctx, id);
    } catch (error) {
      ctx.logger.error('a container could not be told that the data root was moved', { container: id, error: messageOf(error) });
    }
  });
}

async function follow(ctx: EngineContext, id: string): Promise<void> {
  const { dataDir, execDir, log, exit, journal } = ctx.store.paths(id);
  const written = await ctx.shims.readPlaces(execDir);
  if (written === undefined || written.exit === exit) return;
  const tail = exit.slice(ctx.settings().dataRoot.length);
  if (!written.exit.endsWith(tail)) throw new Error(`its exit record is ${written.exit}`);
  const move = { from: written.exit.slice(0, -tail.length), to: ctx.settings().dataRoot };
  await ctx.store.writeBundle(id, { 'config.json': movedBundle(await ctx.store.readBundle(id, 'config.json'), move) });
  await ctx.runtime.rootMoved({ id, runtimeRoot: written.runtimeRoot }, (rootfs) => movedPath(rootfs, move));
  // Last: it says that all else is done.
  await ctx.shims.writePlaces(execDir, { log, exit, journal });
  ctx.logger.info('a container follows the data root', { container: id, from: move.from, to: dataDir });
  const status = await ctx.shims.readStatus(execDir);
  if (status.kind === 'ok' && !followsFolders(status.value.contract)) await ctx.store.leadHere(move.from);
}

/** Shims of contract 1.0 know their files by path alone. */
const followsFolders = (contract: string): boolean => contract !== '1.0';
