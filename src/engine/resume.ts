/** Going on with a container that runs, as if no daemon had been away: its journal, its shim, its exec sessions. */
import { messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { SIGKILL } from '../core/container/signals.ts';
import { shownExitCode } from '../core/container/view.ts';
import type { ExecRecord } from '../core/container/record.ts';
import type { ShimHandle } from '../core/ports/shim.ts';
import type { Container, ExecSession } from './container.ts';
import { containerEvent } from './context.ts';
import type { EngineContext } from './context.ts';
import { endExec, followEnd } from './exec.ts';
import { regainPorts } from './shimPorts.ts';
import { applyEntry, saveView, supervise } from './supervise.ts';

/** What happened while no daemon was there, published with the times at which it happened. */
export async function importJournal(ctx: EngineContext, container: Container): Promise<void> {
  const journal = await ctx.shims.readJournal(ctx.store.paths(container.id).journal, container.view.seq);
  if (container.view.live !== 'no' || journal.entries.length > 0) adoptState(container);
  if (journal.entries.length > 0) {
    const { seq } = await ctx.events.told(container.id);
    for (const entry of journal.entries) applyEntry(ctx, container, entry, seq);
  }
  if (journal.gap) ctx.logger.warn("a container's journal was rotated before it was read: some of its events are lost", { container: container.id });
  await failpoint('restore.imported');
  if (journal.entries.length > 0) await saveView(ctx, container);
}

/** The state that the view stands for, so that later entries find the table's row they belong to. */
export function adoptState(container: Container): void {
  if (container.state.kind === 'exited' || container.state.kind === 'created') container.transition({ kind: 'launch' });
  const { kind } = container.state;
  if (kind !== 'starting' && kind !== 'broken') return;
  if (container.view.live === 'running') container.transition({ kind: 'started', pid: container.view.pid });
  if (container.view.live === 'restarting') container.transition({ kind: 'died-restarting' });
}

/** Connects to the shim. Throws if it is gone by now: then another look is due. */
export async function resumeRun(ctx: EngineContext, container: Container, paused: boolean): Promise<void> {
  await importJournal(ctx, container);
  const handle = ctx.shims.handle(ctx.store.paths(container.id).execDir);
  adoptState(container);
  await supervise(ctx, container, handle);
  if (paused && container.state.kind === 'running') container.transition({ kind: 'paused' });
  tellPolicy(ctx, container, handle);
  void regainPorts(ctx, container, handle);
  await failpoint('restore.resumed');
  await resumeExecs(ctx, container);
}

/**
 * Options and records may say something else than when the shim was started. Nobody waits for it but the container's own
 * verbs, which come after it: the API need not.
 */
function tellPolicy(ctx: EngineContext, container: Container, handle: ShimHandle): void {
  const told = container.lock.run(() => handle.policy({
    liveRestore: ctx.settings().liveRestore,
    restart: container.record.desired === 'stopped' ? { name: 'no', maximumRetryCount: 0 } : container.record.hostConfig.restartPolicy,
  }));
  told.catch((error: unknown) => ctx.logger.debug('a shim was not told its policy', { container: container.id, error: messageOf(error) }));
}

/** Exec sessions of an earlier daemon: those that run are followed again, those that ended are known with their codes (B4). */
export async function resumeExecs(ctx: EngineContext, container: Container): Promise<void> {
  for (const { record, ended } of await ctx.store.listExecs(container.id)) {
    if (container.execs.has(record.id)) continue;
    try {
      await resumeExec(ctx, container, { record, ended });
    } catch (error) {
      ctx.logger.warn('an exec session of an earlier daemon could not be followed', { container: container.id, exec: record.id, error: messageOf(error) });
    }
  }
}

async function resumeExec(ctx: EngineContext, container: Container, { record, ended }: { record: ExecRecord; ended: boolean }): Promise<void> {
  const dir = ctx.store.execDir(container.id, record.id);
  const { shim, status } = await ctx.shims.liveness(dir);
  const exit = await ctx.shims.readExit(`${dir}/exit`);
  if (exit.kind === 'missing' && !ended && (status.kind !== 'ok' || status.value.state === 'created' || status.value.startedAt === 0n)) {
    await discardExec(ctx, record, shim === 'answering');
    return;
  }
  const pid = status.kind === 'ok' ? status.value.pid : 0;
  const startedNs = exit.kind === 'ok' && exit.value.startedAt > 0n ? exit.value.startedAt : status.kind === 'ok' ? status.value.startedAt : 0n;
  if (!ended) await tellBegin(ctx, container, { record, startedNs });
  const session: ExecSession = { record, started: true, running: false, exitCode: null, pid, handle: null, endedNs: 0n, ended: Promise.resolve() };
  container.execs.set(record.id, session);
  if (shim === 'answering') {
    const handle = ctx.shims.handle(dir);
    const watch = await handle.watch({ since: 0n, onEntry: () => undefined });
    session.running = true;
    session.handle = handle;
    session.ended = followEnd(ctx, container, { session, ended: watch.ended });
    return;
  }
  if (!ended && !(await ctx.events.told(container.id)).execs.has(`exec_die ${record.id}`)) {
    await endExec(ctx, container, session);
    return;
  }
  session.exitCode = exit.kind === 'ok' ? shownExitCode(exit.value.exitCode) : 255;
  session.endedNs = exit.kind === 'ok' ? exit.value.finishedAt : ctx.clock.nowNs();
}

/** A daemon may have died before it told that a session was made and started. */
async function tellBegin(ctx: EngineContext, container: Container, { record, startedNs }: { record: ExecRecord; startedNs: bigint }): Promise<void> {
  const { execs } = await ctx.events.told(container.id);
  const command = record.cmd.join(' ');
  for (const [kind, timeNs] of [['exec_create', record.createdNs], ['exec_start', startedNs]] as const) {
    if (timeNs === 0n || execs.has(`${kind} ${record.id}`)) continue;
    ctx.events.publish({ ...containerEvent(container.subject, `${kind}: ${command}`, { execID: record.id }), timeNs });
  }
}

/** Its shim was never told to start: nobody was told that it runs, and nothing of it did. */
async function discardExec(ctx: EngineContext, record: ExecRecord, answering: boolean): Promise<void> {
  const dir = ctx.store.execDir(record.containerId, record.id);
  if (answering) await ctx.shims.handle(dir).stop({ signal: SIGKILL, timeoutMs: 0 }).catch(() => undefined);
  await ctx.shims.end(dir, 1000);
  await ctx.store.removeExec(record.containerId, record.id);
}
