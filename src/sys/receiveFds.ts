/**
 * Descriptors over a unix socket (SCM_RIGHTS), to and from another process: Node's sockets cannot. The request is
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

interface MessageHeader {
  name: null;
  nameLength: number;
  vector: Buffer;
  vectorLength: number;
  control: Buffer;
  controlLength: number;
  flags: number;
}

type Messages = Record<'send' | 'receive', (fd: number, header: MessageHeader, flags: number) => number>;

let bound: Messages | undefined;

function messages(): Messages {
  if (bound === undefined) {
    const { koffi, library } = libc();
    koffi.struct('moored_msghdr', { name: 'void *', nameLength: 'uint32_t', vector: 'void *', vectorLength: 'size_t', control: 'void *', controlLength: 'size_t', flags: 'int' });
    bound = {
      send: library.func('int64_t sendmsg(int fd, moored_msghdr *header, int flags)') as unknown as Messages['send'],
      receive: library.func('int64_t recvmsg(int fd, moored_msghdr *header, int flags)') as unknown as Messages['receive'],
    };
  }
  return bound;
}

export interface Sent {
  /** The answer's line, without its newline. */
  readonly line: string;
  /** To be closed by the caller; close-on-exec. */
  readonly fds: readonly number[];
}

export interface RequestOptions {
  readonly timeoutMs: number;
  /** Descriptors that go with the request; the caller keeps its own. */
  readonly fds?: readonly number[];
}

/** One request line, and the line and descriptors that answer it. `unavailable` if that takes too long. */
export async function requestFds(socketPath: string, request: string, options: RequestOptions): Promise<Sent> {
  const deadline = performance.now() + options.timeoutMs;
  const fd = connectTo(socketPath);
  const fds: number[] = [];
  try {
    sendAll(fd, Buffer.from(request), options.fds ?? []);
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

/** A fresh connection takes a line at once. */
function sendAll(fd: number, line: Buffer, fds: readonly number[]): void {
  const vector = vectorOf(line);
  const control = Buffer.alloc(fds.length === 0 ? 0 : CMSG_HEADER + Math.ceil((fds.length * 4) / 8) * 8);
  if (fds.length > 0) {
    control.writeBigUInt64LE(BigInt(CMSG_HEADER + fds.length * 4), 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    for (const [index, each] of fds.entries()) control.writeInt32LE(each, CMSG_HEADER + index * 4);
  }
  const sent = check('sendmsg', messages().send(fd, { name: null, nameLength: 0, vector, vectorLength: 1, control, controlLength: control.length, flags: 0 }, MSG_NOSIGNAL));
  if (sent < line.length) throw unavailable('the connection did not take the request');
}

/** One iovec. The buffer has to be kept by the caller. */
function vectorOf(data: Buffer): Buffer {
  const vector = Buffer.alloc(16);
  vector.writeBigUInt64LE(libc().koffi.address(data), 0);
  vector.writeBigUInt64LE(BigInt(data.length), 8);
  return vector;
}

/** What has come; undefined if nothing has, empty at the end. Descriptors are added to `fds`. */
function receiveOnce(fd: number, fds: number[]): Buffer | undefined {
  const data = Buffer.alloc(MAX_LINE);
  const control = Buffer.alloc(256);
  const vector = vectorOf(data);
  const length = messages().receive(fd, { name: null, nameLength: 0, vector, vectorLength: 1, control, controlLength: control.length, flags: 0 }, MSG_CMSG_CLOEXEC);
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
