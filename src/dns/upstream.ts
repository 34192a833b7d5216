/**
 * Asking name servers on behalf of a container. Servers are asked one after the other without giving up on those before,
 * so that neither a dead nor a slow one costs the answer that another one has; the whole is bounded.
 */
import { createSocket } from 'node:dgram';
import { Socket } from 'node:net';
import { randomInt } from 'node:crypto';
import type { Upstream } from '../core/ports/names.ts';
import { connectSocketIn, openSocketIn } from '../sys/resolverSockets.ts';
import { RCODE, replyCode, withId } from './message.ts';
import type { Question } from './message.ts';

export type Transport = 'udp' | 'tcp';

export interface ForwardRequest {
  readonly message: Buffer;
  readonly question: Question;
  readonly transport: Transport;
  readonly netnsPath: string;
  /** Default 53; tests have others. */
  readonly port?: number;
}

export interface Reply {
  readonly message: Buffer;
  readonly rcode: number;
}

export interface Patience {
  /** After so long without an answer the next server is asked too. */
  readonly stepMs: number;
  readonly totalMs: number;
}

/** libc asks again after 5 s: by then two servers more have been asked. */
const PATIENCE: Patience = { stepMs: 1500, totalMs: 8000 };
/** As many as libc asks. */
const MAX_SERVERS = 3;

/** The servers' answer, under the id of the query; undefined if none came. */
export async function forward(request: ForwardRequest, upstreams: readonly Upstream[], patience: Patience = PATIENCE): Promise<Buffer | undefined> {
  const ask = request.transport === 'udp' ? askUdp : askTcp;
  const reply = await firstGood(upstreams.slice(0, MAX_SERVERS), (server, signal) => ask(request, server, signal), patience);
  return reply === undefined ? undefined : withId(reply.message, request.message.readUInt16BE(0));
}

/** The first answer that settles the matter; else the first of those that do not; undefined if there is none in time. */
export function firstGood<T>(servers: readonly T[], ask: (server: T, signal: AbortSignal) => Promise<Reply>, { stepMs, totalMs }: Patience): Promise<Reply | undefined> {
  const { promise, resolve } = Promise.withResolvers<Reply | undefined>();
  const done = new AbortController();
  let next = 0;
  let running = 0;
  let poor: Reply | undefined;
  let step: NodeJS.Timeout | undefined;
  const finish = (reply: Reply | undefined): void => {
    clearTimeout(step);
    clearTimeout(total);
    done.abort();
    resolve(reply);
  };
  const total = setTimeout(() => finish(poor), totalMs);
  const proceed = (): void => {
    clearTimeout(step);
    if (done.signal.aborted) return;
    const server = servers[next];
    if (server === undefined) {
      if (running === 0) finish(poor);
      return;
    }
    next += 1;
    running += 1;
    step = setTimeout(proceed, stepMs);
    ask(server, done.signal).then(
      (reply) => {
        running -= 1;
        if (reply.rcode === RCODE.ok || reply.rcode === RCODE.noSuchName) {
          finish(reply);
          return;
        }
        poor ??= reply;
        proceed();
      },
      () => {
        running -= 1;
        proceed();
      },
    );
  };
  proceed();
  return promise;
}

const netnsFor = ({ netnsPath }: ForwardRequest, { from }: Upstream): string | undefined => (from === 'host' ? undefined : netnsPath);

/** A socket, and with it a port, of its own for each question: with the id that is what an attacker would have to guess. */
function askUdp(request: ForwardRequest, server: Upstream, signal: AbortSignal): Promise<Reply> {
  const id = randomInt(0x10000);
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const socket = createSocket(server.address.includes(':') ? 'udp6' : 'udp4');
  const close = (): void => void socket.close();
  socket.once('close', () => reject(new Error('closed')));
  socket.on('error', (error) => reject(error));
  socket.on('message', (message) => {
    const rcode = replyCode(message, id, request.question);
    if (rcode !== undefined) resolve({ message, rcode });
  });
  socket.once('connect', () => socket.send(withId(request.message, id)));
  signal.addEventListener('abort', close, { once: true });
  try {
    socket.bind({ fd: openSocketIn(netnsFor(request, server), 'udp', server.address), exclusive: true }, () => socket.connect(request.port ?? 53, server.address));
  } catch (error) {
    reject(error instanceof Error ? error : new Error(String(error)));
  }
  return promise.finally(() => {
    signal.removeEventListener('abort', close);
    if (!signal.aborted) socket.close();
  });
}

function askTcp(request: ForwardRequest, server: Upstream, signal: AbortSignal): Promise<Reply> {
  const id = randomInt(0x10000);
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  let socket: Socket;
  try {
    socket = new Socket({ fd: connectSocketIn(netnsFor(request, server), server.address, request.port ?? 53), signal });
  } catch (error) {
    return Promise.reject(error instanceof Error ? error : new Error(String(error)));
  }
  let received = Buffer.alloc(0);
  socket.on('error', (error) => reject(error));
  socket.once('close', () => reject(new Error('closed')));
  socket.on('data', (chunk) => {
    received = Buffer.concat([received, chunk]);
    const length = received.length < 2 ? Infinity : received.readUInt16BE(0) + 2;
    if (received.length < length) return;
    const message = received.subarray(2, length);
    const rcode = replyCode(message, id, request.question);
    if (rcode === undefined) reject(new Error('not an answer'));
    else resolve({ message, rcode });
  });
  socket.write(frame(withId(request.message, id)));
  return promise.finally(() => socket.destroy());
}

/** A message as it goes over TCP. */
export function frame(message: Buffer): Buffer {
  const framed = Buffer.alloc(message.length + 2);
  framed.writeUInt16BE(message.length, 0);
  message.copy(framed, 2);
  return framed;
}
