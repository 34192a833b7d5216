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
  readonly open4: boolean;
  readonly open6: boolean;
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
    open4: isOpen(options, OPTION.gatewayMode4),
    open6: isOpen(options, OPTION.gatewayMode6),
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

function isOpen(options: Readonly<Record<string, string>>, name: string): boolean {
  switch (options[name] ?? '') {
    case '':
    case 'nat': return false;
    case 'nat-unprotected': return true;
    default: throw invalid(`unknown gateway mode ${options[name]}`);
  }
}

export const isPredefined = (name: string): boolean => name === 'bridge' || name === 'host' || name === 'none';

/** Docker's name of a user-defined network's bridge. */
export const bridgeNameOf = (id: string): string => `br-${id.slice(0, 12)}`;

const familyOf = (entry: IpamConfig): 4 | 6 => subnetOf(entry).family;

/** Addresses that the bridge itself has, with prefix lengths. */
export function bridgeAddresses(network: NetworkRecord): { address: string; prefixLength: number }[] {
  const { inhibitIpv4 } = bridgeOptions(network.options);
  return network.ipam.config
    .filter((entry) => entry.gateway !== '' && !(inhibitIpv4 && familyOf(entry) === 4))
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

/** How the packet filter sees a bridge network. */
export function firewallNetwork(network: NetworkRecord, filters: { v4: boolean; v6: boolean }): FirewallNetwork {
  const options = bridgeOptions(network.options);
  const subnets = (family: 4 | 6): string[] => network.ipam.config.filter((entry) => familyOf(entry) === family).map((entry) => entry.subnet);
  return {
    bridge: network.bridge,
    internal: network.internal,
    icc: options.icc,
    subnets4: filters.v4 ? subnets(4) : [],
    subnets6: filters.v6 ? subnets(6) : [],
    masquerade4: options.masquerade,
    masquerade6: options.masquerade,
    source4: options.source4,
    source6: options.source6,
    open4: options.open4 || !filters.v4,
    open6: options.open6 || !filters.v6,
  };
}
