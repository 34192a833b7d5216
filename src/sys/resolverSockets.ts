/** Sockets for name resolution that live in a container's network namespace, whatever process uses them. */
import { closeSync } from 'node:fs';
import { bytesOf, parseAddress } from '../base/cidr.ts';
import { internal } from '../base/errors.ts';
import { check, lastErrno, prototype, SyscallError } from './libc.ts';
import { withNetnsAt } from './netns.ts';
import { bindSocket } from './socket.ts';

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;

const socket = prototype<(domain: number, type: number, protocol: number) => number>('int socket(int domain, int type, int protocol)');
const connect = prototype<(fd: number, address: Buffer, length: number) => number>('int connect(int fd, const void *address, uint32_t length)');
const getsockname = prototype<(fd: number, address: Buffer, length: Buffer) => number>('int getsockname(int fd, void *address, void *length)');

export interface BoundPair {
  readonly udp: { readonly fd: number; readonly port: number };
  readonly tcp: { readonly fd: number; readonly port: number };
}

/** A UDP socket and a listening TCP socket on a v4 address inside a namespace. Port 0: any. Nothing stays open if one fails. */
export function bindPairIn(netnsPath: string, address: string, ports: { udp: number; tcp: number }): BoundPair {
  return withNetnsAt(netnsPath, () => {
    const udp = bindSocket({ proto: 'udp', address, port: ports.udp, serves: true });
    try {
      const tcp = bindSocket({ proto: 'tcp', address, port: ports.tcp, serves: true });
      return { udp: { fd: udp, port: boundPort(udp) }, tcp: { fd: tcp, port: boundPort(tcp) } };
    } catch (error) {
      closeSync(udp);
      throw error;
    }
  });
}

/** A fresh socket that is to ask `address`, from inside a namespace or, without one, from ours. */
export function openSocketIn(netnsPath: string | undefined, transport: 'udp' | 'tcp', address: string): number {
  const open = (): number =>
    check('socket', socket()(address.includes(':') ? AF_INET6 : AF_INET, (transport === 'udp' ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  return netnsPath === undefined ? open() : withNetnsAt(netnsPath, open);
}

/** A TCP socket on its way to a server: whether it gets there shows when it is used. */
export function connectSocketIn(netnsPath: string | undefined, address: string, port: number): number {
  const parsed = parseAddress(address);
  if (parsed === undefined) throw internal(`not an address: ${address}`);
  const name = Buffer.alloc(parsed.family === 4 ? 16 : 28);
  name.writeUInt16LE(parsed.family === 4 ? AF_INET : AF_INET6, 0);
  name.writeUInt16BE(port, 2);
  bytesOf(parsed).copy(name, parsed.family === 4 ? 4 : 8);
  const fd = openSocketIn(netnsPath, 'tcp', address);
  if (connect()(fd, name, name.length) === 0) return fd;
  const error = new SyscallError('connect', lastErrno());
  if (error.code === 'EINPROGRESS') return fd;
  closeSync(fd);
  throw error;
}

/** The port that a v4 or v6 socket is bound to. */
export function boundPort(fd: number): number {
  const name = Buffer.alloc(28);
  const length = Buffer.from([name.length, 0, 0, 0]);
  check('getsockname', getsockname()(fd, name, length));
  return name.readUInt16BE(2);
}
