/** Unix datagram sockets, which Node lacks: /dev/log and journald's native socket speak over them. */
import { closeSync, writeSync } from 'node:fs';
import { errnoOf, internal } from '../base/errors.ts';
import { check, lastErrno, libc, prototype, SyscallError } from './libc.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** Seal, shrink, grow, write: what journald wants before it trusts a memfd. */
const ALL_SEALS = 0xf;
/** As journald's own library asks for. */
const SEND_BUFFER = 8 * 1024 * 1024;
const MAX_PATH = 107;

const socket = prototype<(domain: number, type: number, protocol: number) => number>('int socket(int domain, int type, int protocol)');
const connect = prototype<(fd: number, address: Buffer, length: number) => number>('int connect(int fd, const void *address, uint32_t length)');
const setsockopt = prototype<(...args: [fd: number, level: number, name: number, value: Buffer, length: number]) => number>(
  'int setsockopt(int fd, int level, int name, const void *value, unsigned int length)',
);
const send = prototype<(...args: [fd: number, data: Buffer, length: number, flags: number]) => number>('int64_t send(int fd, const void *data, size_t length, int flags)');
const memfdCreate = prototype<(name: string, flags: number) => number>('int memfd_create(const char *name, unsigned int flags)');
const fcntl = prototype<(fd: number, command: number, type: 'int', value: number) => number>('int fcntl(int fd, int command, ...)');
const sendmsg = prototype<(fd: number, header: Buffer, flags: number) => number>('int64_t sendmsg(int fd, const void *header, int flags)');

/** A connected socket; never blocks. Throws with the code ENOENT, ECONNREFUSED, …. */
export class UnixDatagram implements Disposable {
  readonly #fd: number;

  constructor(path: string) {
    const name = Buffer.from(path);
    if (name.length > MAX_PATH) throw internal(`socket path ${path} is too long`);
    const address = Buffer.alloc(2 + name.length + 1);
    address.writeUInt16LE(AF_UNIX, 0);
    name.copy(address, 2);
    this.#fd = check('socket', socket()(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    try {
      const size = Buffer.alloc(4);
      size.writeInt32LE(SEND_BUFFER);
      // Less than asked for is no failure.
      setsockopt()(this.#fd, SOL_SOCKET, SO_SNDBUF, size, size.length);
      check('connect', connect()(this.#fd, address, address.length));
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** One datagram. `full`: the receiver has no room now; `too-long`: it never will have. */
  send(datagram: Buffer): 'sent' | 'full' | 'too-long' {
    return outcome('send', send()(this.#fd, datagram, datagram.length, MSG_NOSIGNAL));
  }

  /** The content of a datagram that is too long, as a sealed file in memory (sd-journal's way). */
  sendAsFile(content: Buffer): 'sent' | 'full' | 'too-long' {
    const fd = check('memfd_create', memfdCreate()('journal-data', MFD_CLOEXEC | MFD_ALLOW_SEALING));
    try {
      for (let at = 0; at < content.length; ) at += writeSync(fd, content, at);
      check('fcntl', fcntl()(fd, F_ADD_SEALS, 'int', ALL_SEALS));
      const control = controlMessage(fd);
      const header = messageHeader(control);
      return outcome('sendmsg', sendmsg()(this.#fd, header, MSG_NOSIGNAL));
    } finally {
      closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function outcome(call: string, result: number): 'sent' | 'full' | 'too-long' {
  if (result >= 0) return 'sent';
  const error = new SyscallError(call, lastErrno());
  switch (errnoOf(error)) {
    case 'EAGAIN':
    case 'ENOBUFS':
    case 'EINTR':
      return 'full';
    case 'EMSGSIZE':
      return 'too-long';
    default:
      throw error;
  }
}

/** struct cmsghdr with one descriptor, padded to eight bytes. */
function controlMessage(fd: number): Buffer {
  const control = Buffer.alloc(24);
  control.writeBigUInt64LE(20n, 0);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  control.writeInt32LE(fd, 16);
  return control;
}

/** struct msghdr: no name, no data, only the control message. The buffer it points to must outlive the call. */
function messageHeader(control: Buffer): Buffer {
  const header = Buffer.alloc(56);
  header.writeBigUInt64LE(libc().koffi.address(control), 32);
  header.writeBigUInt64LE(BigInt(control.length), 40);
  return header;
}
