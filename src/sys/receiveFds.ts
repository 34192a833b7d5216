/**
 * Descriptors that another process sends over a unix socket (SCM_RIGHTS), which Node's sockets drop. The request is
 * written and the answer polled for without blocking, so that a peer that hangs holds up nobody.
 */
import { closeSync, openSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { unavailable } from '../base/errors.ts';
import { check, lastErrno, libc, prototype, SyscallError } from './libc.ts';

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x40000000;
const MSG_NOSIGNAL = 0x4000;
const CMSG_HEADER = 16;
const MAX_LINE = 4096;
const MAX_PAUSE_MS = 50;

const socket = prototype<(domain: number, type: number, protocol: number) => number>('int socket(int domain, int type, int protocol)');
const connect = prototype<(fd: number, address: Buffer, length: number) => number>('int connect(int fd, const void *address, uint32_t length)');
const send = prototype<(...args: [fd: number, data: Buffer, length: number, flags: number]) => number>('int64_t send(int fd, const void *data, size_t length, int flags)');

interface MessageHeader {
  name: null;
  nameLength: number;
  vector: Buffer;
  vectorLength: number;
  control: Buffer;
  controlLength: number;
  flags: number;
}

let boundReceive: ((fd: number, header: MessageHeader, flags: number) => number) | undefined;

function receive(): (fd: number, header: MessageHeader, flags: number) => number {
  if (boundReceive === undefined) {
    const { koffi, library } = libc();
    koffi.struct('moored_msghdr', { name: 'void *', nameLength: 'uint32_t', vector: 'void *', vectorLength: 'size_t', control: 'void *', controlLength: 'size_t', flags: 'int' });
    boundReceive = library.func('int64_t recvmsg(int fd, moored_msghdr *header, int flags)') as unknown as NonNullable<typeof boundReceive>;
  }
  return boundReceive;
}

export interface Sent {
  /** The answer's line, without its newline. */
  readonly line: string;
  /** To be closed by the caller; close-on-exec. */
  readonly fds: readonly number[];
}

/** One request line, and the line and descriptors that answer it. `unavailable` if that takes too long. */
export async function requestFds(socketPath: string, request: string, options: { timeoutMs: number }): Promise<Sent> {
  const deadline = performance.now() + options.timeoutMs;
  const fd = connectTo(socketPath);
  const fds: number[] = [];
  try {
    const line = Buffer.from(request);
    check('send', send()(fd, line, line.length, MSG_NOSIGNAL));
    let text = '';
    for (let pause = 1; !text.includes('\n'); ) {
      const chunk = receiveOnce(fd, fds);
      if (chunk === undefined) {
        if (performance.now() > deadline) throw unavailable(`no answer within ${options.timeoutMs} ms`);
        await sleep(pause);
        pause = Math.min(pause * 2, MAX_PAUSE_MS);
      } else if (chunk.length === 0 || text.length > MAX_LINE) throw unavailable('the connection was closed without an answer');
      else text += chunk.toString('latin1');
    }
    return { line: text.slice(0, text.indexOf('\n')), fds };
  } catch (error) {
    for (const each of fds) closeSync(each);
    throw error;
  } finally {
    closeSync(fd);
  }
}

/** The path of a socket must fit into 108 bytes, so it is reached through a descriptor of its folder. */
function connectTo(path: string): number {
  const folder = openSync(dirname(path), 'r');
  try {
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(`/proc/self/fd/${folder}/${basename(path)}`, 2, 'latin1');
    const fd = check('socket', socket()(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    try {
      check('connect', connect()(fd, address, address.length));
      return fd;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  } finally {
    closeSync(folder);
  }
}

/** What has come; undefined if nothing has, empty at the end. Descriptors are added to `fds`. */
function receiveOnce(fd: number, fds: number[]): Buffer | undefined {
  const data = Buffer.alloc(MAX_LINE);
  const control = Buffer.alloc(256);
  const vector = Buffer.alloc(16);
  const { koffi } = libc();
  vector.writeBigUInt64LE(koffi.address(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  const length = receive()(fd, { name: null, nameLength: 0, vector, vectorLength: 1, control, controlLength: control.length, flags: 0 }, MSG_CMSG_CLOEXEC);
  if (length < 0) {
    const error = new SyscallError('recvmsg', lastErrno());
    if (error.code === 'EAGAIN' || error.code === 'EINTR') return undefined;
    throw error;
  }
  const size = Number(control.readBigUInt64LE(0));
  if (size > CMSG_HEADER && control.readInt32LE(8) === SOL_SOCKET && control.readInt32LE(12) === SCM_RIGHTS) {
    for (let at = CMSG_HEADER; at + 4 <= size; at += 4) fds.push(control.readInt32LE(at));
  }
  return data.subarray(0, length);
}
