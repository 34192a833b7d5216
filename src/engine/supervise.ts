/**
 * Following a container's shim: every journal entry, whether it comes live or was written while no daemon was there,
 * goes the same way: fold it into the view, take the state through the table, publish its events once.
 */
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { traced } from '../base/trace.ts';
import { eventsOf, foldEntry } from '../core/container/view.ts';
import { probeCommand } from '../core/oci/process.ts';
import type { JournalEntry, ShimHandle, WatchEnd } from '../core/ports/shim.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { giveBack } from './giveBack.ts';
import { keepHealth } from './health.ts';
import { removeAfterExit } from './removal.ts';

/** A session's shim waits up to 2 s for streams that others hold. */
const SESSIONS_MS = 5000;

/**
 * What is already in the view changes nothing; entries of a run that this daemon never saw are published all the same,
 * but for those up to `told`, which an earlier daemon published before it died.
 */
export function applyEntry(ctx: EngineContext, container: Container, entry: JournalEntry, told = 0n): void {
  if (entry.seq <= container.view.seq) return;
  container.view = foldEntry(container.view, entry);
  if (entry.kind === 'start') container.transition({ kind: 'started', pid: entry.pid });
  if (entry.kind === 'die' && entry.restarting) {
    container.transition({ kind: 'died-restarting' });
    container.notify('exit');
  }
  if (entry.seq <= told) return;
  const probe = probeCommand(container.record.config)?.join(' ') ?? '';
  for (const event of eventsOf(entry, container.subject, probe)) ctx.events.publish(event);
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
  container.settled = settle(ctx, container, { end, watchEnded: watch.ended }).catch((error: unknown) => {
    ctx.logger.error('the end of a run could not be dealt with', { container: container.id, error: messageOf(error) });
    container.transition({ kind: 'broke', reason: `the end of its run could not be dealt with: ${messageOf(error)}`, pid: 0 });
  });
}

async function settle(ctx: EngineContext, container: Container, run: { end: Promise<void>; watchEnded: Promise<WatchEnd> }): Promise<void> {
  const first = await Promise.race([run.end.then(() => 'ended' as const), run.watchEnded.then(({ kind }) => kind)]);
  if (first === 'closed') return;
  if (first === 'lost') {
    await ctx.containers.shimLost(container);
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
  await traced(container.id, 'shim leaves', () => run.watchEnded);
  ctx.forward.ended(container.id);
  await endSessions(ctx, container);
  await keepHealth(ctx, container);
  if (await traced(container.id, 'note the end', () => noteEnd(ctx, container))) {
    await failpoint('settle.saved');
    await ctx.store.removeExecDir(container.id);
  }
  await removeAfterExit(ctx, container);
}

/** Exec sessions end with their container; their exit codes lie in its folder. */
async function endSessions(ctx: EngineContext, container: Container): Promise<void> {
  await ctx.shims.end(ctx.store.paths(container.id).execDir, SESSIONS_MS);
  await Promise.all([...container.execs.values()].map(({ ended }) => ended));
}

/** Notes what was published, after it was: a crash in between is mended by what the event log tells. */
export async function saveView(ctx: EngineContext, container: Container): Promise<void> {
  await container.viewLock.run(async () => {
    const { view } = container;
    await ctx.events.flushed();
    await ctx.store.saveView(container.id, view);
  });
}

/** Notes the end of a run. False if it cannot be written (no room): then the folder in the exec root stays, and tells the next daemon. */
export async function noteEnd(ctx: EngineContext, container: Container): Promise<boolean> {
  try {
    await saveView(ctx, container);
    return true;
  } catch (error) {
    ctx.logger.error('the end of a run could not be noted; the next start of the daemon finds it', { container: container.id, error: messageOf(error) });
    return false;
  }
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
        await saveView(ctx, container);
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
