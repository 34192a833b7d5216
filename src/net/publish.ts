/** Takes ports of the host for a container: finds a number that is free on all addresses, and binds it. */
import { closeSync, existsSync } from 'node:fs';
import { errnoOf, internal, isKind } from '../base/errors.ts';
import { formatAddress, parseAddress } from '../base/cidr.ts';
import { hostPort } from '../core/network/ports.ts';
import type { PortBook, PortRequest } from '../core/network/ports.ts';
import type { FirewallPort } from '../core/network/firewall.ts';
import type { PortSocket, PublishedPort } from '../core/ports/network.ts';
import { bindSocket } from '../sys/socket.ts';

/** Where a container's ports lead, and what the host can do to lead there. */
export interface PublishTarget {
  /** Empty: the container has no such address that leads out. */
  readonly ipv4: string;
  readonly ipv6: string;
  /** Reached at its own address (gateway mode routed): nothing of the host's is taken. */
  readonly routed4: boolean;
  readonly routed6: boolean;
  /** Address translation by the packet filter, per family. */
  readonly translate4: boolean;
  readonly translate6: boolean;
  /** Serve by a relay what cannot be translated. */
  readonly relay: boolean;
}

export interface Publication {
  readonly ports: PublishedPort[];
  readonly sockets: PortSocket[];
}

/** The addresses of the host on which a request is published; none if the container cannot be reached from there. */
export function hostAddresses(request: PortRequest, target: PublishTarget, byDefault: string): string[] {
  const named = request.hostIp === '' ? byDefault : request.hostIp;
  const parsed = parseAddress(named);
  const addresses = parsed === undefined ? ['0.0.0.0', '::'] : [formatAddress(parsed)];
  return addresses.filter((address) => {
    if (!address.includes(':')) return target.ipv4 !== '';
    if (!existsSync('/proc/net/if_inet6')) return false;
    return target.ipv6 !== '' || (target.ipv4 !== '' && !target.routed4 && target.relay && request.proto !== 'sctp');
  });
}

/** What the packet filter has to translate for a published port, or undefined if a relay serves it alone. */
export function translationOf(port: PublishedPort, target: PublishTarget): FirewallPort | undefined {
  if (port.hostPort === 0) return undefined;
  const v6 = port.hostIp.includes(':');
  const address = v6 ? target.ipv6 : target.ipv4;
  if (address === '' || !(v6 ? target.translate6 : target.translate4) || port.hostIp === '::1') return undefined;
  return { proto: port.proto, hostIp: port.hostIp, hostPort: port.hostPort, address, port: port.containerPort };
}

/** How the socket of a published port is used: a relay for what the packet filter does not catch. */
export function useOf(port: PublishedPort, target: PublishTarget): 'reserve' | { use: 'relay-tcp' | 'relay-udp'; address: string; port: number } {
  const v6 = port.hostIp.includes(':');
  const translated = translationOf(port, target) !== undefined;
  const reachesLoopback = port.hostIp === '::' || port.hostIp === '::1';
  if (port.proto === 'sctp' || (translated && !(v6 && reachesLoopback)) || !target.relay) return 'reserve';
  const address = v6 && target.ipv6 !== '' ? target.ipv6 : target.ipv4;
  return { use: port.proto === 'tcp' ? 'relay-tcp' : 'relay-udp', address, port: port.containerPort };
}

export interface PublishOptions {
  readonly book: PortBook;
  readonly target: PublishTarget;
  readonly defaultHostIp: string;
  readonly ephemeral: readonly [first: number, last: number];
}

/** Takes the ports of all requests, or none: on failure everything is closed and free again. */
export function publishPorts(requests: readonly PortRequest[], options: PublishOptions): Publication {
  const publication: Publication = { ports: [], sockets: [] };
  try {
    for (const request of requests) {
      const addresses = hostAddresses(request, options.target, options.defaultHostIp);
      if (addresses.length > 0) publishOne(request, addresses, { ...options, publication });
    }
    return publication;
  } catch (error) {
    closeSockets(publication.sockets);
    for (const { proto, hostIp, hostPort: port } of publication.ports.filter(isHostPort)) options.book.release({ proto, address: hostIp, port });
    throw error;
  }
}

function publishOne(request: PortRequest, wanted: readonly string[], options: PublishOptions & { publication: Publication }): void {
  const isRouted = (address: string): boolean => (address.includes(':') ? options.target.ipv6 !== '' && options.target.routed6 : options.target.routed4);
  const addresses = wanted.filter((address) => !isRouted(address));
  const portsAt = (port: number): PublishedPort[] =>
    wanted.map((hostIp) => ({ proto: request.proto, containerPort: request.containerPort, hostIp, hostPort: isRouted(hostIp) ? 0 : port }));
  if (addresses.length === 0) {
    options.publication.ports.push(...portsAt(0));
    return;
  }
  let refused: Error | undefined;
  for (const port of options.book.candidates(request, addresses, options.ephemeral)) {
    const ports = portsAt(port);
    try {
      const sockets = bindAll(ports.filter(isHostPort), options.target);
      for (const each of ports.filter(isHostPort)) options.book.hold({ proto: each.proto, address: each.hostIp, port });
      options.publication.ports.push(...ports);
      options.publication.sockets.push(...sockets);
      return;
    } catch (error) {
      // Another process has it: the next of a range may be free.
      if (!isKind(error, 'internal') || errnoOf(error.cause) !== 'EADDRINUSE') throw error;
      refused = error;
    }
  }
  throw refused ?? options.book.exhausted(request, addresses);
}

/** The sockets of one port number on several addresses, all or none. */
function bindAll(ports: readonly PublishedPort[], target: PublishTarget): PortSocket[] {
  const sockets: PortSocket[] = [];
  try {
    for (const port of ports) {
      const fd = bindOne(port, target);
      const use = useOf(port, target);
      if (fd !== undefined) sockets.push(use === 'reserve' ? { fd, use } : { fd, ...use });
    }
    return sockets;
  } catch (error) {
    closeSockets(sockets);
    throw error;
  }
}

/** A routed one takes no port of the host. */
export const isHostPort = ({ hostPort: port }: PublishedPort): boolean => port !== 0;

/** Those of the ports that can still be had. */
export function bindAgain(ports: readonly PublishedPort[], target: PublishTarget): { sockets: PortSocket[]; lost: PublishedPort[] } {
  const sockets: PortSocket[] = [];
  const lost = ports.filter(isHostPort).filter((port) => {
    try {
      sockets.push(...bindAll([port], target));
      return false;
    } catch {
      return true;
    }
  });
  return { sockets, lost };
}

function bindOne(port: PublishedPort, target: PublishTarget): number | undefined {
  try {
    return bindSocket({ proto: port.proto, address: port.hostIp, port: port.hostPort, serves: useOf(port, target) !== 'reserve' });
  } catch (error) {
    const code = errnoOf(error) ?? '';
    // A kernel without SCTP sockets can still translate it.
    if (port.proto === 'sctp' && code === 'EPROTONOSUPPORT') return undefined;
    throw internal(`failed to bind host port for ${describe(port, target)}: ${ERRNO_TEXTS[code] ?? code}`, error);
  }
}

function describe(port: PublishedPort, target: PublishTarget): string {
  const address = port.hostIp.includes(':') && target.ipv6 !== '' ? target.ipv6 : target.ipv4;
  return `${hostPort(port.hostIp, port.hostPort)}:${hostPort(address, port.containerPort)}/${port.proto}`;
}

const ERRNO_TEXTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'address already in use',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EACCES: 'permission denied',
  EAFNOSUPPORT: 'address family not supported by protocol',
};

export function closeSockets(sockets: readonly PortSocket[]): void {
  for (const { fd } of sockets) closeSync(fd);
}
