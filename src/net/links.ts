/** The kernel's side of networks: bridges on the host, and what lies inside a container's namespace. */
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import { internal, messageOf } from '../base/errors.ts';
import { ALIAS, planBridge, planLinks } from '../core/network/links.ts';
import type { LinkStep, WantedBridge, WantedLinks } from '../core/network/links.ts';
import type { EndpointRecord } from '../core/ports/network.ts';
import { RouteSocket, deleteLink } from '../sys/netlinkRoute.ts';
import { createNetns, isNetns, removeNetns, withNetns } from '../sys/netns.ts';
import { ensureSysctl } from '../sys/sysctl.ts';

export { deleteLink, removeNetns };

/** How an endpoint is joined to its network. */
export interface Attachment {
  readonly endpoint: EndpointRecord;
  readonly bridge: string;
  readonly mtu: number;
  /** Containers on the network do not reach each other. */
  readonly isolated: boolean;
  /** Sysctls of the link, `IFNAME` standing for its name. */
  readonly sysctls: readonly string[];
}

/** Brings all links to what is wanted, leftovers included; tells what it did, and what it could not do. */
export function reconcileLinks(wanted: WantedLinks): { steps: LinkStep[]; failures: string[] } {
  using socket = new RouteSocket();
  const steps: LinkStep[] = [];
  const failures: string[] = [];
  for (const step of planLinks(wanted, socket.links(), socket.addresses())) {
    try {
      carryOut(socket, step);
      steps.push(step);
    } catch (error) {
      failures.push(`link ${step.name} could not be mended: ${messageOf(error)}`);
    }
  }
  return { steps, failures };
}

/** Makes one bridge what it has to be. */
export function ensureBridge(wanted: WantedBridge): void {
  using socket = new RouteSocket();
  for (const step of planBridge(wanted, socket.link(wanted.name), socket.addresses())) carryOut(socket, step);
}

function carryOut(socket: RouteSocket, step: LinkStep): void {
  switch (step.kind) {
    case 'create-bridge': return socket.addBridge(step.name, { mac: macFrom(step.alias), mtu: step.mtu === 0 ? 1500 : step.mtu, alias: step.alias });
    case 'set-up': return socket.setLink(step.name, { up: true });
    case 'set-mtu': return socket.setLink(step.name, { mtu: step.mtu });
    case 'set-alias': return socket.setLink(step.name, { alias: step.alias });
    case 'add-address': return socket.addAddress(indexOf(socket, step.name), step.address, step.prefixLength);
    case 'delete-address': return socket.deleteAddress(indexOf(socket, step.name), step.address, step.prefixLength);
    case 'join': return socket.setLink(step.name, { master: indexOf(socket, step.bridge) });
    case 'port-options': return socket.setBridgePort(step.name, { hairpin: true, isolated: step.isolated });
    case 'delete-link': return socket.deleteLink(step.name);
  }
}

function indexOf(socket: RouteSocket, name: string): number {
  const link = socket.link(name);
  if (link === undefined) throw internal(`link ${name} does not exist`);
  return link.index;
}

/**
 * Locally administered, unicast; a bridge with an address of its own does not take over its ports'. Always the same for a
 * network: containers go on with what they know of their gateway when its bridge had to be made again.
 */
function macFrom(alias: string): string {
  return `02:42:${createHash('sha256').update(alias).digest('hex').slice(0, 8).replaceAll(/..(?=.)/g, '$&:')}`;
}

/** Those of the names that no link of the host has. */
export function missingLinks(names: readonly string[]): Set<string> {
  using socket = new RouteSocket();
  const present = new Set(socket.links().map(({ name }) => name));
  return new Set(names.filter((name) => !present.has(name)));
}

/** A namespace with nothing but its loopback. */
export function makeNamespace(path: string): void {
  createNetns(path, () => {
    using socket = new RouteSocket();
    socket.setLink('lo', { up: true });
  });
}

/** Joins a container's namespace to networks, and sets where its default routes go. */
export function attach(netnsPath: string, containerId: string, attachments: readonly Attachment[]): void {
  const netns = openSync(netnsPath, 'r');
  try {
    using host = new RouteSocket();
    for (const { endpoint, bridge, mtu, isolated } of attachments) {
      host.addVeth({
        name: endpoint.hostLink,
        mtu,
        alias: `${ALIAS}${containerId}`,
        master: indexOf(host, bridge),
        peer: { name: endpoint.link, mac: endpoint.macAddress, netnsFd: netns },
      });
      host.setBridgePort(endpoint.hostLink, { hairpin: true, isolated });
    }
    withNetns(netns, () => {
      using inside = new RouteSocket();
      for (const attachment of attachments) configure(inside, attachment);
    });
  } finally {
    closeSync(netns);
  }
}

function configure(inside: RouteSocket, { endpoint, sysctls }: Attachment): void {
  const index = indexOf(inside, endpoint.link);
  ensureSysctl(`net.ipv6.conf.${endpoint.link.replaceAll('.', '/')}.disable_ipv6`, endpoint.ipv6 === '' && !endpoint.request.linkLocalIps.some((address) => address.includes(':')) ? '1' : '0');
  for (const sysctl of sysctls) {
    const [name = '', value = ''] = sysctl.replaceAll('IFNAME', endpoint.link.replaceAll('.', '/')).split('=', 2);
    if (!ensureSysctl(name, value)) throw internal(`unable to set sysctl ${name}: no such file or directory`);
  }
  if (endpoint.ipv4 !== '') inside.addAddress(index, endpoint.ipv4, endpoint.ipv4PrefixLength);
  if (endpoint.ipv6 !== '') inside.addAddress(index, endpoint.ipv6, endpoint.ipv6PrefixLength);
  for (const address of endpoint.request.linkLocalIps) inside.addAddress(index, address, LINK_LOCAL_PREFIX[address.includes(':') ? 6 : 4]);
  inside.setLink(endpoint.link, { up: true });
}

/** As libnetwork has them. */
const LINK_LOCAL_PREFIX = { 4: 16, 6: 64 } as const;

/** Where a container's default routes go: a gateway by a link of the container, per family. */
export type Gateways = Readonly<Record<4 | 6, { readonly gateway: string; readonly link: string } | undefined>>;

export function setGateways(netnsPath: string, gateways: Gateways): void {
  const netns = openSync(netnsPath, 'r');
  try {
    withNetns(netns, () => {
      using inside = new RouteSocket();
      for (const family of [4, 6] as const) {
        const wanted = gateways[family];
        if (wanted === undefined) inside.deleteDefaultRoute(family);
        else inside.replaceDefaultRoute(family, wanted.gateway, indexOf(inside, wanted.link));
      }
    });
  } finally {
    closeSync(netns);
  }
}

/** The first `prefixN` that neither a namespace nor a list has. */
export function freeLinkName(netnsPath: string, { prefix, taken }: { prefix: string; taken: ReadonlySet<string> }): string {
  const present = new Set([...taken, ...(isNetns(netnsPath) ? linkNames(netnsPath) : [])]);
  for (let n = 0; ; n += 1) if (!present.has(`${prefix}${n}`)) return `${prefix}${n}`;
}

function linkNames(netnsPath: string): string[] {
  const netns = openSync(netnsPath, 'r');
  try {
    return withNetns(netns, () => {
      using inside = new RouteSocket();
      return inside.links().map(({ name }) => name);
    });
  } finally {
    closeSync(netns);
  }
}
