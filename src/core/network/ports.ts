/** Published ports: what a container asks for, and which port of the host it gets. */
import { isUnspecified, parseAddress } from '../../base/cidr.ts';
import { conflict, invalid } from '../../base/errors.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';

/** One container port to be published on some addresses of the host, all with the same port number. */
export interface PortRequest {
  readonly proto: Protocol;
  readonly containerPort: number;
  /** Empty: every address of both families. */
  readonly hostIp: string;
  /** The first free one of these is taken; an ephemeral port if both are 0. */
  readonly firstHostPort: number;
  readonly lastHostPort: number;
}

export interface PortWishes {
  /** `80/tcp` → bindings. */
  readonly bindings: Readonly<Record<string, readonly { readonly hostIp: string; readonly hostPort: string }[]>>;
  readonly exposed: readonly string[];
  /** Publish what is exposed and has no binding on ephemeral ports (`-P`). */
  readonly publishAll: boolean;
}

/** The requests that `-p`, `-P` and EXPOSE make, those for fixed ports first, so that no ephemeral one takes theirs. */
export function portRequests(wishes: PortWishes): PortRequest[] {
  const requests = Object.entries(wishes.bindings).flatMap(([key, bindings]) => {
    const { proto, port } = parsePortKey(key);
    return bindings.map((binding): PortRequest => {
      const [firstHostPort, lastHostPort] = parsePortRange(binding.hostPort);
      if (binding.hostIp !== '' && parseAddress(binding.hostIp) === undefined) throw invalid(`invalid IP address: ${binding.hostIp}`);
      return { proto, containerPort: port, hostIp: binding.hostIp, firstHostPort, lastHostPort };
    });
  });
  const bound = new Set(requests.map((request) => `${request.containerPort}/${request.proto}`));
  const published = wishes.publishAll ? wishes.exposed.flatMap(expandPortKey).filter(({ proto, port }) => !bound.has(`${port}/${proto}`)) : [];
  const all = [
    ...requests,
    ...published.map(({ proto, port }): PortRequest => ({ proto, containerPort: port, hostIp: '', firstHostPort: 0, lastHostPort: 0 })),
  ];
  const rank = (request: PortRequest): number => (request.firstHostPort === 0 ? 2 : Number(request.firstHostPort !== request.lastHostPort));
  return all.sort((a, b) => rank(a) - rank(b) || a.containerPort - b.containerPort || a.proto.localeCompare(b.proto));
}

/** `80`, `80/udp`. */
export function parsePortKey(key: string): { proto: Protocol; port: number } {
  const [first, ...more] = expandPortKey(key);
  if (first === undefined || more.length > 0) throw invalid(`invalid port specification: "${key}"`);
  return first;
}

/** `80/tcp`, or a range `8000-8010/udp` as EXPOSE may have it. */
export function expandPortKey(key: string): { proto: Protocol; port: number }[] {
  const [range = '', proto = 'tcp', ...more] = key.split('/');
  const protocol = proto.toLowerCase();
  if (more.length > 0 || (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp')) throw invalid(`invalid proto: ${proto}`);
  const [first, last] = parsePortRange(range);
  if (first === 0) throw invalid(`invalid port specification: "${key}"`);
  return Array.from({ length: last - first + 1 }, (_, i) => ({ proto: protocol, port: first + i }));
}

/** `8080`, `8000-8010`; empty or `0` gives 0, 0. */
export function parsePortRange(text: string): [first: number, last: number] {
  if (text === '' || text === '0') return [0, 0];
  const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text);
  const first = Number(match?.[1]);
  const last = Number(match?.[2] ?? match?.[1]);
  if (match === null || first < 1 || last > 65535 || last < first) throw invalid(`invalid port specification: "${text}"`);
  return [first, last];
}

/** `ip_local_port_range`, or Docker's choice if it cannot be read. */
export function ephemeralRange(text: string | undefined): [first: number, last: number] {
  const match = /^(\d+)\s+(\d+)/.exec(text ?? '');
  const first = Number(match?.[1]);
  const last = Number(match?.[2]);
  return match !== null && first >= 1 && last <= 65535 && first <= last ? [first, last] : [49153, 65535];
}

interface Held {
  readonly proto: Protocol;
  readonly address: string;
  readonly port: number;
}

/**
 * The host's ports that containers hold. A port on an unspecified address is held on every address of its family. It
 * does not know of other processes: that is found out by binding.
 */
export class PortBook {
  /** `tcp/8080` → addresses. */
  readonly #held = new Map<string, Set<string>>();
  /** Where the search for an ephemeral port goes on, so that a port just freed is not the next one given. */
  #next = 0;

  /** The candidates of a request in the order in which they are to be tried. Not reserved yet. */
  *candidates(request: PortRequest, addresses: readonly string[], ephemeral: readonly [first: number, last: number]): Generator<number> {
    const free = (port: number): boolean => addresses.every((address) => this.#isFree({ proto: request.proto, address, port }));
    if (request.firstHostPort !== 0) {
      for (let port = request.firstHostPort; port <= request.lastHostPort; port += 1) if (free(port)) yield port;
      return;
    }
    const [first, last] = ephemeral;
    const size = last - first + 1;
    const start = this.#next >= first && this.#next <= last ? this.#next : first;
    for (let i = 0; i < size; i += 1) {
      const port = first + ((start - first + i) % size);
      if (!free(port)) continue;
      this.#next = port + 1;
      yield port;
    }
  }

  /** Docker's refusal when a request has no candidate. */
  exhausted(request: PortRequest, addresses: readonly string[]): Error {
    if (request.firstHostPort === 0 || request.firstHostPort !== request.lastHostPort) {
      return conflict('all ports are allocated');
    }
    const held = addresses.find((address) => !this.#isFree({ proto: request.proto, address, port: request.firstHostPort }));
    return conflict(`Bind for ${hostPort(held ?? addresses[0] ?? '', request.firstHostPort)} failed: port is already allocated`);
  }

  hold(held: Held): void {
    const key = `${held.proto}/${held.port}`;
    const addresses = this.#held.get(key) ?? new Set();
    addresses.add(held.address);
    this.#held.set(key, addresses);
  }

  release(held: Held): void {
    const key = `${held.proto}/${held.port}`;
    const addresses = this.#held.get(key);
    addresses?.delete(held.address);
    if (addresses?.size === 0) this.#held.delete(key);
  }

  #isFree({ proto, address, port }: Held): boolean {
    const addresses = this.#held.get(`${proto}/${port}`);
    if (addresses === undefined) return true;
    const family = parseAddress(address)?.family;
    return [...addresses].every((other) => {
      if (parseAddress(other)?.family !== family) return true;
      return other !== address && !isUnspecified(other) && !isUnspecified(address);
    });
  }
}

/** `1.2.3.4:80`, `[::1]:80`. */
export const hostPort = (address: string, port: number): string => (address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`);
