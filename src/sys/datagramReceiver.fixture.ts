/** Receives unix datagrams, and the files that come with them, as journald does. */
import { closeSync, fstatSync, readSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { check, libc, prototype } from './libc.ts';

const socket = prototype<(domain: number, type: number, protocol: number) => number>('int socket(int domain, int type, int protocol)');
const bind = prototype<(fd: number, address: Buffer, length: number) => number>('int bind(int fd, const void *address, unsigned int length)');
const recvmsg = prototype<(fd: number, header: Buffer, flags: number) => number>('int64_t recvmsg(int fd, void *header, int flags)');
const fcntl = prototype<(fd: number, command: number, type: 'int', value: number) => number>('int fcntl(int fd, int command, ...)');

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const F_GET_SEALS = 1034;

export class DatagramReceiver implements Disposable {
  readonly #fd: number;
  readonly #path: string;
  readonly received: Buffer[] = [];
  /** Of the files that came, the seals. */
  readonly seals: number[] = [];

  constructor(path: string) {
    this.#path = path;
    this.#fd = check('socket', socket()(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const address = Buffer.alloc(110);
    address.writeUInt16LE(AF_UNIX, 0);
    address.write(path, 2);
    check('bind', bind()(this.#fd, address, 2 + Buffer.byteLength(path) + 1));
  }

  /** Takes one datagram if there is one. */
  take(): boolean {
    const data = Buffer.alloc(300_000);
    const control = Buffer.alloc(64);
    const vector = Buffer.alloc(16);
    const { koffi } = libc();
    vector.writeBigUInt64LE(koffi.address(data), 0);
    vector.writeBigUInt64LE(BigInt(data.length), 8);
    const header = Buffer.alloc(56);
    header.writeBigUInt64LE(koffi.address(vector), 16);
    header.writeBigUInt64LE(1n, 24);
    header.writeBigUInt64LE(koffi.address(control), 32);
    header.writeBigUInt64LE(BigInt(control.length), 40);
    const length = recvmsg()(this.#fd, header, MSG_DONTWAIT);
    if (length < 0) return false;
    this.received.push(header.readBigUInt64LE(40) > 16n ? this.#fileContent(control.readInt32LE(16)) : Buffer.from(data.subarray(0, length)));
    return true;
  }

  async until(count: number): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (this.received.length < count) {
      if (this.take()) continue;
      if (performance.now() > deadline) throw new Error(`only ${this.received.length} of ${count} datagrams came`);
      await sleep(2);
    }
  }

  #fileContent(fd: number): Buffer {
    const content = Buffer.alloc(fstatSync(fd).size);
    readSync(fd, content, 0, content.length, 0);
    this.seals.push(fcntl()(fd, F_GET_SEALS, 'int', 0));
    closeSync(fd);
    return content;
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
  }
}
