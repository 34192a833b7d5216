/** The three networks that are always there, as the daemon's options want them. */
import { cidrOf, containsCidr, formatAddress, formatCidr, parseAddress, parseCidr } from '../../base/cidr.ts';
import type { Cidr } from '../../base/cidr.ts';
import { invalid } from '../../base/errors.ts';
import type { IpamConfig, NetworkRecord } from '../ports/network.ts';
import { DEFAULT_GATEWAY_AUX, OPTION } from './bridge.ts';
import type { AddressPool, NetConfig } from './config.ts';
import { resolveIpam } from './ipam.ts';

export interface PredefinedRequest {
  readonly config: NetConfig;
  readonly pools: readonly AddressPool[];
  /** Subnets of the other networks. */
  readonly taken: readonly Cidr[];
  readonly routed: () => readonly Cidr[];
  /** Addresses (`a.b.c.d/n`) that the bridge has already: kept if the options do not say others. */
  readonly present: readonly string[];
  readonly newId: () => string;
  readonly nowNs: bigint;
}

type Base = Pick<NetworkRecord, 'schema' | 'scope' | 'internal' | 'attachable' | 'ingress' | 'labels'>;
const BASE: Base = { schema: 1, scope: 'local', internal: false, attachable: false, ingress: false, labels: {} };

/** `host` or `none`. */
export function emptyNetwork(name: 'host' | 'none', request: Pick<PredefinedRequest, 'newId' | 'nowNs'>): NetworkRecord {
  return {
    ...BASE,
    id: request.newId(),
    name,
    createdNs: request.nowNs,
    driver: name === 'host' ? 'host' : 'null',
    enableIpv4: true,
    enableIpv6: false,
    options: {},
    ipam: { driver: 'default', options: {}, config: [] },
    bridge: '',
  };
}

/** Name of the default network's bridge. */
export const defaultBridgeName = (config: NetConfig): string => (config.bridge === '' ? 'docker0' : config.bridge);

/** The default network. Invalid if the options contradict each other. */
export function defaultBridge(request: PredefinedRequest): NetworkRecord {
  const { config } = request;
  const link = defaultBridgeName(config);
  const entries = [wantedEntry(request, 4), wantedEntry(request, 6)].filter((entry) => entry !== undefined);
  return {
    ...BASE,
    id: request.newId(),
    name: 'bridge',
    createdNs: request.nowNs,
    driver: 'bridge',
    enableIpv4: true,
    enableIpv6: config.ipv6,
    options: {
      [OPTION.defaultBridge]: 'true',
      [OPTION.icc]: String(config.icc),
      [OPTION.masquerade]: String(config.ipMasq),
      [OPTION.hostBinding]: config.defaultHostIp === '' ? '0.0.0.0' : config.defaultHostIp,
      [OPTION.name]: link,
      [OPTION.mtu]: String(config.mtu),
    },
    ipam: {
      driver: 'default',
      options: {},
      config: resolveIpam({
        config: entries, enableIpv4: true, enableIpv6: config.ipv6, internal: false, pools: request.pools, taken: request.taken, routed: request.routed,
      }),
    },
    bridge: link,
  };
}

/** What the options (or the link that is there) say of one family; undefined: chosen from the pools. */
function wantedEntry(request: PredefinedRequest, family: 4 | 6): IpamConfig | undefined {
  const { config } = request;
  if (family === 6 && !config.ipv6) return undefined;
  const bip = family === 4 ? config.bip : config.bip6;
  const fixed = family === 4 ? config.fixedCidr : config.fixedCidr6;
  const gateway = family === 4 ? config.defaultGateway4 : config.defaultGateway6;
  if (bip !== '' && parseCidr(bip) === undefined) throw invalid(`invalid CIDR address: ${bip}`);
  if (fixed !== '' && parseCidr(fixed) === undefined) throw invalid(`invalid CIDR address: ${fixed}`);
  const range = fixed === '' ? undefined : parseCidr(fixed)?.cidr;
  const fits = (cidr: Cidr | undefined): boolean => cidr !== undefined && (range === undefined || containsCidr(cidr, range));
  const address = bip === '' ? request.present.find((text) => parseCidr(text)?.cidr.family === family && fits(parseCidr(text)?.cidr)) : bip;
  const parsed = address === undefined ? undefined : parseCidr(address);
  const subnet = parsed?.cidr ?? range;
  if (subnet === undefined) return undefined;
  if (!fits(subnet)) throw invalid(`fixed-cidr ${fixed} is not within ${formatCidr(subnet)}`);
  return {
    subnet: formatCidr(subnet),
    ipRange: range === undefined ? '' : formatCidr(range),
    gateway: parsed === undefined ? firstAddress(subnet) : formatAddress(parsed.address),
    auxAddresses: gateway === '' ? {} : { [DEFAULT_GATEWAY_AUX[family]]: canonicalGateway(gateway, subnet) },
  };
}

const firstAddress = (subnet: Cidr): string => formatAddress({ family: subnet.family, value: subnet.base + 1n });

function canonicalGateway(text: string, subnet: Cidr): string {
  const address = parseAddress(text);
  if (address === undefined) throw invalid(`invalid default gateway: ${text}`);
  if (formatCidr(cidrOf(address, subnet.length)) !== formatCidr(subnet)) throw invalid(`default gateway ${text} is not within ${formatCidr(subnet)}`);
  return formatAddress(address);
}

/** What of a recorded network differs from what the options want, in the options' names. */
export function differences(recorded: NetworkRecord, wanted: NetworkRecord): string[] {
  const entryOf = (network: NetworkRecord, family: 4 | 6): IpamConfig | undefined =>
    network.ipam.config.find((entry) => parseCidr(entry.subnet)?.cidr.family === family);
  const found: string[] = [];
  const compare = (name: string, a: unknown, b: unknown): void => {
    if (JSON.stringify(a) !== JSON.stringify(b)) found.push(name);
  };
  compare('bridge', recorded.bridge, wanted.bridge);
  compare('ipv6', recorded.enableIpv6, wanted.enableIpv6);
  for (const family of [4, 6] as const) {
    const suffix = family === 4 ? '' : '6';
    const [a, b] = [entryOf(recorded, family), entryOf(wanted, family)];
    compare(`bip${suffix}`, [a?.subnet, a?.gateway], [b?.subnet, b?.gateway]);
    compare(`fixed-cidr${suffix === '' ? '' : '-v6'}`, a?.ipRange, b?.ipRange);
    compare(`default-gateway${suffix === '' ? '' : '-v6'}`, a?.auxAddresses, b?.auxAddresses);
  }
  compare('icc', recorded.options[OPTION.icc], wanted.options[OPTION.icc]);
  compare('ip-masq', recorded.options[OPTION.masquerade], wanted.options[OPTION.masquerade]);
  compare('mtu', recorded.options[OPTION.mtu], wanted.options[OPTION.mtu]);
  compare('ip', recorded.options[OPTION.hostBinding], wanted.options[OPTION.hostBinding]);
  return found;
}
