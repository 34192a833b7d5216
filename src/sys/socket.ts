/**
 * Sockets that hold a port of the host. They have to refuse every other socket on the same port, also one with
 * SO_REUSEADDR, and still bind while connections of a former holder stand in TIME_WAIT, which Node's own sockets
 * cannot both.
 */
import { closeSync } from 'node:fs';
import { bytesOf, parseAddress } from '../base/cidr.ts';
import type { Address } from '../base/cidr.ts';
import { internal } from '../base/errors.ts';
import { check, prototype } from './libc.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const IPPROTO_SCTP = 132;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SHUT_RD = 0;

const socket = prototype<(domain: number, type: number, protocol: number) => number>('int socket(int domain, int type, int protocol)');
const setsockopt = prototype<(...args: [fd: number, level: number, name: number, value: Buffer, length: number]) => number>(
  'int setsockopt(int fd, int level, int name, const void *value, unsigned int length)',
);
const bind = prototype<(fd: number, address: Buffer, length: number) => number>('int bind(int fd, const void *address, unsigned int length)');
const listen = prototype<(fd: number, backlog: number) => number>('int listen(int fd, int backlog)');
const shutdown = prototype<(fd: number, how: number) => number>('int shutdown(int fd, int how)');

export interface BoundSocketRequest {
  readonly proto: 'tcp' | 'udp' | 'sctp';
  /** An address of the host, or the unspecified one of a family. v6 sockets are for v6 only. */
  readonly address: string;
  readonly port: number;
  /** It will serve (TCP: listens from now on, connections wait in its backlog) rather than only hold the port. */
  readonly serves: boolean;
}

/**
 * A socket bound to a port that nobody else can bind while it is open; close-on-exec. Throws with code EADDRINUSE,
 * EADDRNOTAVAIL, EAFNOSUPPORT, EPROTONOSUPPORT, ….
 */
export function bindSocket(request: BoundSocketRequest): number {
  const address = parseAddress(request.address);
  if (address === undefined) throw internal(`not an address: ${request.address}`);
  const v4 = address.family === 4;
  const fd = check('socket', socket()(v4 ? AF_INET : AF_INET6, typeOf(request.proto) | SOCK_CLOEXEC, request.proto === 'sctp' ? IPPROTO_SCTP : 0));
  try {
    if (!v4) setFlag(fd, IPPROTO_IPV6, IPV6_V6ONLY, true);
    const name = socketAddress(address, request.port);
    // For TCP, address reuse lets a bind pass by connections in TIME_WAIT; listening then makes the port exclusive.
    if (request.proto === 'tcp') setFlag(fd, SOL_SOCKET, SO_REUSEADDR, true);
    check('bind', bind()(fd, name, name.length));
    if (request.proto === 'tcp') {
      check('listen', listen()(fd, request.serves ? 4096 : 1));
      if (!request.serves) stopListening(fd);
    }
    return fd;
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

/** The socket stays bound, and without address reuse no other can be bound beside it. */
function stopListening(fd: number): void {
  check('shutdown', shutdown()(fd, SHUT_RD));
  setFlag(fd, SOL_SOCKET, SO_REUSEADDR, false);
}

function setFlag(fd: number, level: number, name: number, on: boolean): void {
  const value = Buffer.from([Number(on), 0, 0, 0]);
  check('setsockopt', setsockopt()(fd, level, name, value, value.length));
}

const typeOf = (proto: BoundSocketRequest['proto']): number => (proto === 'udp' ? SOCK_DGRAM : SOCK_STREAM);

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: Address, port: number): Buffer {
  const buffer = Buffer.alloc(address.family === 4 ? 16 : 28);
  buffer.writeUInt16LE(address.family === 4 ? AF_INET : AF_INET6, 0);
  buffer.writeUInt16BE(port, 2);
  bytesOf(address).copy(buffer, address.family === 4 ? 4 : 8);
  return buffer;
}
