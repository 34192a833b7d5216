/** One container's place on a network: its addresses, its names. */
import { containsAddress, parseAddress, parseCidr } from '../../base/cidr.ts';
import { invalid } from '../../base/errors.ts';
import type { EndpointRequest } from '../container/config.ts';
import type { EndpointRecord, IpamConfig, NetworkRecord } from '../ports/network.ts';
import { gatewayOf, isPredefined } from './bridge.ts';
import { chooseAddress, macOf, prefixOf } from './ipam.ts';

export interface EndpointWish {
  readonly id: string;
  readonly network: NetworkRecord;
  readonly wish: { readonly request: EndpointRequest; readonly dnsNames: string[] };
  /** Addresses of the network's other containers. */
  readonly taken: readonly string[];
  /** Empty for networks without links. */
  readonly link: string;
  readonly hostLink: string;
}

const MAC = /^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/;

/** Chooses what the request leaves open; throws in Docker's words if what it wants is not to be had. */
export function makeEndpoint({ id, network, wish, taken, link, hostLink }: EndpointWish): EndpointRecord {
  const { request, dnsNames } = wish;
  const place = { id, networkId: network.id, networkName: network.name, request, link, hostLink, dnsNames };
  if (network.driver !== 'bridge') {
    return { ...place, macAddress: '', ipv4: '', ipv4PrefixLength: 0, gateway4: '', ipv6: '', ipv6PrefixLength: 0, gateway6: '' };
  }
  const mac = request.macAddress.toLowerCase().replaceAll('-', ':');
  if (mac !== '' && !MAC.test(mac)) throw invalid(`invalid MAC address ${request.macAddress}`);
  const v4 = network.enableIpv4 ? addressOf(network, { family: 4, address: request.ipv4Address, taken }) : undefined;
  const v6 = network.enableIpv6 ? addressOf(network, { family: 6, address: request.ipv6Address, taken }) : undefined;
  return {
    ...place,
    macAddress: mac === '' ? macFor(v4?.address, id) : mac,
    ipv4: v4?.address ?? '',
    ipv4PrefixLength: v4?.prefixLength ?? 0,
    gateway4: v4 === undefined ? '' : gatewayOf(network, v4.config),
    ipv6: v6?.address ?? '',
    ipv6PrefixLength: v6?.prefixLength ?? 0,
    gateway6: v6 === undefined ? '' : gatewayOf(network, v6.config),
  };
}

interface AddressWish {
  readonly family: 4 | 6;
  readonly address: string;
  readonly taken: readonly string[];
}

function addressOf(network: NetworkRecord, wish: AddressWish): { address: string; prefixLength: number; config: IpamConfig } | undefined {
  const subnets = network.ipam.config.filter(({ subnet }) => parseCidr(subnet)?.cidr.family === wish.family);
  if (wish.address !== '') checkStatic(network, wish, subnets);
  if (subnets.length === 0) return undefined;
  return chooseAddress({ network: { name: network.name, id: network.id, config: subnets }, ...wish });
}

/** Docker's rules for `--ip`, and its words (moby `validateEndpointSettings`, `EndpointIPAMConfig`). */
function checkStatic(network: NetworkRecord, { family, address }: AddressWish, subnets: readonly IpamConfig[]): void {
  const refuse = (why: string): Error => invalid(`invalid config for network ${network.name}: invalid endpoint settings:\n${why}`);
  const parsed = parseAddress(address);
  if (parsed?.family !== family || parsed.value === 0n) throw refuse(`invalid IPv${family} address: ${address}`);
  if (isPredefined(network.name)) throw refuse('user specified IP address is supported on user defined networks only');
  const given = subnets.map(({ subnet }) => subnet).filter((subnet) => network.pooledSubnets?.includes(subnet) !== true);
  if (given.length === 0) throw refuse('user specified IP address is supported only when connecting to networks with user configured subnets');
  if (!given.some((subnet) => containsAddress(prefixOf(subnet), parsed))) throw refuse(`no configured subnet or ip-range contain the IP address ${address}`);
}

/** Without a v4 address to derive it from: out of the endpoint's id. */
const macFor = (ipv4: string | undefined, id: string): string =>
  ipv4 === undefined ? `02:42:${(id.slice(0, 8).match(/../g) ?? []).join(':')}` : macOf(ipv4);
