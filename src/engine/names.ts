/**
 * Names of containers on user-defined networks: what the resolver is told of each, and when. It answers by itself; here
 * it is only kept up to date.
 */
import { messageOf } from '../base/errors.ts';
import type { EndpointRequest } from '../core/container/config.ts';
import { resolvConf, upstreamServers } from '../core/oci/etcFiles.ts';
import type { ResolvConfInput } from '../core/oci/etcFiles.ts';
import { isHostMode } from '../core/container/modes.ts';
import { needsResolver, RESOLVER_ADDRESS } from '../core/ports/names.ts';
import type { NamedEndpoint, ResolverPorts, SandboxNames } from '../core/ports/names.ts';
import type { EndpointRecord, NetworkRecord, Sandbox } from '../core/ports/network.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';

/** The names under which others on a network find a container; the default bridge has none. */
export function endpointNames({ record }: Container, network: NetworkRecord, request: EndpointRequest): string[] {
  if (network.name === 'bridge') return [];
  return [...new Set([record.name, ...request.aliases, record.id.slice(0, 12), record.config.hostname])].filter((name) => name !== '');
}

/** What goes into a container's resolv.conf: the options of the container, else the daemon's, else the host's file. */
export async function resolvConfOf(ctx: EngineContext, container: Container, sandbox: Sandbox | null): Promise<ResolvConfInput> {
  const { hostConfig } = container.record;
  const settings = ctx.settings();
  return {
    host: await ctx.host.resolvConf(),
    hostNetwork: isHostMode(hostConfig.networkMode),
    dns: hostConfig.dns.length > 0 ? hostConfig.dns : settings.dns,
    search: hostConfig.dnsSearch.length > 0 ? hostConfig.dnsSearch : settings.dnsSearch,
    options: hostConfig.dnsOptions.length > 0 ? hostConfig.dnsOptions : settings.dnsOptions,
    ...(sandbox !== null && needsResolver(sandbox) ? { internalResolver: RESOLVER_ADDRESS } : {}),
  };
}

/** Tells the resolver of a container that is about to run: its names resolve when this resolves. */
export async function publishNames(ctx: EngineContext, container: Container, ports: ResolverPorts): Promise<void> {
  await ctx.names.publish(await namesOf(ctx, container, ports));
}

/** Brings the resolver up to date with a running container's networks and name. One that had no resolver gets it with its first user-defined network. */
export async function refreshNames(ctx: EngineContext, container: Container): Promise<void> {
  const { sandbox } = container;
  if (sandbox === null || !container.occupied) return;
  try {
    const known = await ctx.names.published(container.id);
    if (known !== undefined) {
      const now = await namesOf(ctx, container, known.ports);
      // A host whose servers have changed since does not change what runs.
      const changed = { ...now, upstreams: known.upstreams };
      if (JSON.stringify(known.endpoints) !== JSON.stringify(changed.endpoints)) await ctx.names.publish(changed);
    } else if (needsResolver(sandbox)) {
      const sockets = await ctx.names.open(sandbox.netnsPath);
      try {
        // A shim of an older release cannot take them: then the resolver binds the same ports for itself.
        await container.handle?.hold(sockets.fds);
      } finally {
        sockets[Symbol.dispose]();
      }
      await publishNames(ctx, container, sockets.ports);
      await ctx.store.writeEtc(container.id, { resolvConf: resolvConf(await resolvConfOf(ctx, container, sandbox)) });
    }
  } catch (error) {
    ctx.logger.warn("a container's names could not be brought up to date", { container: container.id, error: messageOf(error) });
  }
}

async function namesOf(ctx: EngineContext, container: Container, ports: ResolverPorts): Promise<Omit<SandboxNames, 'schema'>> {
  const { netns, execDir } = ctx.store.paths(container.id);
  const sandbox = container.sandbox ?? { netnsPath: netns, endpoints: [], ports: [] };
  const networks = new Map(ctx.network.list().map((network) => [network.id, network]));
  const isolated = sandbox.endpoints.every(({ networkId }) => networks.get(networkId)?.internal === true);
  return {
    id: container.id,
    netnsPath: sandbox.netnsPath,
    shimDir: execDir,
    ports,
    endpoints: sandbox.endpoints.filter(({ networkName, link }) => networkName !== 'bridge' && link !== '').map((endpoint) => namedEndpoint(container, endpoint, networks.get(endpoint.networkId))),
    // Nothing leads out of internal networks, names neither.
    upstreams: isolated ? [] : upstreamServers(await resolvConfOf(ctx, container, sandbox)),
  };
}

function namedEndpoint(container: Container, endpoint: EndpointRecord, network: NetworkRecord | undefined): NamedEndpoint {
  const { networkId, networkName, ipv4, ipv6, request, dnsNames } = endpoint;
  return { networkId, networkName, ipv4, ipv6, names: network === undefined ? dnsNames : endpointNames(container, network, request), links: linksOf(request.links) };
}

/** `name:alias`. */
const linksOf = (links: readonly string[]): Record<string, string> =>
  Object.fromEntries(links.flatMap((link) => {
    const [name = '', alias = name] = link.split(':');
    return name === '' ? [] : [[alias, name]];
  }));
