/**
 * `docker start`: network, root and volumes are made, the shim launched with the container created and not yet running,
 * whoever attached is connected, the record made durable, and only then the first instruction allowed. Whatever fails
 * before that is undone in reverse order; a kill -9 in between leaves a shim without `start`, which the next daemon abandons.
 */
import { conflict, internal, invalid, messageOf, MooredError, notModified } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { traced } from '../base/trace.ts';
import type { EndpointRequest } from '../core/container/config.ts';
import { containerOfMode, isContainerMode, isPrivateNetwork } from '../core/container/modes.ts';
import { isMissingCommand, startExitCode } from '../core/container/startFailure.ts';
import { needsResolver } from '../core/ports/names.ts';
import type { ResolverSockets } from '../core/ports/names.ts';
import type { PortSocket } from '../core/ports/network.ts';
import type { ShimHandle } from '../core/ports/shim.ts';
import { connectPending } from './attach.ts';
import { buildBundle, nextCgroupPath } from './bundle.ts';
import type { Container } from './container.ts';
import { layersOf } from './context.ts';
import type { EngineContext } from './context.ts';
import { forwardLog } from './forward.ts';
import { volumeMounts } from './giveBack.ts';
import { linkedPortsOf, refreshLinks } from './hosts.ts';
import { endpointNames, publishNames } from './names.ts';
import { removeNow } from './removal.ts';
import { publishMount, publishNetwork, publishUnmount } from './resourceEvents.ts';
import { shimSpec } from './shimSpec.ts';
import { supervise } from './supervise.ts';

export async function startContainer(ctx: EngineContext, container: Container): Promise<void> {
  if (container.state.kind === 'exited') await container.whenSettled();
  await container.lock.run(async () => {
    checkStartable(container);
    try {
      await launch(ctx, container);
    } catch (error) {
      await failed(ctx, container, error);
    }
  });
}

function checkStartable(container: Container): void {
  switch (container.state.kind) {
    case 'running':
    case 'restarting':
    case 'starting':
      throw notModified(`container ${container.id} is already started`);
    case 'paused':
      throw conflict('cannot start a paused container, try unpause instead');
    case 'removing':
      throw conflict('container is marked for removal and cannot be started');
    case 'broken':
      throw conflict(`container ${container.id} cannot be started: ${container.state.reason}`);
    case 'created':
    case 'exited':
      return;
  }
}

async function launch(ctx: EngineContext, container: Container): Promise<void> {
  container.transition({ kind: 'launch' });
  await using undo = new AsyncDisposableStack();
  const paths = ctx.store.paths(container.id);
  const step = <T>(name: string, work: () => Promise<T>): Promise<T> => traced(container.id, name, work);
  await ctx.store.freshExecDir(container.id);
  undo.defer(() => ctx.store.removeExecDir(container.id));

  const layers = layersOf(ctx, container);
  undo.defer(() => layers.unmountRw(container.id));
  const [rootfs, up] = await both(step('root filesystem', () => layers.mountRw(container.id)), step('network', () => networkUp(ctx, container, undo)));
  await step('volumes', () => mountVolumes(ctx, container, undo));
  await failpoint('start.mounted');
  if (container.record.hostConfig.ipcMode === 'shareable') undo.defer(() => ctx.host.unmountShm(`${paths.execDir}/shm`));
  container.record = { ...container.record, cgroupsPath: nextCgroupPath(ctx, container), launchedNs: ctx.clock.nowNs() };
  const bundle = await step('bundle', async () => {
    const built = await buildBundle(ctx, container, { rootfs, sandbox: container.sandbox });
    await ctx.store.writeBundle(container.id, built.files);
    return built;
  });

  // The record is on disk before the first instruction; the disk's flush and the runtime's work go on side by side.
  await failpoint('start.bundled');
  const saved = step('durable record', () => ctx.store.save({ ...container.record, desired: 'running', startedBefore: true, startFailure: null }));
  let handle: ShimHandle;
  try {
    const spec = await shimSpec(ctx, container, { ...up, probe: bundle.probe, restartCount: 0 });
    ({ handle } = await step('shim and runtime create', () => ctx.shims.launch(paths.execDir, spec)));
  } finally {
    up.close();
    await saved;
  }
  container.record = { ...container.record, desired: 'running', startedBefore: true, startFailure: null };
  await failpoint('start.launched');
  undo.defer(() => abandon(handle));
  if (up.resolver !== undefined) await publishNames(ctx, container, up.resolver.ports);
  await connectPending(container, handle);
  const started = container.nextStart();
  await step('watch', () => supervise(ctx, container, handle));
  await failpoint('start.watched');
  undo.defer(() => ctx.forward.ended(container.id));
  await forwardLog(ctx, container, { live: true });
  // What was told of the run's beginning tells the next daemon what to tell of its end.
  await ctx.events.flushed();
  await step('runtime start', () => handle.start());
  await started;
  await failpoint('start.started');
  undo.move();
  await refreshLinks(ctx, container);
}

/** Both, or the first one's error after both ended (so that what the other made can be undone). */
async function both<A, B>(a: Promise<A>, b: Promise<B>): Promise<[A, B]> {
  const [first, second] = await Promise.allSettled([a, b]);
  if (first.status === 'rejected') throw first.reason;
  if (second.status === 'rejected') throw second.reason;
  return [first.value, second.value];
}

/** A shim that was not told to start deletes its container when it is stopped. */
async function abandon(handle: ShimHandle): Promise<void> {
  try {
    await handle.stop({ signal: 9, timeoutMs: 0 });
  } catch (error) {
    if (!(error instanceof MooredError)) throw error;
  }
}

interface NetworkUp {
  sockets: PortSocket[];
  /** On user-defined networks. */
  resolver?: ResolverSockets;
  /** Closes the daemon's copies of all sockets. */
  close(): void;
}

async function networkUp(ctx: EngineContext, container: Container, undo: AsyncDisposableStack): Promise<NetworkUp> {
  const { config, hostConfig } = container.record;
  container.sandbox = null;
  if (isContainerMode(hostConfig.networkMode)) {
    const other = ctx.containers.resolve(containerOfMode(hostConfig.networkMode));
    if (!other.occupied) throw conflict(`cannot join network of a non running container: ${other.id}`);
  }
  if (!isPrivateNetwork(hostConfig.networkMode)) return { sockets: [], close: () => undefined };
  const { sandbox, sockets } = await ctx.network.up({
    containerId: container.id,
    containerName: container.record.name,
    hostname: config.hostname,
    netnsPath: ctx.store.paths(container.id).netns,
    endpoints: endpointsOf(ctx, container),
    portBindings: hostConfig.portBindings,
    exposedPorts: config.exposedPorts,
    publishAllPorts: hostConfig.publishAllPorts,
    links: linkedPortsOf(ctx, container),
    sysctls: {},
  });
  undo.defer(async () => {
    await ctx.network.down(container.id, sandbox);
    for (const endpoint of sandbox.endpoints) publishNetwork(ctx, container, { action: 'disconnect', endpoint });
  });
  container.sandbox = sandbox;
  await failpoint('start.network');
  await ctx.store.saveSandbox(container.id, sandbox);
  for (const endpoint of sandbox.endpoints) publishNetwork(ctx, container, { action: 'connect', endpoint });
  const close = (): void => ctx.network.closeSockets(sockets);
  if (!needsResolver(sandbox)) return { sockets, close };
  try {
    undo.defer(() => ctx.names.withdraw(container.id));
    const resolver = await ctx.names.open(sandbox.netnsPath);
    undo.defer(() => resolver[Symbol.dispose]());
    return {
      sockets,
      resolver,
      close() {
        close();
        resolver[Symbol.dispose]();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** The networks a container is on, with the names it has there. */
export function endpointsOf(ctx: EngineContext, container: Container): { networkId: string; request: EndpointRequest; dnsNames: string[] }[] {
  const { record } = container;
  if (record.config.networkDisabled) return [];
  return Object.entries(record.networks).map(([name, request]) => {
    const network = ctx.network.resolve(name);
    return { networkId: network.id, request, dnsNames: endpointNames(container, network, request) };
  });
}

async function mountVolumes(ctx: EngineContext, container: Container, undo: AsyncDisposableStack): Promise<void> {
  for (const mount of volumeMounts(container)) {
    await ctx.volumes.mount(mount.name, container.id);
    publishMount(ctx, container, mount);
    undo.defer(async () => {
      await ctx.volumes.unmount(mount.name, container.id);
      publishUnmount(ctx, container, mount);
    });
  }
}

/** Text and exit code as Docker gives them; with `--rm` the container is removed. Always throws. */
async function failed(ctx: EngineContext, container: Container, error: unknown): Promise<never> {
  const message = messageOf(error);
  const exitCode = startExitCode(error);
  container.watch?.close();
  container.handle = null;
  container.watch = null;
  container.sandbox = null;
  container.record = { ...container.record, desired: container.record.startedBefore ? 'stopped' : 'created', startFailure: { message, exitCode } };
  if (container.state.kind === 'starting') container.transition(container.view.facts.startedNs === 0n ? { kind: 'launch-failed' } : { kind: 'ended' });
  await ctx.store.save(container.record);
  container.notify('exit');
  if (container.record.hostConfig.autoRemove) {
    try {
      await removeNow(ctx, container, true);
    } catch (removal) {
      ctx.logger.error('a container that could not be started could not be removed either', { container: container.id, error: messageOf(removal) });
    }
  }
  if (error instanceof MooredError && error.kind !== 'internal') throw error;
  throw isMissingCommand(error) ? invalid(message, error) : internal(message, error);
}
