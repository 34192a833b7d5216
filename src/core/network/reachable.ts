/** Which ports of running containers are reached at their own addresses, and by whom, by the addresses of the moment. */
import { parsePort, parsePortKey } from '../container/portSpec.ts';
import type { Sandbox } from '../ports/network.ts';
import { gatewayEndpoint } from './bridge.ts';
import type { ContainerPort, FirewallLink, FirewallNetwork } from './firewall.ts';

/** Legacy links are the default network's. */
const LINKED_NETWORK = 'bridge';

/** By networks' ids. */
type Networks = ReadonlyMap<string, FirewallNetwork>;

/**
 * The links of one container. One that is down is linked to by nobody, so that whoever has its address next is not
 * reached. Where containers reach each other there is nothing to allow.
 */
export function linkedPorts({ endpoints, links = [] }: Sandbox, up: ReadonlyMap<string, Sandbox>, networks: Networks): FirewallLink[] {
  const own = endpoints.find(({ networkName }) => networkName === LINKED_NETWORK);
  if (own === undefined || own.ipv4 === '' || networks.get(own.networkId)?.icc !== false) return [];
  return links.flatMap(({ containerId, ports }) => {
    const address = up.get(containerId)?.endpoints.find(({ networkId }) => networkId === own.networkId)?.ipv4 ?? '';
    return address === '' ? [] : ports.flatMap(portsOf).map(({ port, proto }) => ({ from: own.ipv4, address, proto, port }));
  });
}

/** `80/tcp`, `8000-8010/tcp`. */
function portsOf(text: string): Pick<ContainerPort, 'port' | 'proto'>[] {
  const { first, last } = parsePort(text);
  const { proto } = parsePortKey(text.replace(/^[^/]*/, String(first)));
  return Array.from({ length: last - first + 1 }, (_, n) => ({ proto, port: first + n }));
}

/** The published ports of one container, where its networks let anybody have them without translation. */
export function directPorts({ endpoints, ports }: Sandbox, networks: Networks): ContainerPort[] {
  return ([4, 6] as const).flatMap((family) => {
    const endpoint = gatewayEndpoint(endpoints, family);
    const network = networks.get(endpoint?.networkId ?? '');
    if (endpoint === undefined || network === undefined) return [];
    if (network[`reach${family}`] === 'translated' && network.trusted.length === 0) return [];
    const address = endpoint[`ipv${family}`];
    const published = ports.filter(({ hostIp }) => hostIp.includes(':') === (family === 6));
    // One port may be published at several addresses of the host.
    return [...new Map(published.map(({ proto, containerPort }) => [`${proto}/${containerPort}`, { proto, address, port: containerPort }])).values()];
  });
}
