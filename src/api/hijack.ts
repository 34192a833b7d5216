/**
 * Takes a connection away from node:http after a request has been read, for attach and exec. There is deliberately no
 * `upgrade` listener: then Node parses a request with an Upgrade header like any other and delivers its body through
 * the request, in Node 24 and 26 alike (with a listener they differ, and Java's `Upgrade: h2c` would end there too).
 *
 * As soon as the body has ended the connection is *frozen*: HTTP reads no more from it, so that whatever the client
 * sends next, even if it looks like HTTP, stays in the kernel until the handler has taken the stream. What came in the same
 * packet as a request without Upgrade header is what the parser chokes on; `rescueEarlyInput` gets it back. (No known client
 * sends input before it has the answer; some that looks like the beginning of a request would be lost.)
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

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

/**
 * Stops HTTP from reading the connection; the response can still be sent, and closes it. Call when the body has ended.
 * A `readable` listener is what makes Node take the socket's data back from its parser, and holds what comes.
 */
export function freeze(request: IncomingMessage, response: ServerResponse): void {
  const { socket } = request;
  for (const event of ['data', 'end', 'error', 'timeout']) socket.removeAllListeners(event);
  socket.on('error', ignore);
  socket.on('readable', ignore);
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
  thawAtFirstReader(socket);
  return socket;
}

/**
 * Input stays in the kernel until somebody listens for it, however long that takes (an attach waits for its container's
 * start). Pausing would not do: a `resume` that Node has scheduled by then undoes it.
 */
function thawAtFirstReader(socket: Socket): void {
  const thaw = (event: string | symbol): void => {
    if (event !== 'data') return;
    socket.removeListener('newListener', thaw);
    socket.removeListener('readable', ignore);
  };
  socket.on('newListener', thaw);
}

function ignore(): void {}
