/**
 * Connections to a shim's socket. The path of a socket must fit into 108 bytes, so it is reached through a descriptor
 * of the shim's directory.
 */
import { once } from 'node:events';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect as connectSocket } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, internal, messageOf, notFound, unavailable } from '../base/errors.ts';
import { shimName } from './naming.ts';

export const SOCKET_NAME = 'shim.sock';
const BUSY_PAUSE_MS = 20;

/** A connected socket, its reading side paused. `not-found` when nobody listens; the signal's reason when it aborts. */
export async function connectShim(dir: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    try {
      return await attempt(dir, signal);
    } catch (error) {
      signal.throwIfAborted();
      switch (errnoOf(error)) {
        case 'EAGAIN': // The shim's backlog is full for the moment.
          await sleep(BUSY_PAUSE_MS, undefined, { signal });
          break;
        case 'ENOENT':
        case 'ENOTDIR':
        case 'ECONNREFUSED':
          throw notFound(`${shimName(dir)} is gone`, error);
        default:
          throw internal(`cannot reach ${shimName(dir)}: ${messageOf(error)}`, error);
      }
    }
  }
}

async function attempt(dir: string, signal: AbortSignal): Promise<Socket> {
  await using handle = await open(dir, constants.O_RDONLY | constants.O_DIRECTORY);
  const socket = connectSocket({ path: `/proc/self/fd/${handle.fd}/${SOCKET_NAME}`, allowHalfOpen: true });
  // A failure is seen by whoever waits for something; between two waits it must not end the daemon.
  socket.on('error', () => {});
  try {
    await once(socket, 'connect', { signal });
    return socket;
  } catch (error) {
    socket.destroy();
    throw error;
  }
}

/** The next line without its newline; what follows it stays in the socket. */
export async function readLine(socket: Socket, maxBytes: number, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for (;;) {
    const chunk: unknown = socket.read();
    if (Buffer.isBuffer(chunk)) {
      const newline = chunk.indexOf(0x0a);
      if (newline !== -1) {
        chunks.push(chunk.subarray(0, newline));
        if (newline + 1 < chunk.length) socket.unshift(chunk.subarray(newline + 1));
        return Buffer.concat(chunks).toString('utf8');
      }
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBytes) throw internal('the answer is too long');
    } else if (socket.readableEnded || socket.destroyed) {
      throw socket.errored ?? unavailable('the connection was closed');
    } else {
      await readableOrEnd(socket, signal);
    }
  }
}

/** Resolves when reading again is worth while; rejects when the socket fails or the signal aborts. */
async function readableOrEnd(socket: Socket, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  try {
    const options = { signal: AbortSignal.any([signal, done.signal]) };
    await Promise.race([once(socket, 'readable', options), once(socket, 'end', options), once(socket, 'close', options)]);
  } finally {
    done.abort();
  }
}
