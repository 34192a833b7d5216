import type { Sandbox } from './network.ts';

/** Address of the resolver in every container on a user-defined network, as Docker has it. */
export const RESOLVER_ADDRESS = '127.0.0.11';

/** A name server that is asked for names of no container. */
export interface Upstream {
  address: string;
  /** Whose network leads there: `host` for servers on the host's own loopback. */
  from: 'container' | 'host';
}

/** A container's place on one user-defined network, as its resolver sees it. */
export interface NamedEndpoint {
  networkId: string;
  networkName: string;
  /** Empty: none. */
  ipv4: string;
  ipv6: string;
  /** Name, aliases, short id; the first one is what an address is resolved to. */
  names: string[];
  /** `--link`: names that count for this container alone, and what they stand for. */
  links: Record<string, string>;
}

/** What the resolver knows of one container: a file in the exec root, which outlives the daemon. */
export interface SandboxNames {
  schema: 1;
  id: string;
  netnsPath: string;
  /** The shim's directory: its `status` tells whether the names count, its socket gives the sockets. */
  shimDir: string;
  /** Ports on 127.0.0.11 to which port 53 is translated. */
  ports: ResolverPorts;
  endpoints: NamedEndpoint[];
  upstreams: Upstream[];
}

export interface ResolverPorts {
  udp: number;
  tcp: number;
}

/** Sockets bound inside a namespace, to be handed to the shim and then closed. */
export interface ResolverSockets extends Disposable {
  readonly ports: ResolverPorts;
  readonly fds: readonly { readonly name: 'resolver-udp' | 'resolver-tcp'; readonly fd: number }[];
}

/** Name resolution inside containers on user-defined networks. It is done by a process of its own, which this port keeps up to date. */
export interface NamesPort {
  /** Where shims find the resolver that they are to start again when it is gone; undefined where a service manager does. */
  readonly revivedIn: string | undefined;
  /** Binds a resolver's sockets in a namespace and leads port 53 of 127.0.0.11 to them. */
  open(netnsPath: string): Promise<ResolverSockets>;
  /** Makes a container's names count: they resolve when this resolves, or the resolver could not be reached within its bound, which is logged. */
  publish(names: Omit<SandboxNames, 'schema'>): Promise<void>;
  /** What was published for a container; undefined if nothing was. */
  published(id: string): Promise<SandboxNames | undefined>;
  /** Forgets a container; idempotent. */
  withdraw(id: string): Promise<void>;
  /** At the daemon's start: forgets all others, and starts the resolver if it is needed and not there. Changes nothing in any namespace. */
  restore(live: readonly string[]): Promise<void>;
  /** Lets go of the resolver, which carries on as long as it is needed. */
  [Symbol.dispose](): void;
}

/** True if a container has the resolver: it is on a network that a user made. */
export const needsResolver = (sandbox: Sandbox): boolean => sandbox.endpoints.some(({ networkName, link }) => networkName !== 'bridge' && link !== '');
