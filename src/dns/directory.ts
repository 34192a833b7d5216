/** Who is called what, seen from each container: pure tables, kept up to date record by record. */
import { formatAddress, parseAddress } from '../base/cidr.ts';
import type { NamedEndpoint, SandboxNames } from '../core/ports/names.ts';

export interface Addresses {
  readonly ipv4: readonly string[];
  readonly ipv6: readonly string[];
}

interface Place {
  readonly id: string;
  readonly endpoint: NamedEndpoint;
}

type Index = Map<string, Set<Place>>;

interface NetworkIndex {
  name: string;
  readonly names: Index;
  readonly addresses: Index;
}

const canonical = (address: string): string => {
  const parsed = parseAddress(address);
  return parsed === undefined ? '' : formatAddress(parsed);
};

export class Directory {
  readonly #records = new Map<string, SandboxNames>();
  readonly #networks = new Map<string, NetworkIndex>();
  readonly #isAlive: (record: SandboxNames) => boolean;
  #turn = 0;

  /** `isAlive` is asked at each answer: the names of what does not run do not count. */
  constructor(isAlive: (record: SandboxNames) => boolean) {
    this.#isAlive = isAlive;
  }

  get(id: string): SandboxNames | undefined {
    return this.#records.get(id);
  }

  ids(): string[] {
    return [...this.#records.keys()];
  }

  set(record: SandboxNames): void {
    this.delete(record.id);
    this.#records.set(record.id, record);
    for (const endpoint of record.endpoints) this.#index({ id: record.id, endpoint });
  }

  delete(id: string): void {
    const record = this.#records.get(id);
    if (record === undefined) return;
    this.#records.delete(id);
    for (const { networkId } of record.endpoints) {
      const network = this.#networks.get(networkId);
      if (network === undefined) continue;
      for (const index of [network.names, network.addresses]) dropFrom(index, id);
      if (network.names.size === 0 && network.addresses.size === 0) this.#networks.delete(networkId);
    }
  }

  /**
   * Addresses of a name for a container: its networks are asked in their order, and the first that knows the name
   * counts. `name.network` means that network only. Undefined: no container has the name.
   */
  lookup(clientId: string, name: string): Addresses | undefined {
    for (const endpoint of this.#records.get(clientId)?.endpoints ?? []) {
      const network = this.#networks.get(endpoint.networkId);
      if (network === undefined) continue;
      const suffix = `.${network.name.toLowerCase()}`;
      const found = this.#named(network, endpoint, name) ?? (name.endsWith(suffix) ? this.#named(network, endpoint, name.slice(0, -suffix.length)) : undefined);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** `name.network` of the container that has an address on one of the client's networks. */
  reverse(clientId: string, address: string): string | undefined {
    for (const { networkId } of this.#records.get(clientId)?.endpoints ?? []) {
      const network = this.#networks.get(networkId);
      for (const { id, endpoint } of network?.addresses.get(canonical(address)) ?? []) {
        const [name] = endpoint.names;
        if (network !== undefined && name !== undefined && this.#alive(id)) return `${name}.${network.name}`;
      }
    }
    return undefined;
  }

  #named(network: NetworkIndex, client: NamedEndpoint, name: string): Addresses | undefined {
    const target = Object.entries(client.links).find(([alias]) => alias.toLowerCase() === name)?.[1].toLowerCase() ?? name;
    const places = [...(network.names.get(target) ?? [])].filter(({ id }) => this.#alive(id));
    if (places.length === 0) return undefined;
    this.#turn = (this.#turn + 1) % 0xffff;
    const first = this.#turn % places.length;
    const turned = [...places.slice(first), ...places.slice(0, first)];
    const present = (addresses: string[]): string[] => addresses.filter((address) => address !== '');
    return { ipv4: present(turned.map(({ endpoint }) => endpoint.ipv4)), ipv6: present(turned.map(({ endpoint }) => endpoint.ipv6)) };
  }

  #alive(id: string): boolean {
    const record = this.#records.get(id);
    return record !== undefined && this.#isAlive(record);
  }

  #index(place: Place): void {
    const { networkId, networkName, names, ipv4, ipv6 } = place.endpoint;
    let network = this.#networks.get(networkId);
    if (network === undefined) {
      network = { name: networkName, names: new Map(), addresses: new Map() };
      this.#networks.set(networkId, network);
    }
    for (const name of names) addTo(network.names, name.toLowerCase(), place);
    for (const address of [canonical(ipv4), canonical(ipv6)]) if (address !== '') addTo(network.addresses, address, place);
  }
}

function addTo(index: Index, key: string, place: Place): void {
  const places = index.get(key);
  if (places === undefined) index.set(key, new Set([place]));
  else places.add(place);
}

function dropFrom(index: Index, id: string): void {
  for (const [key, places] of index) {
    for (const place of places) if (place.id === id) places.delete(place);
    if (places.size === 0) index.delete(key);
  }
}
