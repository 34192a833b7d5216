/**
 * The sockets that another process holds, by what they are bound to. A bound socket that does not listen stands in no
 * table of /proc/net, so each is borrowed for a moment (pidfd_getfd, Linux 5.6) and asked. Needs the right to trace.
 */
import { closeSync } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { addressOfBytes, formatAddress } from '../base/cidr.ts';
import { errnoOf } from '../base/errors.ts';
import { check, prototype } from './libc.ts';

const SYS_PIDFD_OPEN = 434;
const SYS_PIDFD_GETFD = 438;
const AF_INET = 2;
const AF_INET6 = 10;
const SOL_SOCKET = 1;
const SO_PROTOCOL = 38;
const PROTOCOLS: Readonly<Record<number, BoundSocket['proto']>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };

// By number: the same on every architecture, and the C library may not know them.
const syscall = prototype<(...call: [number: number, a: number, b: number, c: number]) => number>('long syscall(long number, long a, long b, long c)');
const getsockname = prototype<(fd: number, address: Buffer, length: Buffer) => number>('int getsockname(int fd, void *address, void *length)');
const getsockopt = prototype<(...call: [fd: number, level: number, name: number, value: Buffer, length: Buffer]) => number>(
  'int getsockopt(int fd, int level, int name, void *value, void *length)',
);

export interface BoundSocket {
  readonly proto: 'tcp' | 'udp' | 'sctp';
  readonly address: string;
  readonly port: number;
}

/** Every internet socket of a process that has a port. Throws what the kernel says (ESRCH, EPERM, ENOSYS). */
export async function boundSockets(pid: number): Promise<BoundSocket[]> {
  const fds = await socketsOf(pid);
  if (fds.length === 0) return [];
  const process = check('pidfd_open', syscall()(SYS_PIDFD_OPEN, pid, 0, 0));
  try {
    return fds.flatMap((fd) => borrowed(process, fd));
  } finally {
    closeSync(process);
  }
}

async function socketsOf(pid: number): Promise<number[]> {
  const folder = `/proc/${pid}/fd`;
  const names = await readdir(folder);
  const links = await Promise.all(names.map((name) => readlink(`${folder}/${name}`).catch(() => '')));
  return names.filter((_name, index) => links[index]?.startsWith('socket:') === true).map(Number);
}

/** Nothing if it was closed since it was listed. */
function borrowed(process: number, fd: number): BoundSocket[] {
  let own: number;
  try {
    own = check('pidfd_getfd', syscall()(SYS_PIDFD_GETFD, process, fd, 0));
  } catch (error) {
    if (errnoOf(error) === 'EBADF') return [];
    throw error;
  }
  try {
    const proto = PROTOCOLS[protocolOf(own)];
    const bound = nameOf(own);
    return proto === undefined || bound === undefined || bound.port === 0 ? [] : [{ proto, ...bound }];
  } finally {
    closeSync(own);
  }
}

function protocolOf(fd: number): number {
  const value = Buffer.alloc(4);
  check('getsockopt', getsockopt()(fd, SOL_SOCKET, SO_PROTOCOL, value, lengthOf(value)));
  return value.readInt32LE();
}

function nameOf(fd: number): { address: string; port: number } | undefined {
  const name = Buffer.alloc(128);
  check('getsockname', getsockname()(fd, name, lengthOf(name)));
  const family = name.readUInt16LE(0);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  return { address: formatAddress(addressOfBytes(family === AF_INET ? name.subarray(4, 8) : name.subarray(8, 24))), port: name.readUInt16BE(2) };
}

/** A socklen_t with the buffer's length. */
function lengthOf(buffer: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(buffer.length);
  return length;
}
