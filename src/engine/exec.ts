/** `docker exec`: a session has a shim of its own, so it and its exit code outlive any daemon (continuity A7, B4). */
import type { Duplex } from 'node:stream';
import { conflict, errnoOf, internal, messageOf, notFound } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { traced } from '../base/trace.ts';
import { newId } from '../base/ids.ts';
import { isMissingCommand, startExitCode } from '../core/container/startFailure.ts';
import type { ExecRecord } from '../core/container/record.ts';
import { attributesOf, shownExitCode } from '../core/container/view.ts';
import type { ShimHandle } from '../core/ports/shim.ts';
import type { Container, ExecSession } from './container.ts';
import { publishContainer, runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';
import { execProcessJson } from './bundle.ts';

export type ExecRequest = Omit<ExecRecord, 'schema' | 'id' | 'containerId' | 'createdNs'>;

/** Sessions that ended are kept this long for `docker inspect`, as dockerd keeps them. */
const KEEP_ENDED_NS = 300_000_000_000n;

export function createExec(ctx: EngineContext, container: Container, request: ExecRequest): string {
  mustRun(container);
  if (request.cmd.length === 0) throw conflict('No exec command specified');
  forgetOld(ctx, container);
  const record: ExecRecord = { schema: 1, id: newId(), containerId: container.id, createdNs: ctx.clock.nowNs(), ...request };
  container.execs.set(record.id, { record, running: false, started: false, exitCode: null, pid: 0, handle: null, endedNs: 0n, ended: Promise.resolve() });
  publishContainer(ctx, container.subject, `exec_create: ${request.cmd.join(' ')}`, { execID: record.id });
  return record.id;
}

function mustRun(container: Container): void {
  const { kind } = container.state;
  if (kind === 'paused') throw conflict(`Container ${container.record.name} is paused, unpause the container before exec`);
  if (kind === 'restarting') throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
  if (kind !== 'running') throw conflict(`container ${container.id} is not running`);
}

export const isKnownExec = (ctx: EngineContext, id: string): boolean => ctx.containers.all().some((container) => container.execs.has(id));

export function findExec(ctx: EngineContext, id: string): { container: Container; session: ExecSession } {
  for (const container of ctx.containers.all()) {
    const session = container.execs.get(id);
    if (session !== undefined) return { container, session };
  }
  throw notFound(`No such exec instance: ${id}`);
}

export interface ExecStart {
  detach: boolean;
  tty: boolean;
  consoleSize: [number, number] | undefined;
  signal: AbortSignal;
}

/** Refuses what can be refused before a connection is hijacked. */
export function checkExecStart(container: Container, session: ExecSession): void {
  if (session.started) {
    if (session.running) throw conflict(`Error: Exec command ${session.record.id} is already running`);
    throw conflict(`Error: Exec command ${session.record.id} has already run`);
  }
  mustRun(container);
}

/**
 * Runs the session; resolves with its stream (null when detached). A command that cannot be started is an error whose
 * text the client sees; the session then has exit code 126 or 127.
 */
export async function startExec(ctx: EngineContext, container: Container, start: ExecStart & { session: ExecSession }): Promise<Duplex | null> {
  const { session } = start;
  checkExecStart(container, session);
  session.started = true;
  try {
    const json = await traced(container.id, 'exec process', () => execProcessJson(ctx, container, session.record));
    await traced(container.id, 'exec folder', () => ctx.store.createExec(session.record, json));
    await failpoint('exec.created');
    const handle = await traced(container.id, 'exec shim', () => launch(ctx, container, start));
    await failpoint('exec.launched');
    const stream = start.detach ? null : await handle.attach({ ...streamsOf(session.record), signal: start.signal });
    try {
      const watch = await handle.watch({ since: 0n, onEntry: () => undefined });
      // Its end has the shim's time, which must not be before this.
      const startedNs = ctx.clock.nowNs();
      session.pid = await traced(container.id, 'runtime exec', () => handle.start());
      await failpoint('exec.started');
      session.running = true;
      session.handle = handle;
      session.ended = followEnd(ctx, container, { session, ended: watch.ended });
      publishExec(ctx, container, { session, action: `exec_start: ${session.record.cmd.join(' ')}`, timeNs: startedNs });
    } catch (error) {
      stream?.destroy();
      throw error;
    }
    return stream;
  } catch (error) {
    // 128 is for containers: a session that did not start for another reason has 126 (moby `ContainerExecStart`).
    const code = startExitCode(error);
    session.exitCode = code === 128 ? 126 : code;
    session.endedNs = ctx.clock.nowNs();
    await removeExec(ctx, container, session.record.id);
    publishExec(ctx, container, { session, action: 'exec_die', timeNs: session.endedNs });
    if (isMissingCommand(error)) throw error;
    throw errnoOf(error) === undefined ? error : internal(`exec ${session.record.id} could not be started: ${messageOf(error)}`, error);
  }
}

const streamsOf = (record: ExecRecord): { stdin: boolean; stdout: boolean; stderr: boolean } => ({
  stdin: record.attachStdin,
  stdout: record.attachStdout,
  stderr: record.attachStderr,
});

async function launch(ctx: EngineContext, container: Container, start: ExecStart & { session: ExecSession }): Promise<ShimHandle> {
  const { record } = start.session;
  const target = runtimeTarget(ctx, container);
  if (!ctx.host.exists(target.runtime)) throw internal(`OCI runtime exec failed: exec: "${target.runtime}": no such file or directory: unknown`);
  const dir = ctx.store.execDir(container.id, record.id);
  const [rows, cols] = start.consoleSize ?? record.consoleSize;
  const { handle } = await ctx.shims.launchExec(dir, {
    id: container.id,
    execId: record.id,
    runtime: target.runtime,
    runtimeRoot: target.runtimeRoot,
    runtimeArgs: target.runtimeArgs ?? [],
    systemdCgroup: target.systemdCgroup ?? false,
    terminal: record.tty,
    ...(rows > 0 && cols > 0 ? { consoleSize: { rows, cols } } : {}),
    stdin: record.attachStdin,
    stdinOnce: true,
    pipeSize: ctx.settings().pipeSize,
    exitPath: `${dir}/exit`,
  });
  return handle;
}

/** Follows a session to its end; also used for sessions of an earlier daemon. */
export async function followEnd(ctx: EngineContext, container: Container, run: { session: ExecSession; ended: Promise<unknown> }): Promise<void> {
  await run.ended;
  try {
    await endExec(ctx, container, run.session);
  } catch (error) {
    ctx.logger.error('the end of an exec session could not be dealt with', { container: container.id, exec: run.session.record.id, error: messageOf(error) });
  }
}

/** Takes a session's exit record: the code is the shim's word, or unknown. */
export async function endExec(ctx: EngineContext, container: Container, session: ExecSession): Promise<void> {
  const dir = ctx.store.execDir(container.id, session.record.id);
  const exit = await ctx.shims.readExit(`${dir}/exit`);
  session.running = false;
  session.handle = null;
  session.exitCode = exit.kind === 'ok' ? shownExitCode(exit.value.exitCode) : 255;
  session.endedNs = exit.kind === 'ok' ? exit.value.finishedAt : ctx.clock.nowNs();
  publishExec(ctx, container, { session, action: 'exec_die', timeNs: session.endedNs });
  await ctx.events.flushed();
  await failpoint('exec.told');
  await ctx.store.endExec(container.id, session.record.id);
}

function publishExec(ctx: EngineContext, container: Container, event: { session: ExecSession; action: string; timeNs: bigint }): void {
  const { record, exitCode } = event.session;
  ctx.events.publish({
    type: 'container',
    action: event.action,
    actorId: container.id,
    attributes: { ...attributesOf(container.subject), execID: record.id, ...(exitCode === null ? {} : { exitCode: String(exitCode) }) },
    timeNs: event.timeNs,
  });
}

async function removeExec(ctx: EngineContext, container: Container, id: string): Promise<void> {
  try {
    await ctx.store.removeExec(container.id, id);
  } catch (error) {
    ctx.logger.debug('an exec session was not cleared away', { exec: id, error: messageOf(error) });
  }
}

function forgetOld(ctx: EngineContext, container: Container): void {
  const before = ctx.clock.nowNs() - KEEP_ENDED_NS;
  for (const [id, session] of container.execs) {
    if (session.exitCode === null || session.endedNs > before) continue;
    container.execs.delete(id);
    void removeExec(ctx, container, id);
  }
}

export async function resizeExec(session: ExecSession, rows: number, cols: number): Promise<void> {
  if (session.handle === null || !session.running) throw conflict(`exec ${session.record.id} is not running`);
  await session.handle.resize(rows, cols);
}
