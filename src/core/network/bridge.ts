/** What the records of bridge networks and endpoints mean: options, gateways, which endpoint leads out. */
import { formatAddress, parseAddress } from '../../base/cidr.ts';
import { invalid } from '../../base/errors.ts';
import type { EndpointRecord, IpamConfig, NetworkRecord } from '../ports/network.ts';
import type { FirewallNetwork } from './firewall.ts';
import { subnetOf } from './ipam.ts';

const PREFIX = 'com.docker.network.bridge.';

/** Names of the options that a bridge network understands. */
export const OPTION = {
  name: `${PREFIX}name`,
  masquerade: `${PREFIX}enable_ip_masquerade`,
  icc: `${PREFIX}enable_icc`,
  hostBinding: `${PREFIX}host_binding_ipv4`,
  defaultBridge: `${PREFIX}default_bridge`,
  inhibitIpv4: `${PREFIX}inhibit_ipv4`,
  gatewayMode4: `${PREFIX}gateway_mode_ipv4`,
  gatewayMode6: `${PREFIX}gateway_mode_ipv6`,
  trusted: `${PREFIX}trusted_host_interfaces`,
  mtu: 'com.docker.network.driver.mtu',
  source4: 'com.docker.network.host_ipv4',
  source6: 'com.docker.network.host_ipv6',
  linkPrefix: 'com.docker.network.container_iface_prefix',
} as const;

/** Of an endpoint: the link's name inside the container. */
export const ENDPOINT_LINK_NAME = 'com.docker.network.endpoint.ifname';
/** Of an endpoint: sysctls of its link, `net.ipv4.conf.IFNAME.log_martians=1,…`. */
const ENDPOINT_SYSCTLS = 'com.docker.network.endpoint.sysctls';

/** The sysctls that an endpoint's options ask for; only those of its own link are allowed. */
export function endpointSysctls(driverOpts: Readonly<Record<string, string>>): string[] {
  const sysctls = (driverOpts[ENDPOINT_SYSCTLS] ?? '').split(',').filter((each) => each !== '');
  for (const sysctl of sysctls) {
    if (!/^net\.\w+\.\w+\.IFNAME\.\w+=[^=]*$/.test(sysctl)) {
      throw invalid(`unrecognised network interface sysctl '${sysctl}'; represent 'net.X.Y.ethN.Z=V' as 'net.X.Y.IFNAME.Z=V'`);
    }
  }
  return sysctls;
}

/** Auxiliary address under which Docker records `--default-gateway`. */
export const DEFAULT_GATEWAY_AUX = { 4: 'DefaultGatewayIPv4', 6: 'DefaultGatewayIPv6' } as const;

/**
 * How containers are reached from outside (Docker 28): `nat`: by published ports of the host; `nat-unprotected`: all their
 * own ports too; `routed`: their published ports, at their own addresses, without translation; `isolated`: not at all, the
 * host has no address on the network (internal ones only).
 */
export type GatewayMode = 'nat' | 'nat-unprotected' | 'routed' | 'isolated';
const GATEWAY_MODES: readonly string[] = ['nat', 'nat-unprotected', 'routed', 'isolated'] satisfies GatewayMode[];

export interface BridgeOptions {
  readonly masquerade: boolean;
  readonly icc: boolean;
  /** Where ports are published that name no address; empty: everywhere. */
  readonly hostBinding: string;
  readonly inhibitIpv4: boolean;
  readonly mtu: number;
  readonly source4: string;
  readonly source6: string;
  readonly linkPrefix: string;
  readonly mode4: GatewayMode;
  readonly mode6: GatewayMode;
  /** Links of the host from which published ports are reached at the containers' own addresses. */
  readonly trusted: readonly string[];
}

const LINK_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$/;
export const isLinkName = (name: string): boolean => LINK_NAME.test(name) && name !== '.' && name !== '..';

/** The options of a bridge network; invalid if a value cannot be understood. */
export function bridgeOptions(options: Readonly<Record<string, string>>): BridgeOptions {
  const name = options[OPTION.name];
  if (name !== undefined && name !== '' && !isLinkName(name)) throw invalid(`invalid bridge name "${name}"`);
  const linkPrefix = options[OPTION.linkPrefix] ?? 'eth';
  if (!isLinkName(linkPrefix) || linkPrefix.length > 12) throw invalid(`invalid interface prefix "${linkPrefix}"`);
  const mtuText = options[OPTION.mtu] ?? '0';
  const mtu = /^\d{1,5}$/.test(mtuText) ? Number(mtuText) : Number.NaN;
  if (Number.isNaN(mtu) || mtu > 65535 || (mtu > 0 && mtu < 68)) throw invalid(`invalid MTU number: ${mtuText}`);
  return {
    masquerade: flag(options, OPTION.masquerade, true),
    icc: flag(options, OPTION.icc, true),
    hostBinding: address(options, OPTION.hostBinding, 4),
    inhibitIpv4: flag(options, OPTION.inhibitIpv4, false),
    mtu,
    source4: address(options, OPTION.source4, 4),
    source6: address(options, OPTION.source6, 6),
    linkPrefix,
    mode4: gatewayMode(options, OPTION.gatewayMode4),
    mode6: gatewayMode(options, OPTION.gatewayMode6),
    trusted: trustedLinks(options[OPTION.trusted] ?? ''),
  };
}

function flag(options: Readonly<Record<string, string>>, name: string, byDefault: boolean): boolean {
  const value = options[name];
  if (value === undefined || value === '') return byDefault;
  if (/^(1|t|T|true|TRUE|True)$/.test(value)) return true;
  if (/^(0|f|F|false|FALSE|False)$/.test(value)) return false;
  throw invalid(`strconv.ParseBool: parsing "${value}": invalid syntax`);
}

function address(options: Readonly<Record<string, string>>, name: string, family: 4 | 6): string {
  const value = options[name] ?? '';
  if (value === '') return '';
  const parsed = parseAddress(value);
  if (parsed?.family !== family) throw invalid(`${name}: invalid ip ${value}`);
  return formatAddress(parsed);
}

function gatewayMode(options: Readonly<Record<string, string>>, name: string): GatewayMode {
  const mode = options[name] ?? '';
  if (mode === '') return 'nat';
  if (!GATEWAY_MODES.includes(mode)) throw invalid(`unknown gateway mode ${mode}`);
  return mode as GatewayMode;
}

/** `eth1:vxlan.1`. */
function trustedLinks(text: string): string[] {
  const names = text.split(':').filter((name) => name !== '');
  const wrong = names.find((name) => !isLinkName(name));
  if (wrong !== undefined) throw invalid(`${OPTION.trusted}: invalid interface name "${wrong}"`);
  return names;
}

/** What only the network as a whole can tell of its options. */
export function checkBridge(network: Pick<NetworkRecord, 'options' | 'internal'>): void {
  const { mode4, mode6 } = bridgeOptions(network.options);
  if ([mode4, mode6].includes('isolated') && !network.internal) throw invalid('gateway mode \'isolated\' can only be used for an internal network');
}

export const isPredefined = (name: string): boolean => name === 'bridge' || name === 'host' || name === 'none';

/** Docker's name of a user-defined network's bridge. */
export const bridgeNameOf = (id: string): string => `br-${id.slice(0, 12)}`;

const familyOf = (entry: IpamConfig): 4 | 6 => subnetOf(entry).family;

/** Addresses that the bridge itself has, with prefix lengths. */
export function bridgeAddresses(network: NetworkRecord): { address: string; prefixLength: number }[] {
  const { inhibitIpv4, mode4, mode6 } = bridgeOptions(network.options);
  const without = { 4: inhibitIpv4 || mode4 === 'isolated', 6: mode6 === 'isolated' };
  return network.ipam.config
    .filter((entry) => entry.gateway !== '' && !without[familyOf(entry)])
    .map((entry) => ({ address: entry.gateway, prefixLength: subnetOf(entry).length }));
}

/** The gateway that containers on a network use for one family. */
export function gatewayOf(network: NetworkRecord, entry: IpamConfig): string {
  if (network.internal) return '';
  return entry.auxAddresses[DEFAULT_GATEWAY_AUX[familyOf(entry)]] ?? entry.gateway;
}

/**
 * The endpoint through which a container reaches the world, and by which its ports are published: the highest
 * gateway priority, then the first by its network's name.
 */
export function gatewayEndpoint(endpoints: readonly EndpointRecord[], family: 4 | 6): EndpointRecord | undefined {
  return endpoints
    .filter((endpoint) => (family === 4 ? endpoint.gateway4 : endpoint.gateway6) !== '')
    .toSorted((a, b) => b.request.gwPriority - a.request.gwPriority || (a.networkName < b.networkName ? -1 : 1))[0];
}

export interface FilterUse {
  readonly v4: boolean;
  readonly v6: boolean;
  /** `--allow-direct-routing`. */
  readonly direct: boolean;
}

/** How the packet filter sees a bridge network. */
export function firewallNetwork(network: NetworkRecord, filters: FilterUse): FirewallNetwork {
  const options = bridgeOptions(network.options);
  const subnets = (family: 4 | 6): string[] => network.ipam.config.filter((entry) => familyOf(entry) === family).map((entry) => entry.subnet);
  return {
    bridge: network.bridge,
    internal: network.internal,
    icc: options.icc,
    subnets4: filters.v4 ? subnets(4) : [],
    subnets6: filters.v6 ? subnets(6) : [],
    masquerade4: options.masquerade && options.mode4 !== 'routed',
    masquerade6: options.masquerade && options.mode6 !== 'routed',
    source4: options.source4,
    source6: options.source6,
    reach4: filters.v4 ? reachOf(options.mode4, filters) : 'open',
    reach6: filters.v6 ? reachOf(options.mode6, filters) : 'open',
    ping4: options.mode4 === 'routed',
    ping6: options.mode6 === 'routed',
    trusted: options.trusted,
  };
}

function reachOf(mode: GatewayMode, filters: FilterUse): FirewallNetwork['reach4'] {
  if (mode === 'nat-unprotected') return 'open';
  return mode === 'routed' || filters.direct ? 'published' : 'translated';
}
