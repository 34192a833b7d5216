/** The networks there are: recorded, looked up, defined. What they are in the kernel is not its concern. */
import type { Cidr } from '../base/cidr.ts';
import type { Clock } from '../base/clock.ts';
import { conflict, forbidden, invalid, messageOf, notFound } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { OPTION, bridgeAddresses, bridgeNameOf, checkBridge, isLinkName } from '../core/network/bridge.ts';
import { DEFAULT_ADDRESS_POOLS } from '../core/network/config.ts';
import type { AddressPool, NetConfig } from '../core/network/config.ts';
import { withBorrowed } from '../core/network/configNetworks.ts';
import { checkIpam, resolveIpam, subnetOf, ulaPool } from '../core/network/ipam.ts';
import { defaultBridge, defaultBridgeName, differences, emptyNetwork } from '../core/network/predefined.ts';
import type { NetworkPort, NetworkRecord } from '../core/ports/network.ts';
import { linkAddresses, routedPrefixes } from './host.ts';
import { NetworkRecords } from './records.ts';
import type { NewerNetwork } from './records.ts';

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

export type NetworkRequest = Parameters<NetworkPort['create']>[0];

export class NetworkTable {
  readonly #deps: NetworkDeps;
  readonly #records: NetworkRecords;
  readonly #networks = new Map<string, NetworkRecord>();
  /** Of a newer release: their names and bridges are taken, and nothing of them is used or changed. */
  #newer: readonly NewerNetwork[] = [];

  constructor(deps: NetworkDeps) {
    this.#deps = deps;
    this.#records = new NetworkRecords(deps.directory, deps.logger);
  }

  list(): NetworkRecord[] {
    return [...this.#networks.values()];
  }

  bridges(): NetworkRecord[] {
    return this.list().filter(({ driver }) => driver === 'bridge');
  }

  get(id: string): NetworkRecord | undefined {
    return this.#networks.get(id);
  }

  /** Of networks with a bridge that a newer release recorded: what has to be left in peace. */
  newer(): NewerNetwork[] {
    return this.#newer.filter(({ bridge }) => bridge !== '');
  }

  /** By full id, name, or a prefix of an id that fits one only. */
  resolve(nameOrId: string): NetworkRecord {
    const exact = this.#networks.get(nameOrId);
    if (exact !== undefined) return exact;
    const named = this.list().filter(({ name }) => name === nameOrId);
    if (named.length > 1) throw invalid(`network ${nameOrId} is ambiguous (${named.length} matches found on name)`);
    const found = named.length > 0 || nameOrId === '' ? named : this.list().filter(({ id }) => id.startsWith(nameOrId));
    if (found.length > 1) throw invalid(`network ${nameOrId} is ambiguous (${found.length} matches found based on ID prefix)`);
    const [network] = found;
    const newer = this.#newer.find(({ id, name }) => name === nameOrId || (nameOrId !== '' && id.startsWith(nameOrId)));
    if (network === undefined && newer !== undefined) throw conflict(newer.problem);
    if (network === undefined) throw notFound(`network ${nameOrId} not found`);
    return network;
  }

  /** Checks a request and completes it. From here on its name and subnets are taken; not recorded yet. */
  define(request: NetworkRequest): NetworkRecord {
    const { bridgeName, ...wanted } = withBorrowed(request, this.list());
    if (wanted.driver !== 'bridge' && wanted.configOnly !== true) throw forbidden(`only one instance of "${wanted.driver}" network is allowed`);
    if (this.list().some(({ name }) => name === wanted.name)) throw conflict(`network with name ${wanted.name} already exists`);
    const newer = this.#newer.find(({ name }) => name === wanted.name);
    if (newer !== undefined) throw conflict(`network with name ${wanted.name} already exists: ${newer.problem}`);
    if (!wanted.enableIpv4 && !wanted.enableIpv6) throw invalid('IPv4 or IPv6 must be enabled');
    const options = { ...this.#deps.config.defaultNetworkOptions['bridge'], ...wanted.options };
    checkBridge({ ...wanted, options });
    if (wanted.configOnly === true) return this.#lender(wanted);
    const id = this.#deps.newId();
    const bridge = this.#bridgeName(id, bridgeName ?? options[OPTION.name] ?? '');
    const config = resolveIpam({ ...wanted, config: wanted.ipam.config, pools: this.#pools(), taken: this.#subnets(), routed: () => routedPrefixes() });
    const given = new Set(wanted.ipam.config.map(({ subnet }) => subnet));
    const network: NetworkRecord = {
      ...wanted,
      schema: 1,
      id,
      createdNs: this.#deps.clock.nowNs(),
      scope: 'local',
      options,
      bridge,
      ipam: { ...wanted.ipam, config },
      // A subnet that was given stands in its canonical form already, or was refused.
      pooledSubnets: config.map(({ subnet }) => subnet).filter((subnet) => !given.has(subnet)),
    };
    this.#networks.set(id, network);
    return network;
  }

  /** What it lends is kept as it was given: subnets are taken by those who borrow it. */
  #lender(wanted: Omit<NetworkRequest, 'bridgeName'>): NetworkRecord {
    checkIpam(wanted.ipam.config);
    const network: NetworkRecord = { ...wanted, schema: 1, id: this.#deps.newId(), createdNs: this.#deps.clock.nowNs(), scope: 'local', bridge: '' };
    this.#networks.set(network.id, network);
    return network;
  }

  #bridgeName(id: string, given: string): string {
    const bridge = given === '' ? bridgeNameOf(id) : given;
    if (!isLinkName(bridge)) throw invalid(`invalid bridge name "${bridge}"`);
    const holder = this.bridges().find((network) => network.bridge === bridge);
    const newer = this.#newer.find((network) => network.bridge === bridge);
    if (newer !== undefined) throw forbidden(`cannot create network ${id} (${bridge}): ${newer.problem}`);
    if (holder !== undefined) throw forbidden(`cannot create network ${id} (${bridge}): conflicts with network ${holder.id} (${bridge}): networks have same bridge name`);
    return bridge;
  }

  async save(network: NetworkRecord): Promise<void> {
    this.#networks.set(network.id, network);
    await this.#records.save(network);
  }

  /** Forgets a network; if its record cannot be removed it stays. */
  async remove(network: NetworkRecord): Promise<void> {
    this.drop(network);
    try {
      await this.#records.remove(network.id);
    } catch (error) {
      this.#networks.set(network.id, network);
      throw error;
    }
  }

  /** Takes back what `define` took. */
  drop(network: NetworkRecord): void {
    this.#networks.delete(network.id);
  }

  /** Reads the records, and makes the predefined networks what the options want. Gives what has to wait, one line each. */
  async load(isUsed: (networkId: string) => boolean): Promise<string[]> {
    const { networks, newer } = await this.#records.load();
    for (const network of networks) this.#networks.set(network.id, network);
    this.#newer = newer;
    const { clock, newId } = this.#deps;
    const known = new Set([...networks, ...newer].map(({ name }) => name));
    for (const name of ['host', 'none'] as const) {
      if (!known.has(name)) await this.save(emptyNetwork(name, { newId, nowNs: clock.nowNs() }));
    }
    const problems = newer.map(({ problem }) => problem);
    return newer.some(({ name }) => name === 'bridge') ? problems : [...problems, ...(await this.#loadDefault(isUsed))];
  }

  async #loadDefault(isUsed: (networkId: string) => boolean): Promise<string[]> {
    const recorded = this.list().find(({ name }) => name === 'bridge');
    const used = recorded !== undefined && isUsed(recorded.id);
    if (this.#deps.config.bridge === 'none') {
      if (used) return ['the default network is removed when no running container uses it any more (bridge: none)'];
      if (recorded !== undefined) await this.remove(recorded);
      return [];
    }
    let wanted: NetworkRecord;
    try {
      wanted = this.#wantedDefault(recorded);
    } catch (error) {
      // Containers that run on it are worth more than options that cannot be met.
      if (!used) throw error;
      return [`options of the default network cannot be met: ${messageOf(error)}`];
    }
    const changed = recorded === undefined ? [] : differences(recorded, wanted);
    if (recorded === undefined) await this.save(wanted);
    if (recorded === undefined || changed.length === 0) return [];
    if (used) return [`options of the default network wait until no running container uses it: ${changed.join(', ')}`];
    await this.save({ ...wanted, id: recorded.id, createdNs: recorded.createdNs });
    return [];
  }

  #wantedDefault(recorded: NetworkRecord | undefined): NetworkRecord {
    const { config, clock, newId } = this.#deps;
    return defaultBridge({
      config,
      pools: this.#pools(),
      taken: this.#subnets(recorded),
      routed: () => routedPrefixes(defaultBridgeName(config)),
      present: this.#presentAddresses(recorded),
      newId,
      nowNs: clock.nowNs(),
    });
  }

  /** The default bridge's addresses: the recorded ones, so that they stay, or those of a link that is there. */
  #presentAddresses(recorded: NetworkRecord | undefined): string[] {
    const { config } = this.#deps;
    if (recorded !== undefined && recorded.bridge === defaultBridgeName(config)) {
      return bridgeAddresses(recorded).map(({ address, prefixLength }) => `${address}/${prefixLength}`);
    }
    const present = linkAddresses(defaultBridgeName(config));
    if (present === undefined && config.bridge !== '') throw invalid(`bridge device ${config.bridge} does not exist`);
    return present ?? [];
  }

  #pools(): AddressPool[] {
    const given = this.#deps.config.defaultAddressPools;
    const hasV6 = given.some(({ base }) => base.includes(':'));
    const v4 = given.some(({ base }) => !base.includes(':')) ? [] : DEFAULT_ADDRESS_POOLS;
    return [...given, ...v4, ...(hasV6 ? [] : [ulaPool(this.#deps.ulaBits)])];
  }

  #subnets(except?: NetworkRecord): Cidr[] {
    return this.list().filter((network) => network !== except && network.configOnly !== true).flatMap(({ ipam }) => ipam.config.map(subnetOf));
  }
}
