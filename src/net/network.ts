/**
 * Networks, endpoints and published ports (NetworkPort). What is taken is what the recorded networks and the live
 * sandboxes say; the kernel is brought to it by plans. Everything that decides is synchronous, so that no two requests
 * can be given the same address or port; what waits (the packet filter, links' removal) comes after the decision.
 */
import { forbidden, internal, invalid, messageOf, MooredError } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { ENDPOINT_LINK_NAME, bridgeAddresses, bridgeOptions, endpointSysctls, firewallNetwork, gatewayEndpoint, isLinkName, isPredefined } from '../core/network/bridge.ts';
import { refuseLent } from '../core/network/configNetworks.ts';
import { makeEndpoint } from '../core/network/endpoint.ts';
import type { FirewallPort, FirewallRequest } from '../core/network/firewall.ts';
import { ALIAS } from '../core/network/links.ts';
import type { WantedBridge, WantedPort } from '../core/network/links.ts';
import { directPorts, linkedPorts } from '../core/network/reachable.ts';
import { portRequests } from '../core/network/ports.ts';
import type { PortRequest } from '../core/network/ports.ts';
import type { EndpointRecord, LinkedPorts, NetworkPort, NetworkRecord, PortSocket, PortUse, Sandbox, SandboxRequest, SandboxUp, PublishedPort } from '../core/ports/network.ts';
import { Firewall } from './firewall.ts';
import { forwardingIsOurs, noteForwarding } from './forwarding.ts';
import { canIsolate, enableForwarding, setBridgeSysctls } from './host.ts';
import { HostPorts } from './hostPorts.ts';
import { attach, deleteLink, ensureBridge, freeLinkName, makeNamespace, missingLinks, reconcileLinks, removeNetns, setGateways } from './links.ts';
import type { Attachment } from './links.ts';
import { bindAgain, closeSockets, isHostPort, translationOf, useOf } from './publish.ts';
import type { Publication, PublishTarget } from './publish.ts';
import { NetworkTable } from './table.ts';
import type { NetworkDeps, NetworkRequest } from './table.ts';

export type { NetworkDeps };

type EndpointWish = SandboxRequest['endpoints'][number];
export class Network implements NetworkPort {
  readonly #deps: NetworkDeps;
  readonly #table: NetworkTable;
  readonly #firewall: Firewall;
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #ports: HostPorts;
  /** Containers on their way down: the packet filter is to forget them. */
  readonly #withdrawn = new Set<string>();
  readonly #removals = new Set<Promise<void>>();
  #pending: string[] = [];
  #dropOthers = false;

  constructor(deps: NetworkDeps) {
    this.#deps = deps;
    this.#table = new NetworkTable(deps);
    this.#ports = new HostPorts(deps.clock);
    this.#firewall = new Firewall(() => this.#firewallRequest(), deps.logger);
  }

  list(): NetworkRecord[] {
    return this.#table.list();
  }

  resolve(nameOrId: string): NetworkRecord {
    return this.#table.resolve(nameOrId);
  }

  async create(request: NetworkRequest): Promise<{ network: NetworkRecord; warning: string }> {
    const network = this.#table.define(request);
    try {
      if (network.driver === 'bridge') {
        const before = this.#dropOthers;
        this.#prepareHost();
        if (this.#dropOthers !== before) await this.#noteForwarding();
        ensureBridge(this.#wantedBridge(network));
        this.#bridgeSysctls(network);
        await this.#filter();
      }
      await failpoint('network.made');
      await this.#table.save(network);
      await failpoint('network.recorded');
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
    refuseLent(network, this.list());
    await this.#table.remove(network);
    await failpoint('network.removed');
    await this.#discard(network);
  }

  async up(request: SandboxRequest): Promise<SandboxUp> {
    const requests = portRequests({ bindings: request.portBindings, exposed: request.exposedPorts, publishAll: request.publishAllPorts });
    await this.down(request.containerId, { netnsPath: request.netnsPath, endpoints: [], ports: [] });
    await this.settled();
    const sandbox: Sandbox = { netnsPath: request.netnsPath, endpoints: [], ports: [], links: request.links };
    this.#sandboxes.set(request.containerId, sandbox);
    let publication: Publication = { ports: [], sockets: [] };
    try {
      for (const wish of request.endpoints) sandbox.endpoints.push(this.#newEndpoint(request.netnsPath, sandbox, wish));
      publication = await this.#publish(request.containerName, sandbox, requests);
      sandbox.ports = publication.ports;
      // The filter's program works while we make the links.
      const filtered = sandbox.ports.length > 0 || this.#isLinked(request.containerId) ? this.#filter() : Promise.resolve();
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
    const ports = known === undefined ? [] : portsOf(known);
    // Its ports stay taken until nothing leads to them.
    this.#withdrawn.add(containerId);
    try {
      removeNetns(sandbox.netnsPath);
      this.#removeLinks(endpoints);
      if (ports.length > 0 || this.#isLinked(containerId)) {
        await this.#filter();
        this.#firewall.forgetUdpFlows(this.#translations({ ...sandbox, endpoints, ports }));
      }
    } finally {
      this.#withdrawn.delete(containerId);
    }
    this.#ports.release(ports);
    this.#sandboxes.delete(containerId);
  }

  rebind(sandbox: Sandbox, ports: readonly PublishedPort[]): { sockets: PortSocket[]; lost: PublishedPort[] } {
    return bindAgain(ports, this.#target(sandbox.endpoints));
  }

  async republish(containerId: string, sandbox: Sandbox): Promise<void> {
    this.#sandboxes.set(containerId, sandbox);
    await this.#filter();
    this.#firewall.forgetUdpFlows(this.#translations({ ...sandbox, ports: portsOf(sandbox) }));
  }

  uses(sandbox: Sandbox): PortUse[] {
    const target = this.#target(sandbox.endpoints);
    return sandbox.ports.filter(isHostPort).map((port): PortUse => {
      const use = useOf(port, target);
      return use === 'reserve' ? { port, use } : { port, use: use.use, address: use.address, containerPort: use.port };
    });
  }

  async link(containerId: string, sandbox: Sandbox, links: LinkedPorts[]): Promise<Sandbox> {
    const after: Sandbox = { ...sandbox, links };
    this.#sandboxes.set(containerId, after);
    await this.#filter();
    return after;
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

  /** Begins what `restore` will wait for. */
  look(): void {
    const { config } = this.#deps;
    if (config.iptables || config.ip6tables) this.#firewall.look();
  }

  async restore(running: { containerId: string; sandbox: Sandbox }[]): Promise<void> {
    for (const { containerId, sandbox } of running) {
      this.#sandboxes.set(containerId, sandbox);
      this.#ports.hold(portsOf(sandbox));
    }
    const live = [...this.#sandboxes.values()].flatMap(({ endpoints }) => endpoints);
    this.#pending = await this.#table.load((id) => live.some(({ networkId }) => networkId === id));
    const { logger } = this.#deps;
    if (this.#table.bridges().length > 0) this.#prepareHost();
    const { steps, failures } = reconcileLinks({ bridges: this.#table.bridges().map((network) => this.#wantedBridge(network)), ports: this.#wantedPorts() });
    for (const step of steps) logger.info('link mended', { ...step });
    this.#pending.push(...failures);
    for (const network of this.#table.bridges()) this.#bridgeSysctls(network);
    this.#joinAgain(running);
    await this.#restoreFilter();
    await this.#noteForwarding();
  }

  async #noteForwarding(): Promise<void> {
    const { directory, logger } = this.#deps;
    try {
      if (forwardingIsOurs(directory) !== this.#dropOthers) await noteForwarding(directory, this.#dropOthers);
    } catch (error) {
      logger.warn('could not note who made the host forward packets', { error: messageOf(error) });
    }
  }

  /** Containers whose links somebody deleted get them again, with the addresses they had. */
  #joinAgain(running: readonly { containerId: string; sandbox: Sandbox }[]): void {
    const missing = missingLinks(running.flatMap(({ sandbox }) => sandbox.endpoints.map(({ hostLink }) => hostLink).filter((link) => link !== '')));
    if (missing.size === 0) return;
    for (const { containerId, sandbox } of running) {
      const lost = sandbox.endpoints.filter(({ hostLink, networkId }) => missing.has(hostLink) && this.#table.get(networkId) !== undefined);
      if (lost.length === 0) continue;
      try {
        attach(sandbox.netnsPath, containerId, this.#attachments(lost));
        this.#setGateways(sandbox);
        for (const { link, networkName } of lost) this.#deps.logger.warn('a link of a container was gone and was made again', { container: containerId, link, network: networkName });
      } catch (error) {
        this.#pending.push(`container ${containerId.slice(0, 12)} has lost its link to network ${lost.map(({ networkName }) => networkName).join(', ')}, which could not be made again: ${messageOf(error)}`);
      }
    }
  }

  pending(): string[] {
    return [...this.#pending];
  }

  [Symbol.dispose](): void {
    this.#firewall[Symbol.dispose]();
  }

  /** A filter that cannot be set keeps nobody from managing what runs: it is said, and tried again with the next change. */
  async #restoreFilter(): Promise<void> {
    const { config } = this.#deps;
    if (!config.iptables && !config.ip6tables) return;
    try {
      this.#dropOthers ||= !config.ipForwardNoDrop && await this.#forwardedByUs();
      await this.#firewall.reconcile();
      void this.#findHindrances();
    } catch (error) {
      this.#pending.push(`the packet filter could not be set: ${messageOf(error)}`);
    }
  }

  async #forwardedByUs(): Promise<boolean> {
    const ours = forwardingIsOurs(this.#deps.directory);
    return ours === 'unknown' ? await this.#firewall.dropsOthers() : ours;
  }

  /** Behind the restore: they are for people to read. */
  async #findHindrances(): Promise<void> {
    const found = await this.#firewall.hindrances();
    for (const line of found) this.#deps.logger.warn(line);
    this.#pending.push(...found);
  }

  #filter(): Promise<void> {
    const { config } = this.#deps;
    return config.iptables || config.ip6tables ? this.#firewall.sync() : Promise.resolve();
  }

  #firewallRequest(): FirewallRequest {
    const { iptables: v4, ip6tables: v6 } = this.#deps.config;
    // Containers may run on one that a newer release recorded.
    const records = [...this.#table.bridges(), ...this.#table.newer().flatMap(({ known }) => known ?? [])];
    const networks = new Map(records.map((network) => [network.id, firewallNetwork(network, { v4, v6, direct: this.#deps.config.allowDirectRouting })]));
    const up = new Map([...this.#sandboxes].filter(([id]) => !this.#withdrawn.has(id)));
    return {
      networks: [...networks.values()],
      ports: [...up.values()].flatMap((sandbox) => this.#translations(sandbox)),
      direct: [...up.values()].flatMap((sandbox) => directPorts(sandbox, networks)),
      links: [...up.values()].flatMap((sandbox) => linkedPorts(sandbox, up, networks)),
      dropOthers: this.#dropOthers,
    };
  }

  #translations(sandbox: Sandbox): FirewallPort[] {
    const target = this.#target(sandbox.endpoints);
    return sandbox.ports.flatMap((port) => translationOf(port, target) ?? []);
  }

  /** Whether a container links to others, or others to it. */
  #isLinked(containerId: string): boolean {
    const links = this.#sandboxes.get(containerId)?.links ?? [];
    return links.length > 0 || [...this.#sandboxes.values()].some((other) => other.links?.some((link) => link.containerId === containerId) === true);
  }

  #isRouted(endpoint: EndpointRecord | undefined, family: 4 | 6): boolean {
    const network = endpoint === undefined ? undefined : this.#table.get(endpoint.networkId);
    return network !== undefined && bridgeOptions(network.options)[`mode${family}`] === 'routed';
  }

  #target(endpoints: readonly EndpointRecord[]): PublishTarget {
    const { config } = this.#deps;
    const [v4, v6] = [gatewayEndpoint(endpoints, 4), gatewayEndpoint(endpoints, 6)];
    return {
      ipv4: v4?.ipv4 ?? '',
      ipv6: v6?.ipv6 ?? '',
      routed4: this.#isRouted(v4, 4),
      routed6: this.#isRouted(v6, 6),
      translate4: config.iptables,
      translate6: config.ip6tables,
      relay: config.userlandProxy,
    };
  }

  #newEndpoint(netnsPath: string, sandbox: Sandbox, wish: EndpointWish): EndpointRecord {
    const network = this.resolve(wish.networkId);
    if (network.configOnly === true) throw forbidden('cannot create endpoint on configuration-only network');
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

  async #publish(containerName: string, sandbox: Sandbox, requests: readonly PortRequest[]): Promise<Publication> {
    const endpoint = gatewayEndpoint(sandbox.endpoints, 4) ?? gatewayEndpoint(sandbox.endpoints, 6);
    if (endpoint === undefined || requests.length === 0) return { ports: [], sockets: [] };
    const { hostBinding } = bridgeOptions(this.resolve(endpoint.networkId).options);
    try {
      return await this.#ports.take(requests, { target: this.#target(sandbox.endpoints), defaultHostIp: hostBinding === '0.0.0.0' ? '' : hostBinding });
    } catch (error) {
      throw internal(`driver failed programming external connectivity on endpoint ${containerName} (${endpoint.id}): ${messageOf(error)}`, error);
    }
  }

  #attachments(endpoints: readonly EndpointRecord[]): Attachment[] {
    return endpoints.filter(({ hostLink }) => hostLink !== '').map((endpoint) => {
      const network = this.resolve(endpoint.networkId);
      const { icc, mtu } = bridgeOptions(network.options);
      return { endpoint, bridge: network.bridge, mtu: mtu === 0 ? 1500 : mtu, isolated: !icc && canIsolate(), sysctls: endpointSysctls(endpoint.request.driverOpts) };
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

  #wantedPorts(): WantedPort[] {
    // The bridge of a network that a newer release recorded is claimed likewise.
    const newer = this.#table.newer().map(({ bridge }): WantedPort => ({ name: bridge }));
    const places = new Map(this.#table.list().map((network) => [network.id, { bridge: network.bridge, isolated: !bridgeOptions(network.options).icc && canIsolate() }]));
    return newer.concat([...this.#sandboxes.values()].flatMap(({ endpoints }) => endpoints).filter(({ hostLink }) => hostLink !== '').map(({ hostLink, networkId }): WantedPort => {
      const place = places.get(networkId);
      // Its network's record is lost: the link is claimed, and left as it is.
      return { name: hostLink, ...(place === undefined ? {} : { place }) };
    }));
  }

  /** Forwarding. If it was off, other traffic is not to pass because of us. */
  #prepareHost(): void {
    const { config } = this.#deps;
    if (!config.ipForward) return;
    const wasOff = enableForwarding({ v6: this.#table.bridges().some(({ enableIpv6 }) => enableIpv6) });
    if (wasOff) this.#dropOthers ||= config.iptables && !config.ipForwardNoDrop;
  }

  #bridgeSysctls(network: NetworkRecord): void {
    const apart = !bridgeOptions(network.options).icc && this.#deps.config.iptables && canIsolate();
    setBridgeSysctls(network.bridge, { loopbackPorts: this.#deps.config.iptables, v6: network.enableIpv6, apart });
  }

  async #discard(network: NetworkRecord): Promise<void> {
    this.#table.drop(network);
    if (network.bridge === '') return;
    await settleAll([this.settled(), this.#filter(), deleteLink(network.bridge)]);
  }
}

/** Also those that are lost are its own: no other container is to take them. */
const portsOf = ({ ports, lost }: Sandbox): PublishedPort[] => [...ports, ...(lost ?? [])];

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

