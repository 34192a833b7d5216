import type { EndpointRequest } from '../container/config.ts';

/** A network as recorded. The three predefined ones are `bridge`, `host` and `none`. */
export interface NetworkRecord {
  schema: 1;
  id: string;
  name: string;
  createdNs: bigint;
  driver: 'bridge' | 'host' | 'null';
  scope: 'local';
  enableIpv4: boolean;
  enableIpv6: boolean;
  internal: boolean;
  attachable: boolean;
  ingress: boolean;
  options: Record<string, string>;
  labels: Record<string, string>;
  ipam: { driver: string; options: Record<string, string>; config: IpamConfig[] };
  /** Those subnets of `ipam` that were taken from the pools: static addresses are for subnets that the user gave. */
  pooledSubnets?: string[];
  /** It only lends its configuration to others, and nobody can be on it (`--config-only`). */
  configOnly?: boolean;
  /** The network that lent its configuration, by name. */
  configFrom?: string;
  /** Name of the bridge link (`docker0`, `br-<12 hex>`), empty for host and none. */
  bridge: string;
}

export interface IpamConfig {
  subnet: string;
  ipRange: string;
  gateway: string;
  auxAddresses: Record<string, string>;
}

/** One container's place on one network, as recorded with the container. */
export interface EndpointRecord {
  id: string;
  networkId: string;
  networkName: string;
  request: EndpointRequest;
  /** Link name inside (`eth0`). */
  link: string;
  /** Link name on the host (`veth…`). */
  hostLink: string;
  macAddress: string;
  /** `172.17.0.2`, prefix length apart; empty without v4. */
  ipv4: string;
  ipv4PrefixLength: number;
  gateway4: string;
  ipv6: string;
  ipv6PrefixLength: number;
  gateway6: string;
  dnsNames: string[];
}

/** A published port as it really is. */
export interface PublishedPort {
  proto: 'tcp' | 'udp' | 'sctp';
  containerPort: number;
  hostIp: string;
  /** 0: none; it is reached at the container's own address (gateway mode routed). */
  hostPort: number;
}

/** A socket bound on the host for a published port, given to the shim by number (docs/shim-contract.md, `port`). */
export type PortSocket =
  | { fd: number; use: 'reserve' }
  | { fd: number; use: 'relay-tcp' | 'relay-udp'; address: string; port: number };

/** What the socket of a published port is used for. */
export type PortUse = { port: PublishedPort } & ({ use: 'reserve' } | { use: 'relay-tcp' | 'relay-udp'; address: string; containerPort: number });

export interface SandboxRequest {
  containerId: string;
  /** Without the slash; Docker's errors name the endpoint by it. */
  containerName: string;
  hostname: string;
  /** Where the network namespace is to be pinned (a file in the exec root). */
  netnsPath: string;
  endpoints: { networkId: string; request: EndpointRequest; dnsNames: string[] }[];
  /** `80/tcp` → bindings, ranges as given. */
  portBindings: Record<string, { hostIp: string; hostPort: string }[]>;
  exposedPorts: string[];
  publishAllPorts: boolean;
  /** Legacy links of the default network. */
  links: LinkedPorts[];
  sysctls: Record<string, string>;
}

/** Ports of another container that a container may reach where containers otherwise do not reach each other (`icc=false`). */
export interface LinkedPorts {
  containerId: string;
  /** `80/tcp`. */
  ports: string[];
}

export interface Sandbox {
  netnsPath: string;
  endpoints: EndpointRecord[];
  ports: PublishedPort[];
  /** Absent in older records. */
  links?: LinkedPorts[];
  /** Published ports that another process took when their shim had died: nothing leads to them until they are free. */
  lost?: PublishedPort[];
}

/** How a container's network came up. The sockets are the caller's to pass on to the shim and close. */
export interface SandboxUp {
  sandbox: Sandbox;
  sockets: PortSocket[];
}

/**
 * Networks, endpoints and published ports. Kernel state is reconciled by diff; the caller keeps `Sandbox` in the
 * container's record, and hands all recorded ones of live containers to `restore`.
 */
export interface NetworkPort {
  list(): NetworkRecord[];
  /** Full id, name, unique id prefix. not-found `network x not found`. */
  resolve(nameOrId: string): NetworkRecord;
  create(request: Omit<NetworkRecord, 'schema' | 'id' | 'createdNs' | 'scope' | 'bridge'> & { bridgeName?: string }): Promise<{ network: NetworkRecord; warning: string }>;
  /** Refuses predefined networks; the caller has checked for endpoints. */
  remove(id: string): Promise<void>;

  /** Makes namespace, links, addresses, routes, published ports. On failure nothing is left. */
  up(request: SandboxRequest): Promise<SandboxUp>;
  /** Binds published ports of a live container again, those that its shim had or that are lost; `lost` are those that others have. */
  rebind(sandbox: Sandbox, ports: readonly PublishedPort[]): { sockets: PortSocket[]; lost: PublishedPort[] };
  /** A live container's ports are no longer what they were: what leads to them follows. */
  republish(containerId: string, sandbox: Sandbox): Promise<void>;
  /** What the sockets of its published ports are for, as its endpoints are now. */
  uses(sandbox: Sandbox): PortUse[];
  /** Closes the caller's copies of the port sockets, once the shim has its own (or never will). */
  closeSockets(sockets: readonly PortSocket[]): void;
  /** Takes down what `up` made; idempotent, also for half of it. */
  down(containerId: string, sandbox: Sandbox): Promise<void>;
  /** Other links than before, at once. */
  link(containerId: string, sandbox: Sandbox, links: LinkedPorts[]): Promise<Sandbox>;
  connect(containerId: string, sandbox: Sandbox, endpoint: { networkId: string; request: EndpointRequest; dnsNames: string[] }): Promise<Sandbox>;
  disconnect(containerId: string, sandbox: Sandbox, networkId: string): Promise<Sandbox>;

  /**
   * At start: makes the predefined networks, takes the live containers' addresses and ports as used, brings links,
   * rules and sysctls to what they have to be (by diff, in one transaction: nothing is flushed), removes links,
   * namespaces and rules of moored's own that nobody claims.
   */
  restore(live: { containerId: string; sandbox: Sandbox }[]): Promise<void>;
  /** Options that changed but wait for running containers (continuity S6), one line each. */
  pending(): string[];
}
