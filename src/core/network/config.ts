/** The daemon's network options as the network room needs them. */

/** A pool out of which networks without a subnet of their own get one: prefixes of length `size` within `base`. */
export interface AddressPool {
  base: string;
  size: number;
}

export interface NetConfig {
  /** `--bridge`: empty: docker0, made by us; `none`: no default network; else a bridge that is there already. */
  bridge: string;
  /** `--bip`, `--bip6`: address and prefix of the default bridge, or empty. */
  bip: string;
  bip6: string;
  /** Ranges out of which containers on the default bridge get their addresses, or empty. */
  fixedCidr: string;
  fixedCidr6: string;
  /** Containers' gateway on the default bridge when it is not the bridge itself, or empty. */
  defaultGateway4: string;
  defaultGateway6: string;
  mtu: number;
  /** Containers on the default bridge reach each other. */
  icc: boolean;
  ipMasq: boolean;
  /** IPv6 on the default bridge. */
  ipv6: boolean;
  /** Turn forwarding on. When that changes it, what is forwarded for nobody of ours is dropped, unless `ipForwardNoDrop`. */
  ipForward: boolean;
  ipForwardNoDrop: boolean;
  /** Packet filter rules; without them published ports are served by relays. */
  iptables: boolean;
  ip6tables: boolean;
  /** Published ports are reached at the containers' own addresses too. */
  allowDirectRouting: boolean;
  /** Relays for what address translation cannot serve (`::1`, v6 to containers without v6). */
  userlandProxy: boolean;
  /** `--ip`: where ports are published that name no address. Empty: on all. */
  defaultHostIp: string;
  defaultAddressPools: AddressPool[];
  /** `--default-network-opt`: options of new networks by driver. */
  defaultNetworkOptions: Record<string, Record<string, string>>;
}

/** Docker's pools of local networks. */
export const DEFAULT_ADDRESS_POOLS: readonly AddressPool[] = [
  { base: '172.17.0.0/16', size: 16 },
  { base: '172.18.0.0/16', size: 16 },
  { base: '172.19.0.0/16', size: 16 },
  { base: '172.20.0.0/14', size: 16 },
  { base: '172.24.0.0/14', size: 16 },
  { base: '172.28.0.0/14', size: 16 },
  { base: '192.168.0.0/16', size: 20 },
];

export const defaultNetConfig = (): NetConfig => ({
  bridge: '',
  bip: '',
  bip6: '',
  fixedCidr: '',
  fixedCidr6: '',
  defaultGateway4: '',
  defaultGateway6: '',
  mtu: 1500,
  icc: true,
  ipMasq: true,
  ipv6: false,
  ipForward: true,
  ipForwardNoDrop: false,
  iptables: true,
  ip6tables: true,
  allowDirectRouting: false,
  userlandProxy: true,
  defaultHostIp: '',
  defaultAddressPools: [],
  defaultNetworkOptions: {},
});
