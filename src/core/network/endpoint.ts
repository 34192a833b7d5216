/** One container's place on a network: its addresses, its names. */
import { parseAddress, parseCidr } from '../../base/cidr.ts';
import { invalid } from '../../base/errors.ts';
import type { EndpointRequest } from '../container/config.ts';
import type { EndpointRecord, IpamConfig, NetworkRecord } from '../ports/network.ts';
import { gatewayOf } from './bridge.ts';
import { chooseAddress, macOf } from './ipam.ts';

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

function addressOf(network: NetworkRecord, request: { family: 4 | 6; address: string; taken: readonly string[] }): { address: string; prefixLength: number; config: IpamConfig } | undefined {
  if (!network.ipam.config.some(({ subnet }) => parseCidr(subnet)?.cidr.family === request.family)) return undefined;
  if (request.address !== '' && parseAddress(request.address)?.family !== request.family) throw invalid(`invalid IPv${request.family} address: ${request.address}`);
  return chooseAddress({ network: { name: network.name, id: network.id, config: network.ipam.config }, ...request });
}

/** Without a v4 address to derive it from: out of the endpoint's id. */
const macFor = (ipv4: string | undefined, id: string): string =>
  ipv4 === undefined ? `02:42:${(id.slice(0, 8).match(/../g) ?? []).join(':')}` : macOf(ipv4);
