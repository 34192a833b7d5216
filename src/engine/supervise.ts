/**
 * Following a container's shim: every journal entry, whether it comes live or was written while no daemon was there,
 * goes the same way: fold it into the view, take the state through the table, publish its events once.
 */
import { messageOf } from '../base/errors.ts';
import { eventsOf, foldEntry } from '../core/container/view.ts';
import type { JournalEntry, ShimHandle, WatchEnd } from '../core/ports/shim.ts';
import type { Container } from './container.ts';
import { type EngineContext, runtimeTarget } from './context.ts';
import { giveBack } from './giveBack.ts';
import { removeAfterExit } from './remove.ts';

/** What is already in the view changes nothing; entries of a run that this daemon never saw are published all the same. */
export function applyEntry(ctx: EngineContext, container: Container, entry: JournalEntry): void {
  if (entry.seq <= container.view.seq) return;
  container.view = foldEntry(container.view, entry);
  if (entry.kind === 'start') container.transition({ kind: 'started', pid: entry.pid });
  if (entry.kind === 'die' && entry.restarting) {
    container.transition({ kind: 'died-restarting' });
    container.notify('exit');
  }
  for (const event of eventsOf(entry, container.subject)) ctx.events.publish(event);
}

/**
 * Watches a shim from here on. `container.settled` becomes the promise of its end: of the run, and of what the daemon
 * does after it (network and mounts given back, waiters told, `--rm` carried out).
 */
export async function supervise(ctx: EngineContext, container: Container, handle: ShimHandle): Promise<void> {
  container.handle = handle;
  let endSeen: () => void = () => undefined;
  const end = new Promise<void>((resolve) => {
    endSeen = resolve;
  });
  const saver = viewSaver(ctx, container);
  const watch = await handle.watch({
    since: container.view.seq,
    onEntry: (entry) => {
      applyEntry(ctx, container, entry);
      saver();
      if (entry.kind === 'end') endSeen();
    },
  });
  container.watch = watch;
  container.settled = settle(ctx, container, { end, watchEnded: watch.ended });
}

async function settle(ctx: EngineContext, container: Container, run: { end: Promise<void>; watchEnded: Promise<WatchEnd> }): Promise<void> {
  const first = await Promise.race([run.end.then(() => 'ended' as const), run.watchEnded.then(({ kind }) => kind)]);
  if (first === 'closed') return;
  if (first === 'lost') {
    await shimLost(ctx, container);
    return;
  }
  await container.lock.run(async () => {
    await giveBack(ctx, container);
    container.handle = null;
    container.watch = null;
    container.transition({ kind: 'ended' });
  });
  container.notify('exit');
  // The shim still hands its last output to attached clients; its folder goes when it has left.
  await run.watchEnded;
  await ctx.store.removeExecDir(container.id);
  await removeAfterExit(ctx, container);
}

/** The connection broke although nobody closed it: its shim died, or hangs. Law 5: look, replace it if possible, else list it with the reason. */
async function shimLost(ctx: EngineContext, container: Container): Promise<void> {
  const { execDir } = ctx.store.paths(container.id);
  container.handle = null;
  container.watch = null;
  try {
    await recoverRun(ctx, container, execDir);
  } catch (error) {
    ctx.logger.error('a container lost its shim and could not be given another', { container: container.id, error: messageOf(error) });
    container.transition({ kind: 'broke', reason: `its shim died and could not be replaced: ${messageOf(error)}`, pid: container.view.pid });
  }
}

async function recoverRun(ctx: EngineContext, container: Container, execDir: string): Promise<void> {
  const seen = await ctx.shims.liveness(execDir);
  if (seen.shim === 'answering') {
    // It lives: the connection alone was lost.
    await supervise(ctx, container, ctx.shims.handle(execDir));
    return;
  }
  if (seen.shim === 'silent') {
    container.transition({ kind: 'broke', reason: 'its shim does not answer', pid: container.view.pid });
    return;
  }
  await takeOver(ctx, container, seen.init === 'alive');
}

/**
 * After the death of a shim: with its container alive a replacement takes the FIFOs and watches the process; without,
 * the run is over and its exit code unknown, unless the shim wrote it down before it died.
 */
export async function takeOver(ctx: EngineContext, container: Container, initAlive: boolean): Promise<void> {
  const { execDir } = ctx.store.paths(container.id);
  if (initAlive) {
    const { handle } = await ctx.shims.adopt(execDir);
    ctx.logger.warn('a container whose shim had died was given another; its exit code will be unknown', { container: container.id });
    await supervise(ctx, container, handle);
    return;
  }
  await endWithoutShim(ctx, container);
  await removeAfterExit(ctx, container);
}

/** The run is over and no shim is there to say so: what its files tell is taken, what they don't is unknown. */
export async function endWithoutShim(ctx: EngineContext, container: Container): Promise<void> {
  const { exit, journal } = ctx.store.paths(container.id);
  for (const entry of (await ctx.shims.readJournal(journal, container.view.seq)).entries) applyEntry(ctx, container, entry);
  if (container.view.live !== 'no') {
    const record = await ctx.shims.readExit(exit);
    const { facts } = container.view;
    const known = record.kind === 'ok' && record.value.startedAt === facts.startedNs ? record.value : undefined;
    container.view = {
      ...container.view,
      live: 'no',
      pid: 0,
      facts: { ...facts, finishedNs: known?.finishedAt ?? ctx.clock.nowNs(), exitCode: known?.exitCode ?? 'unknown', oomKilled: known?.oom ?? false },
    };
  }
  await container.lock.run(async () => {
    await ctx.runtime.delete(runtimeTarget(ctx, container));
    await giveBack(ctx, container);
    await ctx.store.removeExecDir(container.id);
    container.handle = null;
    if (container.state.kind !== 'created') container.transition({ kind: 'ended' });
    await ctx.store.saveView(container.id, container.view);
  });
  container.notify('exit');
}

/** Saves the view after entries, at most one write at a time; the last one always lands. */
function viewSaver(ctx: EngineContext, container: Container): () => void {
  let running = false;
  let again = false;
  const run = async (): Promise<void> => {
    running = true;
    do {
      again = false;
      try {
        await ctx.store.saveView(container.id, container.view);
      } catch (error) {
        // Gone with its container, or no room: the journal has it all, and is read again from the last view that was saved.
        ctx.logger.debug('the view of a container was not saved', { container: container.id, error: messageOf(error) });
      }
    } while (again);
    running = false;
  };
  return () => {
    again = true;
    if (!running) void run();
  };
}
