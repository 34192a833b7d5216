/**
 * Takes a connection away from node:http after a request has been read, for attach and exec. There is deliberately no
 * `upgrade` listener: then Node parses a request with an Upgrade header like any other and delivers its body through
 * the request, in Node 24 and 26 alike (with a listener they differ, and Java's `Upgrade: h2c` would end there too).
 *
 * As soon as the body has ended the connection is *frozen*: HTTP reads no more from it, so that whatever the client
 * sends next, even if it looks like HTTP, stays in the kernel until the handler has taken the stream. What came in the same
 * packet as a request without Upgrade header is what the parser chokes on; `rescueEarlyInput` gets it back.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

const HTTP_LISTENERS = ['data', 'end', 'drain', 'error', 'timeout'] as const;

/** Input that followed a request in its own packet, by connection. */
const earlyInput = new WeakMap<Socket, Buffer>();
const hijackable = new WeakMap<Socket, IncomingMessage>();

/** Says that the current request of the connection may be hijacked: what follows it is not HTTP. */
export function expectHijack(request: IncomingMessage): void {
  hijackable.set(request.socket, request);
}

/**
 * Called for a parse error. True if it is only the early input of a request that will be hijacked; it is kept then.
 * A packet in which the request's head is not found is not guessed at.
 */
export function rescueEarlyInput(socket: Socket, packet: Buffer | undefined): boolean {
  const request = hijackable.get(socket);
  if (request === undefined || packet === undefined || earlyInput.has(socket)) return false;
  const headEnd = packet.indexOf('\r\n\r\n');
  if (headEnd < 0 || request.headers['transfer-encoding'] !== undefined) return false;
  const bodyEnd = headEnd + 4 + Number(request.headers['content-length'] ?? '0');
  if (bodyEnd >= packet.length) return false;
  earlyInput.set(socket, packet.subarray(bodyEnd));
  return true;
}

/** Stops HTTP from reading the connection; the response can still be sent, and closes it. Call when the body has ended. */
export function freeze(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  unconsume(socket);
  for (const event of HTTP_LISTENERS) {
    for (const listener of socket.rawListeners(event)) {
      // The response needs to know when the client takes more again.
      if (event !== 'drain') socket.removeListener(event, listener as (...args: unknown[]) => void);
    }
  }
  socket.on('error', () => {});
  socket.pause();
  response.shouldKeepAlive = false;
}

/** Gives the frozen connection out as a raw stream, after writing the head of the answer. */
export function takeConnection(request: IncomingMessage, response: ServerResponse, head: string): Socket {
  const { socket } = request;
  hijackable.delete(socket);
  response.detachSocket(socket);
  socket.removeAllListeners('drain');
  socket.setTimeout(0);
  const early = earlyInput.get(socket);
  earlyInput.delete(socket);
  if (early !== undefined) socket.unshift(early);
  socket.write(head);
  return socket;
}

/** Node feeds the parser from the socket's handle, past its events; `unconsume` is how its own upgrade path ends that. */
function unconsume(socket: Socket): void {
  const parser: unknown = Reflect.get(socket, 'parser');
  if (typeof parser !== 'object' || parser === null) return;
  const method: unknown = Reflect.get(parser, 'unconsume');
  if (typeof method === 'function') Reflect.apply(method, parser, []);
}
