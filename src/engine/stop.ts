/** `docker stop` and `docker kill`: the user's will is on disk before any signal is sent (design law 10). */
import { conflict, isKind, messageOf, notModified } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { parseSignal, SIGKILL, SIGTERM } from '../core/container/signals.ts';
import type { StopOrder } from '../core/ports/shim.ts';
import { cgroupPathOf } from './bundle.ts';
import type { Container } from './container.ts';
import { containerEvent, publishContainer } from './context.ts';
import type { EngineContext } from './context.ts';
import { endLost } from './ending.ts';
import { endShims, killEverything } from './kill.ts';
import { thaw } from './pause.ts';
import { saveNowOrLater } from './saveLater.ts';

export interface StopOptions {
  /** Name or number; empty: the container's own. */
  signal: string;
  /** Seconds; undefined: the container's own, then the daemon's; -1 for ever. */
  timeout: number | undefined;
}

export interface KillOrder {
  /** Name or number; empty: SIGKILL. */
  signal: string;
  /** The container as the user named it, for refusals. */
  asked: string;
}

/** How long after SIGKILL an end must have come. */
const AFTER_KILL_MS = 10_000;

/** Stops a container and resolves when its run is over and given back. A stopped one is `not-modified`. */
export async function stopContainer(ctx: EngineContext, container: Container, options: StopOptions): Promise<void> {
  const signal = stopSignalOf(container, options.signal);
  if (!container.occupied) throw notModified(`container ${container.id} is not running`);
  await tellingStop(ctx, container, () => orderStop(ctx, container, { signal, timeoutMs: stopTimeoutMs(ctx, container, options.timeout), manual: true }));
}

export const tellingStop = (ctx: EngineContext, container: Container, stop: () => Promise<void>): Promise<void> =>
  ctx.events.telling(containerEvent(container.subject, 'stop'), { of: 'container', id: container.id, is: 'ended' }, stop);

/** The signal a stop sends: the one given, the container's, SIGTERM. */
export function stopSignalOf(container: Container, given = ''): number {
  const name = given === '' ? container.record.config.stopSignal : given;
  return name === '' ? SIGTERM : parseSignal(name);
}

export function stopTimeoutMs(ctx: EngineContext, container: Container, given?: number): number {
  const seconds = given ?? container.record.config.stopTimeout ?? ctx.settings().defaultStopTimeout;
  return seconds < 0 ? -1 : seconds * 1000;
}

/** The stop itself. `manual`: a user's, which `unless-stopped` and `on-failure` remember. */
export async function orderStop(ctx: EngineContext, container: Container, order: StopOrder & { manual: boolean }): Promise<void> {
  // The end takes the lock itself, so it is awaited outside.
  const end = await container.lock.run(async (): Promise<() => Promise<void>> => {
    if (!container.occupied) return () => Promise.resolve();
    if (order.manual) await rememberStop(ctx, container);
    // A frozen process takes no signal until its thaw: Docker thaws it for the stop too.
    await thaw(ctx, container);
    switch (await tellShim(ctx, container, order)) {
      case 'taken':
        return () => container.whenSettled();
      case 'left':
        return () => stopAgain(ctx, container, order);
      case 'none':
        container.watch?.close();
        publishKill(ctx, container, order.signal);
        return () => stopWithoutShim(ctx, container, order);
    }
  });
  await bounded(end(), container, order.timeoutMs);
}

/** The run ended just then, which is dealt with; if it goes on with another shim, that one is told. */
async function stopAgain(ctx: EngineContext, container: Container, order: StopOrder & { manual: boolean }): Promise<void> {
  await container.settled;
  if (container.occupied) await orderStop(ctx, container, order);
}

/** `none`: no shim is known, or it hangs. `left`: it is not there any more. */
async function tellShim(ctx: EngineContext, container: Container, order: StopOrder): Promise<'taken' | 'none' | 'left'> {
  if (container.handle === null || (await shimHangs(ctx, container))) return 'none';
  await failpoint('stop.remembered');
  try {
    const { toldBy } = await container.handle.stop({ signal: order.signal, timeoutMs: order.timeoutMs });
    if (toldBy === undefined) publishKill(ctx, container, order.signal);
  } catch (error) {
    if (isKind(error, 'unavailable')) return 'none';
    if (isKind(error, 'not-found')) return 'left';
    throw error;
  }
  await failpoint('stop.ordered');
  return 'taken';
}

const publishKill = (ctx: EngineContext, container: Container, signal: number): void =>
  publishContainer(ctx, container.subject, 'kill', { signal: String(signal) });

const shimHangs = async (ctx: EngineContext, container: Container): Promise<boolean> =>
  (await ctx.shims.liveness(ctx.store.paths(container.id).execDir)).shim === 'silent';

/** Waits for the end that was ordered; a process that even SIGKILL does not end (in uninterruptible sleep) is an error, not a hang. */
async function bounded(end: Promise<void>, container: Container, timeoutMs: number): Promise<void> {
  if (timeoutMs < 0) return end;
  const { promise: late, resolve } = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => resolve('late'), timeoutMs + AFTER_KILL_MS);
  try {
    if ((await Promise.race([end, late])) === 'late') throw conflict(`container ${container.id} did not end after SIGKILL`);
  } finally {
    clearTimeout(timer);
  }
}

async function rememberStop(ctx: EngineContext, container: Container): Promise<void> {
  if (container.problem !== '' || container.record.desired === 'removing') return;
  container.record = { ...container.record, desired: 'stopped' };
  await saveNowOrLater(ctx, container);
}

/**
 * Law 5: what cannot be understood can still be stopped: by its shim if that one listens, else by its cgroup and its
 * pid. A shim that hangs is ended first, so that it undoes nothing when it wakes up.
 */
async function stopWithoutShim(ctx: EngineContext, container: Container, order: StopOrder): Promise<void> {
  const { execDir } = ctx.store.paths(container.id);
  let patienceMs = 0;
  try {
    if ((await ctx.shims.liveness(execDir)).shim === 'answering') {
      await ctx.shims.handle(execDir).stop(order);
      patienceMs = order.timeoutMs < 0 ? Number.POSITIVE_INFINITY : order.timeoutMs + AFTER_KILL_MS / 2;
    }
  } catch (error) {
    ctx.logger.debug('a shim did not take the order to stop', { container: container.id, error: messageOf(error) });
  }
  await endShims(ctx, container, patienceMs);
  await killEverything(ctx, container);
  await endLost(ctx, container, 0);
}

/** `docker kill`. SIGKILL and the stop signal count as a user's stop (moby `containerStop`), others do not. */
export async function killContainer(ctx: EngineContext, container: Container, order: KillOrder): Promise<void> {
  const signal = order.signal === '' ? SIGKILL : parseSignal(order.signal);
  // Its process may run already while its start is still being answered: `docker run` passes on signals from its first output on.
  if (container.state.kind === 'starting') await container.lock.run(() => Promise.resolve());
  if (!container.occupied) throw notRunning(container, order.asked);
  if (container.handle === null) {
    await orderStop(ctx, container, { signal, timeoutMs: 0, manual: true });
    return;
  }
  const { handle } = container;
  if (container.state.kind === 'restarting' || (signal === SIGKILL && (await shimHangs(ctx, container)))) {
    await orderStop(ctx, container, { signal, timeoutMs: 0, manual: true });
    return;
  }
  if (signal === SIGKILL || signal === stopSignalOf(container)) {
    await container.lock.run(() => rememberStop(ctx, container));
    await handle.policy({ restart: { name: 'no', maximumRetryCount: 0 } });
  }
  if (signal === SIGKILL) await ctx.cgroups.thaw(cgroupPathOf(ctx, container));
  try {
    const { toldBy } = await handle.signal(signal);
    if (toldBy === undefined) publishKill(ctx, container, signal);
    else await container.seen(toldBy);
  } catch (error) {
    // It ended between our look and the signal: what the user wanted.
    if (container.occupied) throw conflict(`cannot kill container: ${order.asked}: ${messageOf(error)}`, error);
  }
  if (signal === SIGKILL) await bounded(container.whenSettled(), container, 0);
}

const notRunning = (container: Container, asked: string): Error =>
  conflict(`cannot kill container: ${asked}: container ${container.id} is not running`);
