/**
 * Published ports of containers that run: where their relays lead when networks come and go, and ports that another
 * process took while a shim was dead. Those are shown as lost, and published again when they are free.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../base/errors.ts';
import type { PortSocket, PortUse, PublishedPort, Sandbox } from '../core/ports/network.ts';
import type { PortOrder, ShimHandle } from '../core/ports/shim.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';

/** How often a lost port is tried again. */
const RETRY_MS = 1000;

const orderOf = (use: PortUse, fd?: number): PortOrder => {
  const { proto, hostIp: host, hostPort } = use.port;
  const bound = { proto, host, hostPort, ...(fd === undefined ? {} : { fd }) };
  return use.use === 'reserve' ? { ...bound, use: use.use } : { ...bound, use: use.use, address: use.address, port: use.containerPort };
};

const shown = ({ hostIp, hostPort, proto }: PublishedPort): string => `${hostIp.includes(':') ? `[${hostIp}]` : hostIp}:${hostPort}/${proto}`;

/** After its networks changed: relays that lead to an address that the container has no more lead to the one it has now. */
export async function redirectRelays(ctx: EngineContext, container: Container, change: { before: Sandbox; after: Sandbox }): Promise<void> {
  const { handle } = container;
  const before = new Map(ctx.network.uses(change.before).map((use) => [shown(use.port), JSON.stringify(use)]));
  for (const use of ctx.network.uses(change.after)) {
    // Without any address left there is nothing to lead to.
    if (handle === null || use.use === 'reserve' || use.address === '' || before.get(shown(use.port)) === JSON.stringify(use)) continue;
    try {
      if (!(await handle.port(orderOf(use)))) ctx.logger.warn('a published port leads to the old address until the container restarts: its shim is of an older release', { container: container.id, port: shown(use.port) });
    } catch (error) {
      ctx.logger.warn('a published port could not be led to the new address', { container: container.id, port: shown(use.port), error: messageOf(error) });
    }
  }
}

/** Notes which of a container's ports others have. Nothing is led to the container from there until it has them again. */
export async function notePorts(ctx: EngineContext, container: Container, lost: readonly PublishedPort[]): Promise<void> {
  const { sandbox } = container;
  if (sandbox === null || (lost.length === 0 && sandbox.lost === undefined)) return;
  const names = new Set(lost.map(shown));
  const { lost: before = [], ...rest } = sandbox;
  const ports = [...sandbox.ports, ...before].filter((port) => !names.has(shown(port)));
  for (const port of lost) {
    if (!before.some((each) => shown(each) === shown(port))) ctx.logger.warn('a published port was taken by another process while its shim was dead; it is published again when it is free', { container: container.id, port: shown(port) });
  }
  for (const port of before) if (!names.has(shown(port))) ctx.logger.info('a published port that another process had is published again', { container: container.id, port: shown(port) });
  const after: Sandbox = { ...rest, ports, ...(lost.length === 0 ? {} : { lost: [...lost] }) };
  container.sandbox = after;
  await ctx.store.saveSandbox(container.id, after);
  await ctx.network.republish(container.id, after);
}

/** As long as this shim serves the container and ports of it are lost, they are tried again. Never throws. */
export async function regainPorts(ctx: EngineContext, container: Container, handle: ShimHandle): Promise<void> {
  while (container.handle === handle && container.sandbox?.lost !== undefined) {
    await sleep(RETRY_MS, undefined, { ref: false });
    try {
      const goOn = await container.lock.run(() => regainOnce(ctx, container, handle));
      if (!goOn) return;
    } catch (error) {
      ctx.logger.warn('a lost port could not be published again', { container: container.id, error: messageOf(error) });
    }
  }
}

/** False if it is no use to try again with this shim. */
async function regainOnce(ctx: EngineContext, container: Container, handle: ShimHandle): Promise<boolean> {
  const { sandbox } = container;
  if (container.handle !== handle || sandbox?.lost === undefined) return false;
  const uses = new Map(ctx.network.uses({ ...sandbox, ports: sandbox.lost }).map((use) => [shown(use.port), use]));
  const still: PublishedPort[] = [];
  for (const port of sandbox.lost) {
    const { sockets, lost } = ctx.network.rebind(sandbox, [port]);
    still.push(...lost);
    const use = uses.get(shown(port));
    if (lost.length > 0 || use === undefined) continue;
    if (!(await given(ctx, handle, { use, sockets }))) {
      ctx.logger.warn('a lost port is published again when its container restarts: its shim is of an older release', { container: container.id, port: shown(port) });
      return false;
    }
  }
  if (still.length < sandbox.lost.length) await notePorts(ctx, container, still);
  return true;
}

async function given(ctx: EngineContext, handle: ShimHandle, { use, sockets }: { use: PortUse; sockets: readonly PortSocket[] }): Promise<boolean> {
  try {
    // A port without a socket (SCTP where the kernel has none) is only translated.
    return sockets[0] === undefined || (await handle.port(orderOf(use, sockets[0].fd)));
  } finally {
    ctx.network.closeSockets(sockets);
  }
}

/** For `docker info`. */
export const lostPortWarnings = (ctx: EngineContext): string[] =>
  ctx.containers.all().flatMap(({ record, sandbox }) => (sandbox?.lost ?? []).map((port) => `WARNING: container ${record.name}: its published port ${shown(port)} is taken by another process; it is published again when it is free`));
