/** What goes into a container's /etc/hosts, and the legacy links that stand there. */
import { isDeepStrictEqual } from 'node:util';
import { conflict, internal, invalid, isKind, messageOf, notFound } from '../base/errors.ts';
import { linkEnv, linkText, parseLink } from '../core/container/links.ts';
import { isHostMode } from '../core/container/modes.ts';
import { hostsFile } from '../core/oci/etcFiles.ts';
import type { HostsInput } from '../core/oci/etcFiles.ts';
import type { LinkedPorts, Sandbox } from '../core/ports/network.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';

const MAX_HOSTS_BYTES = 1024 * 1024;
/** Links are the default network's; on others, names resolve. */
const LINKED_NETWORK = 'bridge';

export async function hostsOf(ctx: EngineContext, container: Container, sandbox: Sandbox | null): Promise<HostsInput> {
  const { config, hostConfig } = container.record;
  const hostFile = isHostMode(hostConfig.networkMode) ? await ctx.host.readFileInRoot('/', 'etc/hosts', MAX_HOSTS_BYTES) : undefined;
  return {
    hostname: config.hostname,
    domainname: config.domainname,
    addresses: (sandbox?.endpoints ?? []).flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6].filter((address) => address !== '')),
    extraHosts: hostConfig.extraHosts,
    hostGatewayIps: hostGateways(ctx),
    links: linked(ctx, container).map(({ other, alias, address }) => ({ address, names: [...new Set([alias, other.record.config.hostname, other.record.name])] })),
    ...(hostFile === undefined ? {} : { hostFile: hostFile.toString('utf8') }),
  };
}

/** What `host-gateway` stands for: the addresses that were configured, or those of the default bridge. */
function hostGateways(ctx: EngineContext): string[] {
  const { hostGatewayIps } = ctx.settings();
  if (hostGatewayIps.length > 0) return hostGatewayIps;
  const bridge = ctx.network.list().find(({ name }) => name === LINKED_NETWORK);
  return (bridge?.ipam.config ?? []).map(({ gateway }) => gateway).filter((gateway) => gateway !== '');
}

/** The variables of a container's links, for its start: what it links to has to run. */
export function linkedEnv(ctx: EngineContext, container: Container): string[] {
  const links = linked(ctx, container);
  const [missing] = linksOf(ctx, container).filter(({ other }) => !links.some((link) => link.other === other));
  if (missing !== undefined) throw conflict(whyNot(container, missing));
  return links.flatMap(({ other, alias, address }) => {
    const { exposedPorts, env } = other.record.config;
    return linkEnv({ alias, parent: container.record.name, address, exposedPorts, env });
  });
}

function whyNot({ record }: Container, { other, alias }: { other: Container; alias: string }): string {
  if (!other.occupied) return `Cannot link to a non running container: /${other.record.name} AS /${record.name}/${alias}`;
  return `Cannot link to /${other.record.name}, as it does not belong to the default network`;
}

/** What a container's links let it reach, where containers otherwise do not reach each other. */
export const linkedPortsOf = (ctx: EngineContext, container: Container): LinkedPorts[] =>
  linksOf(ctx, container).map(({ other }) => ({ containerId: other.id, ports: other.record.config.exposedPorts }));

/** Brings what a running container has of its links up to date. */
async function rewriteLinks(ctx: EngineContext, parent: Container): Promise<void> {
  await ctx.store.writeEtc(parent.id, { hosts: hostsFile(await hostsOf(ctx, parent, parent.sandbox)) });
  const links = linkedPortsOf(ctx, parent);
  if (parent.sandbox === null || isDeepStrictEqual(links, parent.sandbox.links ?? [])) return;
  parent.sandbox = await ctx.network.link(parent.id, parent.sandbox, links);
  await ctx.store.saveSandbox(parent.id, parent.sandbox);
}

/** `docker rm --link`: the container that has a link forgets it. `name` is `container/alias`. */
export async function removeLink(ctx: EngineContext, name: string): Promise<void> {
  const [holder = '', alias = '', ...more] = name.replace(/^\//, '').split('/');
  if (alias === '') throw internal('Conflict, cannot remove the default link name of the container');
  const parent = ctx.containers.all().find(({ id, record }) => id === holder || record.name === holder);
  if (parent === undefined || more.length > 0) throw internal(`Cannot get parent /${holder} for link name /${name}`);
  await parent.lock.run(async () => {
    const { record } = parent;
    const links = record.hostConfig.links.filter((text) => parseLink(text).alias !== alias);
    if (links.length === record.hostConfig.links.length) throw notFound(`No such container: ${name}`);
    parent.record = { ...record, hostConfig: { ...record.hostConfig, links } };
    await ctx.store.save(parent.record);
    if (parent.occupied) await rewriteLinks(ctx, parent);
  });
}

/** Tells the running containers that link to this one its address, which may be another than before. */
export async function refreshLinks(ctx: EngineContext, container: Container): Promise<void> {
  for (const parent of ctx.containers.all()) {
    if (!parent.occupied || !linked(ctx, parent).some(({ other }) => other === container)) continue;
    try {
      await rewriteLinks(ctx, parent);
    } catch (error) {
      ctx.logger.warn("a link's address could not be brought up to date", { container: parent.id, error: messageOf(error) });
    }
  }
}

interface Linked {
  other: Container;
  alias: string;
  address: string;
}

/** Links to containers that run on the default network. */
const linked = (ctx: EngineContext, container: Container): Linked[] =>
  linksOf(ctx, container).flatMap(({ other, alias }) => {
    const endpoint = other.occupied ? other.sandbox?.endpoints.find(({ networkName }) => networkName === LINKED_NETWORK) : undefined;
    return endpoint === undefined ? [] : [{ other, alias, address: endpoint.ipv4 }];
  });

/** All links to containers that are there. */
function linksOf(ctx: EngineContext, { record }: Container): { other: Container; alias: string }[] {
  if (record.networks[LINKED_NETWORK] === undefined) return [];
  return record.hostConfig.links.flatMap((text) => {
    const { container, alias } = parseLink(text);
    const other = ctx.containers.all().find((each) => each.record.name === container);
    return other === undefined ? [] : [{ other, alias }];
  });
}

/** Links as they are recorded, after a look at whether there is something to link to. */
export function checkLinks(ctx: EngineContext, links: readonly string[], name: string): string[] {
  return links.map((text) => {
    const link = parseLink(text);
    const other = linkTarget(ctx, link.container);
    if (isHostMode(other.record.hostConfig.networkMode)) throw invalid("conflicting options: host type networking can't be used with links. This would result in undefined behavior");
    return linkText(other.record.name, name, link.alias);
  });
}

function linkTarget(ctx: EngineContext, name: string): Container {
  try {
    return ctx.containers.resolve(name);
  } catch (error) {
    // Not a 404, which clients would take for a missing image.
    if (isKind(error, 'not-found')) throw invalid(`could not get container for ${name}: ${error.message}`, error);
    throw error;
  }
}
