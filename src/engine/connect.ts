/** `docker network connect` and `disconnect`: the record says it, and a running container has it at once. */
import { conflict, forbidden, invalid, messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { EndpointRequest } from '../core/container/config.ts';
import { hostsFile } from '../core/oci/etcFiles.ts';
import { isContainerMode, isHostMode, isPrivateNetwork } from '../core/container/modes.ts';
import type { EndpointRecord, NetworkRecord, Sandbox } from '../core/ports/network.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { hostsOf } from './hosts.ts';
import { endpointNames, refreshNames } from './names.ts';
import { endpointEvent } from './resourceEvents.ts';
import { redirectRelays } from './shimPorts.ts';

export interface AttachedEndpoint {
  containerId: string;
  /** Without the slash. */
  name: string;
  endpoint: EndpointRecord;
}

/** Who is on a network now. */
export const attachedTo = (ctx: EngineContext, networkId: string): AttachedEndpoint[] =>
  ctx.containers.all().flatMap((container) =>
    (container.sandbox?.endpoints ?? []).filter((endpoint) => endpoint.networkId === networkId).map((endpoint) => ({ containerId: container.id, name: container.record.name, endpoint })));

export function connectContainer(ctx: EngineContext, container: Container, what: { network: NetworkRecord; request: EndpointRequest }): Promise<void> {
  const { network, request } = what;
  return container.lock.run(async () => {
    refuseSharing(container, network);
    if (keyOf(container, network) !== undefined) throw forbidden(`endpoint with name ${container.record.name} already exists in network ${network.name}`);
    await recorded(ctx, container, { ...container.record.networks, [network.name]: request }, async () => {
      await failpoint('connect.recorded');
      if (isLiveSandbox(container)) await join(ctx, container, { network, request });
    });
  });
}

export function disconnectContainer(ctx: EngineContext, container: Container, what: { network: NetworkRecord; force: boolean }): Promise<void> {
  const { network } = what;
  return container.lock.run(async () => {
    if (isHostMode(container.record.hostConfig.networkMode) && network.name === 'host') throw forbidden('container cannot be disconnected from host network or connected to host network');
    const key = keyOf(container, network);
    const endpoint = container.sandbox?.endpoints.find(({ networkId }) => networkId === network.id);
    if (key === undefined && endpoint === undefined) throw forbidden(`container ${container.id} is not connected to network ${network.name}`);
    await recorded(ctx, container, Object.fromEntries(Object.entries(container.record.networks).filter(([name]) => name !== key)), async () => {
      await failpoint('disconnect.recorded');
      if (isLiveSandbox(container) && endpoint !== undefined) await leave(ctx, container, endpoint);
    });
  });
}

/** The record says first what is wanted, so that the next daemon finishes what this one began; what cannot be done is taken back. */
async function recorded(ctx: EngineContext, container: Container, networks: Record<string, EndpointRequest>, act: () => Promise<void>): Promise<void> {
  const before = container.record.networks;
  await record(ctx, container, networks);
  try {
    await act();
  } catch (error) {
    await record(ctx, container, before);
    throw error;
  }
}

/** A running container's networks as its record has them: a daemon may have died between the two. */
export async function mendEndpoints(ctx: EngineContext, container: Container): Promise<void> {
  const { hostConfig, config } = container.record;
  if (!isLiveSandbox(container) || container.problem !== '' || !isPrivateNetwork(hostConfig.networkMode) || hostConfig.networkMode === 'none' || config.networkDisabled) return;
  try {
    const wanted = Object.entries(container.record.networks).map(([name, request]) => ({ network: ctx.network.resolve(name), request }));
    const extra = container.sandbox.endpoints.filter(({ networkId }) => wanted.every(({ network }) => network.id !== networkId));
    const missing = wanted.filter(({ network }) => container.sandbox.endpoints.every(({ networkId }) => networkId !== network.id));
    for (const endpoint of extra) await leave(ctx, container, endpoint);
    for (const each of missing) await join(ctx, container, each);
  } catch (error) {
    ctx.logger.warn('a container is not on the networks that it should be on', { container: container.id, error: messageOf(error) });
  }
}

type Live = Container & { sandbox: Sandbox };

function join(ctx: EngineContext, container: Live, { network, request }: { network: NetworkRecord; request: EndpointRequest }): Promise<void> {
  const { id: networkId, name: networkName } = network;
  return telling(ctx, container, { endpoint: { networkId, networkName }, action: 'connect' }, async () => {
    const joined = await ctx.network.connect(container.id, container.sandbox, { networkId, request, dnsNames: endpointNames(container, network, request) });
    await failpoint('connect.linked');
    await keep(ctx, container, joined);
  });
}

function leave(ctx: EngineContext, container: Live, endpoint: EndpointRecord): Promise<void> {
  return telling(ctx, container, { endpoint, action: 'disconnect' }, async () => {
    const left = await ctx.network.disconnect(container.id, container.sandbox, endpoint.networkId);
    await failpoint('disconnect.unlinked');
    await keep(ctx, container, left);
  });
}

function telling(ctx: EngineContext, container: Container, what: { endpoint: Pick<EndpointRecord, 'networkId' | 'networkName'>; action: 'connect' | 'disconnect' }, act: () => Promise<void>): Promise<void> {
  const { endpoint: { networkId }, action } = what;
  return ctx.events.telling(endpointEvent(ctx, container, what), { of: 'endpoint', id: container.id, networkId, there: action === 'connect' }, act);
}

function refuseSharing(container: Container, network: NetworkRecord): void {
  const { networkMode } = container.record.hostConfig;
  if (container.state.kind === 'removing' || container.problem !== '') throw conflict(`container ${container.id} is marked for removal and cannot be connected to a network`);
  if (network.configOnly === true) throw forbidden('cannot create endpoint on configuration-only network');
  if (isContainerMode(networkMode)) throw invalid('container sharing network namespace with another container or host cannot be connected to any other network');
  if (isHostMode(networkMode) || network.driver === 'host') throw invalid('container cannot be disconnected from host network or connected to host network');
  if (networkMode === 'none' || network.driver === 'null') throw invalid('container cannot be connected to multiple networks with one of the networks in private (none) mode');
}

/** Under which name or id the container's record has the network. */
const keyOf = (container: Container, network: NetworkRecord): string | undefined =>
  Object.keys(container.record.networks).find((name) => name === network.name || name === network.id);

const isLiveSandbox = (container: Container): container is Live => container.sandbox !== null && container.occupied;

async function record(ctx: EngineContext, container: Container, networks: Record<string, EndpointRequest>): Promise<void> {
  const changed = { ...container.record, networks };
  await ctx.store.save(changed);
  container.record = changed;
}

/** The sandbox as it is now: for the next daemon, for the shim's restarts, and in the container's hosts file. */
async function keep(ctx: EngineContext, container: Live, sandbox: Sandbox): Promise<void> {
  const before = container.sandbox;
  container.sandbox = sandbox;
  await ctx.store.saveSandbox(container.id, sandbox);
  await container.handle?.policy({ keepLinks: sandbox.endpoints.map(({ link }) => link).filter((link) => link !== '') });
  await redirectRelays(ctx, container, { before, after: sandbox });
  await ctx.store.writeEtc(container.id, { hosts: hostsFile(await hostsOf(ctx, container, sandbox)) });
  await refreshNames(ctx, container);
}
