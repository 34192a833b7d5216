/** How much of what was written to a stream socket its peer has not taken yet. */
import type { Socket } from 'node:net';
import { check, prototype } from './libc.ts';

const SIOCOUTQ = 0x5411;

const ioctl = prototype<(fd: number, request: number, value: Buffer) => number>('int ioctl(int fd, unsigned long request, void *value)');

/** TCP: bytes that the peer's kernel has not acknowledged. Unix: memory of what the peer has not read. Zero says that it has all. */
export function untakenBytes(fd: number): number {
  const value = Buffer.alloc(4);
  check('ioctl', ioctl()(fd, SIOCOUTQ, value));
  return value.readInt32LE(0);
}

/** The descriptor of a connected socket, which Node shows on its handle only; −1 if there is none. */
export function descriptorOf(socket: Socket): number {
  const handle: unknown = '_handle' in socket ? socket._handle : undefined;
  return typeof handle === 'object' && handle !== null && 'fd' in handle && typeof handle.fd === 'number' ? handle.fd : -1;
}
