/**
 * Networks, endpoints and published ports (NetworkPort). What is taken is what the recorded networks and the live
 * sandboxes say; the kernel is brought to it by plans. Everything that decides is synchronous, so that no two requests
 * can be given the same address or port; what waits (the packet filter, links' removal) comes after the decision.
 */
import { parseCidr } from '../base/cidr.ts';
import type { Cidr } from '../base/cidr.ts';
import type { Clock } from '../base/clock.ts';
import { conflict, forbidden, internal, invalid, messageOf, MooredError, notFound } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import {
  ENDPOINT_LINK_NAME, OPTION, bridgeAddresses, bridgeNameOf, bridgeOptions, firewallNetwork, gatewayEndpoint, isLinkName, isPredefined,
} from '../core/network/bridge.ts';
import { DEFAULT_ADDRESS_POOLS } from '../core/network/config.ts';
import type { AddressPool, NetConfig } from '../core/network/config.ts';
import { makeEndpoint } from '../core/network/endpoint.ts';
import type { FirewallPort, FirewallRequest } from '../core/network/firewall.ts';
import { resolveIpam, subnetOf, ulaPool } from '../core/network/ipam.ts';
import { ALIAS } from '../core/network/links.ts';
import type { WantedBridge } from '../core/network/links.ts';
import { PortBook, ephemeralRange, portRequests } from '../core/network/ports.ts';
import { defaultBridge, defaultBridgeName, differences, emptyNetwork } from '../core/network/predefined.ts';
import type { EndpointRecord, NetworkPort, NetworkRecord, PortSocket, Sandbox, SandboxRequest, SandboxUp } from '../core/ports/network.ts';
import { RouteSocket } from '../sys/netlinkRoute.ts';
import { ensureSysctl, readSysctl } from '../sys/sysctl.ts';
import { Firewall } from './firewall.ts';
import { attach, deleteLink, ensureBridge, freeLinkName, makeNamespace, reconcileLinks, removeNetns, setGateways } from './links.ts';
import type { Attachment } from './links.ts';
import { closeSockets, holdPorts, publishPorts, releasePorts, translationOf } from './publish.ts';
import type { Publication, PublishTarget } from './publish.ts';
import { NetworkRecords } from './records.ts';

export interface NetworkDeps {
  /** `<data-root>/networks`. */
  readonly directory: string;
  readonly config: NetConfig;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly newId: () => string;
  /** Forty bits that stay the same for this host: the range of v6 networks without a subnet of their own. */
  readonly ulaBits: bigint;
}

type EndpointWish = SandboxRequest['endpoints'][number];
type NetworkRequest = Parameters<NetworkPort['create']>[0];

export class Network implements NetworkPort {
  readonly #deps: NetworkDeps;
  readonly #records: NetworkRecords;
  readonly #firewall: Firewall;
  readonly #networks = new Map<string, NetworkRecord>();
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #book = new PortBook();
  #pending: string[] = [];
  #dropOthers = false;

  constructor(deps: NetworkDeps) {
    this.#deps = deps;
    this.#records = new NetworkRecords(deps.directory, deps.logger);
    this.#firewall = new Firewall(() => this.#firewallRequest(), deps.logger);
  }

  list(): NetworkRecord[] {
    return [...this.#networks.values()];
  }

  resolve(nameOrId: string): NetworkRecord {
    const exact = this.#networks.get(nameOrId);
    if (exact !== undefined) return exact;
    const all = this.list();
    const named = all.filter(({ name }) => name === nameOrId);
    if (named.length > 1) throw invalid(`network ${nameOrId} is ambiguous (${named.length} matches found on name)`);
    const prefixed = named.length > 0 || nameOrId === '' ? named : all.filter(({ id }) => id.startsWith(nameOrId));
    if (prefixed.length > 1) throw invalid(`network ${nameOrId} is ambiguous (${prefixed.length} matches found based on ID prefix)`);
    const [found] = prefixed;
    if (found === undefined) throw notFound(`network ${nameOrId} not found`);
    return found;
  }

  async create(request: NetworkRequest): Promise<{ network: NetworkRecord; warning: string }> {
    const network = this.#newNetwork(request);
    // From here on its name and subnet are taken.
    this.#networks.set(network.id, network);
    try {
      this.#prepareHost();
      ensureBridge(this.#wantedBridge(network));
      this.#bridgeSysctls(network);
      await this.#filter();
      await this.#records.save(network);
    } catch (error) {
      await this.#discard(network);
      throw error;
    }
    return { network, warning: '' };
  }

  async remove(id: string): Promise<void> {
    const network = this.resolve(id);
    if (isPredefined(network.name)) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
    const user = [...this.#sandboxes.values()].flatMap(({ endpoints }) => endpoints).find((endpoint) => endpoint.networkId === network.id);
    if (user !== undefined) throw forbidden(`error while removing network: network ${network.name} has active endpoints (id:"${user.id.slice(0, 12)}")`);
    await this.#records.remove(network.id);
    await this.#discard(network);
  }

  async up(request: SandboxRequest): Promise<SandboxUp> {
    const requests = portRequests({ bindings: request.portBindings, exposed: request.exposedPorts, publishAll: request.publishAllPorts });
    await this.down(request.containerId, { netnsPath: request.netnsPath, endpoints: [], ports: [] });
    await this.settled();
    const sandbox: Sandbox = { netnsPath: request.netnsPath, endpoints: [], ports: [] };
    this.#sandboxes.set(request.containerId, sandbox);
    let publication: Publication = { ports: [], sockets: [] };
    try {
      for (const wish of request.endpoints) sandbox.endpoints.push(this.#newEndpoint(request.netnsPath, sandbox, wish));
      publication = this.#publish(request.containerName, sandbox, requests);
      sandbox.ports = publication.ports;
      // The filter's program works while we make the links.
      const filtered = sandbox.ports.length > 0 ? this.#filter() : Promise.resolve();
      filtered.catch(() => {});
      makeNamespace(request.netnsPath);
      attach(request.netnsPath, request.containerId, this.#attachments(sandbox.endpoints));
      this.#setGateways(sandbox);
      await filtered;
      this.#firewall.forgetUdpFlows(this.#translations(sandbox));
      return { sandbox, sockets: publication.sockets };
    } catch (error) {
      closeSockets(publication.sockets);
      await this.down(request.containerId, sandbox);
      throw setupError(error);
    }
  }

  closeSockets(sockets: readonly PortSocket[]): void {
    closeSockets(sockets);
  }

  async down(containerId: string, sandbox: Sandbox): Promise<void> {
    const known = this.#sandboxes.get(containerId);
    const endpoints = [...sandbox.endpoints, ...(known?.endpoints ?? []).filter((endpoint) => !sandbox.endpoints.some(({ id }) => id === endpoint.id))];
    const ports = known?.ports ?? [];
    // Its ports stay taken until nothing leads to them.
    this.#withdrawn.add(containerId);
    try {
      removeNetns(sandbox.netnsPath);
      this.#removeLinks(endpoints);
      if (ports.length > 0) {
        await this.#filter();
        this.#firewall.forgetUdpFlows(this.#translations({ ...sandbox, endpoints, ports }));
      }
    } finally {
      this.#withdrawn.delete(containerId);
    }
    if (known !== undefined) releasePorts(known.ports, this.#book);
    this.#sandboxes.delete(containerId);
  }

  async connect(containerId: string, sandbox: Sandbox, wish: EndpointWish): Promise<Sandbox> {
    const network = this.resolve(wish.networkId);
    if (sandbox.endpoints.some(({ networkId }) => networkId === network.id)) throw forbidden(`endpoint with name ${containerId} already exists in network ${network.name}`);
    await this.settled();
    const endpoint = this.#newEndpoint(sandbox.netnsPath, sandbox, wish);
    const after: Sandbox = { ...sandbox, endpoints: [...sandbox.endpoints, endpoint] };
    this.#sandboxes.set(containerId, after);
    try {
      attach(sandbox.netnsPath, containerId, this.#attachments([endpoint]));
      await this.#rearrange(after);
      return after;
    } catch (error) {
      this.#sandboxes.set(containerId, sandbox);
      this.#removeLinks([endpoint]);
      await this.#rearrange(sandbox);
      throw error;
    }
  }

  async disconnect(containerId: string, sandbox: Sandbox, networkId: string): Promise<Sandbox> {
    const endpoint = sandbox.endpoints.find((each) => each.networkId === networkId);
    if (endpoint === undefined) throw forbidden(`container ${containerId} is not connected to network ${this.resolve(networkId).name}`);
    const after: Sandbox = { ...sandbox, endpoints: sandbox.endpoints.filter((each) => each !== endpoint) };
    // The link's routes have to be gone before others take their place.
    this.#removeLinks([endpoint]);
    await this.settled();
    this.#sandboxes.set(containerId, after);
    await this.#rearrange(after);
    return after;
  }

  async restore(live: { containerId: string; sandbox: Sandbox }[]): Promise<void> {
    for (const { containerId, sandbox } of live) {
      this.#sandboxes.set(containerId, sandbox);
      holdPorts(sandbox.ports, this.#book);
    }
    for (const network of await this.#records.load()) this.#networks.set(network.id, network);
    this.#pending = [];
    await this.#predefine();
    const { config, logger } = this.#deps;
    if (config.iptables || config.ip6tables) this.#dropOthers = !config.ipForwardNoDrop && await this.#firewall.dropsOthers();
    if (this.#bridges().length > 0) this.#prepareHost();
    const steps = reconcileLinks({ bridges: this.#bridges().map((network) => this.#wantedBridge(network)), ports: this.#wantedPorts() });
    for (const step of steps) logger.info('link mended', { ...step });
    for (const network of this.#bridges()) this.#bridgeSysctls(network);
    if (config.iptables || config.ip6tables) {
      await this.#firewall.reconcile();
      for (const line of await this.#firewall.hindrances()) this.#pending.push(line);
    }
    for (const line of this.#pending) logger.warn(line);
  }

  pending(): string[] {
    return [...this.#pending];
  }

  /** Containers on their way down: the packet filter is to forget them. */
  readonly #withdrawn = new Set<string>();
  readonly #removals = new Set<Promise<void>>();

  #bridges(): NetworkRecord[] {
    return this.list().filter(({ driver }) => driver === 'bridge');
  }

  #filter(): Promise<void> {
    const { config } = this.#deps;
    return config.iptables || config.ip6tables ? this.#firewall.sync() : Promise.resolve();
  }

  #firewallRequest(): FirewallRequest {
    const { iptables: v4, ip6tables: v6 } = this.#deps.config;
    return {
      networks: this.#bridges().map((network) => firewallNetwork(network, { v4, v6 })),
      ports: [...this.#sandboxes].filter(([id]) => !this.#withdrawn.has(id)).flatMap(([, sandbox]) => this.#translations(sandbox)),
      dropOthers: this.#dropOthers,
    };
  }

  #translations(sandbox: Sandbox): FirewallPort[] {
    const target = this.#target(sandbox.endpoints);
    return sandbox.ports.flatMap((port) => translationOf(port, target) ?? []);
  }

  #target(endpoints: readonly EndpointRecord[]): PublishTarget {
    const { config } = this.#deps;
    return {
      ipv4: gatewayEndpoint(endpoints, 4)?.ipv4 ?? '',
      ipv6: gatewayEndpoint(endpoints, 6)?.ipv6 ?? '',
      translate4: config.iptables,
      translate6: config.ip6tables,
      relay: config.userlandProxy,
    };
  }

  #newNetwork(request: NetworkRequest): NetworkRecord {
    const { bridgeName, ...wanted } = request;
    if (wanted.driver !== 'bridge') throw forbidden(`only one instance of "${wanted.driver}" network is allowed`);
    if (this.list().some(({ name }) => name === wanted.name)) throw conflict(`network with name ${wanted.name} already exists`);
    if (!wanted.enableIpv4 && !wanted.enableIpv6) throw invalid('IPv4 or IPv6 must be enabled');
    const { defaultNetworkOptions } = this.#deps.config;
    const options = { ...defaultNetworkOptions['bridge'], ...wanted.options };
    bridgeOptions(options);
    const id = this.#deps.newId();
    const givenName = bridgeName ?? options[OPTION.name] ?? '';
    const bridge = givenName === '' ? bridgeNameOf(id) : givenName;
    if (!isLinkName(bridge)) throw invalid(`invalid bridge name "${bridge}"`);
    const holder = this.#bridges().find((network) => network.bridge === bridge);
    if (holder !== undefined) throw forbidden(`cannot create network ${id} (${bridge}): conflicts with network ${holder.id} (${bridge}): networks have same bridge name`);
    const config = resolveIpam({
      config: wanted.ipam.config,
      enableIpv4: wanted.enableIpv4,
      enableIpv6: wanted.enableIpv6,
      internal: wanted.internal,
      pools: this.#pools(),
      taken: this.#subnets(),
      routed: routedPrefixes(),
    });
    return { ...wanted, schema: 1, id, createdNs: this.#deps.clock.nowNs(), scope: 'local', options, bridge, ipam: { ...wanted.ipam, config } };
  }

  #pools(): AddressPool[] {
    const given = this.#deps.config.defaultAddressPools;
    const hasV6 = given.some(({ base }) => base.includes(':'));
    const v4 = given.some(({ base }) => !base.includes(':')) ? [] : DEFAULT_ADDRESS_POOLS;
    return [...given, ...v4, ...(hasV6 ? [] : [ulaPool(this.#deps.ulaBits)])];
  }

  #subnets(except?: NetworkRecord): Cidr[] {
    return this.list().filter((network) => network !== except).flatMap(({ ipam }) => ipam.config.map(subnetOf));
  }

  #newEndpoint(netnsPath: string, sandbox: Sandbox, wish: EndpointWish): EndpointRecord {
    const network = this.resolve(wish.networkId);
    if (network.driver !== 'bridge') return makeEndpoint({ id: this.#deps.newId(), network, wish, taken: [], link: '', hostLink: '' });
    const endpoints = [...this.#sandboxes.values()].flatMap((other) => other.endpoints).filter(({ networkId }) => networkId === network.id);
    const id = this.#deps.newId();
    return makeEndpoint({
      id, network, wish, link: this.#linkName(netnsPath, sandbox, { network, wish }), hostLink: `veth${id.slice(0, 7)}`,
      taken: endpoints.flatMap(({ ipv4, ipv6 }) => [ipv4, ipv6]),
    });
  }

  #linkName(netnsPath: string, sandbox: Sandbox, { network, wish }: { network: NetworkRecord; wish: EndpointWish }): string {
    const chosen = wish.request.driverOpts[ENDPOINT_LINK_NAME] ?? '';
    if (chosen !== '' && !isLinkName(chosen)) throw invalid(`invalid interface name "${chosen}"`);
    if (chosen !== '') return chosen;
    const { linkPrefix } = bridgeOptions(network.options);
    return freeLinkName(netnsPath, { prefix: linkPrefix, taken: new Set(sandbox.endpoints.map(({ link }) => link)) });
  }

  #publish(containerName: string, sandbox: Sandbox, requests: ReturnType<typeof portRequests>): Publication {
    const endpoint = gatewayEndpoint(sandbox.endpoints, 4) ?? gatewayEndpoint(sandbox.endpoints, 6);
    if (endpoint === undefined || requests.length === 0) return { ports: [], sockets: [] };
    const { hostBinding } = bridgeOptions(this.resolve(endpoint.networkId).options);
    try {
      return publishPorts(requests, {
        book: this.#book,
        target: this.#target(sandbox.endpoints),
        defaultHostIp: hostBinding === '0.0.0.0' ? '' : hostBinding,
        ephemeral: ephemeralRange(readSysctl('net.ipv4.ip_local_port_range')),
      });
    } catch (error) {
      throw internal(`driver failed programming external connectivity on endpoint ${containerName} (${endpoint.id}): ${messageOf(error)}`, error);
    }
  }

  #attachments(endpoints: readonly EndpointRecord[]): Attachment[] {
    return endpoints.filter(({ hostLink }) => hostLink !== '').map((endpoint) => {
      const network = this.resolve(endpoint.networkId);
      const { icc, mtu } = bridgeOptions(network.options);
      const sysctls = (endpoint.request.driverOpts['com.docker.network.endpoint.sysctls'] ?? '').split(',').filter((each) => each !== '');
      return { endpoint, bridge: network.bridge, mtu: mtu === 0 ? 1500 : mtu, isolated: !icc && canIsolate(), sysctls };
    });
  }

  #setGateways(sandbox: Sandbox): void {
    if (sandbox.endpoints.every(({ link }) => link === '')) return;
    const [v4, v6] = [gatewayEndpoint(sandbox.endpoints, 4), gatewayEndpoint(sandbox.endpoints, 6)];
    setGateways(sandbox.netnsPath, {
      4: v4 === undefined ? undefined : { gateway: v4.gateway4, link: v4.link },
      6: v6 === undefined ? undefined : { gateway: v6.gateway6, link: v6.link },
    });
  }

  /** After a container's endpoints changed: its way out, and where its published ports lead. */
  async #rearrange(sandbox: Sandbox): Promise<void> {
    this.#setGateways(sandbox);
    if (sandbox.ports.length === 0) return;
    await this.#filter();
    this.#firewall.forgetUdpFlows(this.#translations(sandbox));
  }

  /** Deletes links in the background: it takes the kernel some 20 ms, in which nothing of them works any more. */
  #removeLinks(endpoints: readonly EndpointRecord[]): void {
    for (const { hostLink } of endpoints) {
      if (hostLink === '') continue;
      const removal = deleteLink(hostLink)
        .catch((error: unknown) => this.#deps.logger.warn('a link could not be deleted', { link: hostLink, error: messageOf(error) }))
        .finally(() => this.#removals.delete(removal));
      this.#removals.add(removal);
    }
  }

  /** Resolves when no link of a container that is down is left; whoever chooses addresses waits for it. */
  async settled(): Promise<void> {
    while (this.#removals.size > 0) await Promise.all(this.#removals);
  }

  async #predefine(): Promise<void> {
    const { config, clock, newId } = this.#deps;
    const present = this.list();
    for (const name of ['host', 'none'] as const) {
      if (!present.some((network) => network.name === name)) await this.#add(emptyNetwork(name, { newId, nowNs: clock.nowNs() }));
    }
    const recorded = present.find(({ name }) => name === 'bridge');
    const used = recorded !== undefined && [...this.#sandboxes.values()].some(({ endpoints }) => endpoints.some(({ networkId }) => networkId === recorded.id));
    if (config.bridge === 'none') {
      if (used) this.#pending.push('the default network is removed when no running container uses it any more (bridge: none)');
      else if (recorded !== undefined) await this.#forget(recorded);
      return;
    }
    const wanted = defaultBridge({
      config,
      pools: this.#pools(),
      taken: this.#subnets(recorded),
      routed: routedPrefixes(defaultBridgeName(config)),
      present: this.#presentAddresses(recorded),
      newId,
      nowNs: clock.nowNs(),
    });
    if (recorded === undefined) return this.#add(wanted);
    const changed = differences(recorded, wanted);
    if (changed.length === 0) return;
    if (used) {
      this.#pending.push(`options of the default network wait until no running container uses it: ${changed.join(', ')}`);
      return;
    }
    await this.#add({ ...wanted, id: recorded.id, createdNs: recorded.createdNs });
  }

  async #add(network: NetworkRecord): Promise<void> {
    this.#networks.set(network.id, network);
    await this.#records.save(network);
  }

  async #forget(network: NetworkRecord): Promise<void> {
    this.#networks.delete(network.id);
    await this.#records.remove(network.id);
  }

  /** The default bridge's addresses: the recorded ones, so that they stay, or those of a link that is there. */
  #presentAddresses(recorded: NetworkRecord | undefined): string[] {
    const { config } = this.#deps;
    if (recorded !== undefined && recorded.bridge === defaultBridgeName(config)) {
      return bridgeAddresses(recorded).map(({ address, prefixLength }) => `${address}/${prefixLength}`);
    }
    using socket = new RouteSocket();
    const link = socket.link(defaultBridgeName(config));
    if (link === undefined && config.bridge !== '') throw invalid(`bridge device ${config.bridge} does not exist`);
    if (link === undefined) return [];
    return socket.addresses().filter(({ index, address }) => index === link.index && !address.startsWith('fe80:')).map(({ address, prefixLength }) => `${address}/${prefixLength}`);
  }

  #wantedBridge(network: NetworkRecord): WantedBridge {
    const { config } = this.#deps;
    return {
      name: network.bridge,
      alias: `${ALIAS}network ${network.id}`,
      mtu: bridgeOptions(network.options).mtu,
      addresses: bridgeAddresses(network),
      foreign: network.name === 'bridge' && config.bridge !== '' && config.bridge === network.bridge,
    };
  }

  #wantedPorts(): { name: string; bridge: string; isolated: boolean }[] {
    return [...this.#sandboxes.values()].flatMap(({ endpoints }) => endpoints).flatMap((endpoint) => {
      const network = this.#networks.get(endpoint.networkId);
      if (network === undefined || endpoint.hostLink === '') return endpoint.hostLink === '' ? [] : [{ name: endpoint.hostLink, bridge: '', isolated: false }];
      return [{ name: endpoint.hostLink, bridge: network.bridge, isolated: !bridgeOptions(network.options).icc && canIsolate() }];
    });
  }

  /** Forwarding. If it was off, other traffic is not to pass because of us. */
  #prepareHost(): void {
    const { config } = this.#deps;
    if (!config.ipForward) return;
    if (readSysctl('net.ipv4.ip_forward') === '0') {
      ensureSysctl('net.ipv4.ip_forward', '1');
      this.#dropOthers ||= config.iptables && !config.ipForwardNoDrop;
    }
    if (!this.#bridges().some(({ enableIpv6 }) => enableIpv6)) return;
    ensureSysctl('net.ipv6.conf.default.forwarding', '1');
    ensureSysctl('net.ipv6.conf.all.forwarding', '1');
  }

  #bridgeSysctls(network: NetworkRecord): void {
    const name = network.bridge.replaceAll('.', '/');
    if (this.#deps.config.iptables) ensureSysctl(`net.ipv4.conf.${name}.route_localnet`, '1');
    ensureSysctl(`net.ipv6.conf.${name}.accept_ra`, '0');
    // While its link-local address is tentative, a router solicits nobody: a container's first second would be lost.
    ensureSysctl(`net.ipv6.conf.${name}.accept_dad`, '0');
    if (network.enableIpv6) ensureSysctl(`net.ipv6.conf.${name}.disable_ipv6`, '0');
  }

  async #discard(network: NetworkRecord): Promise<void> {
    this.#networks.delete(network.id);
    await settleAll([this.settled(), this.#filter(), deleteLink(network.bridge)]);
  }
}

/**
 * Containers that must not reach each other sit on isolated bridge ports. Where the packet filter sees bridged packets
 * too (br_netfilter) it drops them itself, and translates to published ports within the bridge, which isolation would
 * forbid.
 */
const canIsolate = (): boolean => readSysctl('net.bridge.bridge-nf-call-iptables') !== '1';

/** What the host has routes to, except through one link; default routes count for nothing. */
function routedPrefixes(except = ''): Cidr[] {
  using socket = new RouteSocket();
  const exceptIndex = except === '' ? -1 : socket.link(except)?.index ?? -1;
  return socket.routes().flatMap((route) => {
    if (route.prefixLength === 0 || route.oif === exceptIndex || route.dst === '') return [];
    return parseCidr(`${route.dst}/${route.prefixLength}`)?.cidr ?? [];
  });
}

/** Waits for all, then throws the first failure. */
async function settleAll(promises: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(promises)).find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Docker's words around whatever keeps a container's network from coming up. */
function setupError(error: unknown): MooredError {
  const message = `failed to set up container networking: ${messageOf(error)}`;
  if (error instanceof MooredError) return new MooredError(error.kind === 'conflict' ? 'internal' : error.kind, message, { cause: error });
  return internal(message, error);
}

