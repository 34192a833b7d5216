/** Answers what one container asks, over the sockets inside its namespace. */
import { createSocket } from 'node:dgram';
import type { RemoteInfo, Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { decide } from './answer.ts';
import type { Directory } from './directory.ts';
import { encodeReply, RCODE, receive, replyLimit } from './message.ts';
import type { Query } from './message.ts';
import { forward, frame } from './upstream.ts';
import type { ForwardRequest, Transport } from './upstream.ts';

/** Questions under way to other servers: of one container, and of all. Beyond it they are refused, as by Docker. */
const MAX_FORWARDED = 256;
const MAX_FORWARDED_TOTAL = 1024;
const MAX_CONNECTIONS = 64;
const IDLE_MS = 10_000;

let forwardedTotal = 0;

export interface ServiceSockets {
  readonly udp: number;
  readonly tcp: number;
}

export class Service {
  readonly #id: string;
  readonly #directory: Directory;
  readonly #datagrams: Datagrams;
  readonly #server: Server;
  readonly #connections = new Set<Socket>();
  #forwarded = 0;

  private constructor(id: string, directory: Directory) {
    this.#id = id;
    this.#directory = directory;
    this.#datagrams = createSocket('udp4');
    this.#server = createServer({ allowHalfOpen: true });
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#datagrams.on('error', () => {});
    this.#server.on('error', () => {});
    this.#datagrams.on('message', (message, from) => void this.#onDatagram(message, from));
    this.#server.on('connection', (socket) => void this.#onConnection(socket));
  }

  /** Takes the sockets over; they are closed with the service, or if it cannot be started. */
  static async start(id: string, directory: Directory, sockets: ServiceSockets): Promise<Service> {
    const service = new Service(id, directory);
    try {
      const ready = Promise.all([once(service.#datagrams, 'listening'), once(service.#server, 'listening')]);
      service.#datagrams.bind({ fd: sockets.udp, exclusive: true });
      service.#server.listen({ fd: sockets.tcp, exclusive: true });
      await ready;
      return service;
    } catch (error) {
      service.close();
      throw error;
    }
  }

  /** Closes our descriptors. What others hold of the same sockets goes on collecting questions. */
  close(): void {
    try {
      this.#datagrams.close();
    } catch {
      // It was never bound.
    }
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
  }

  async #onDatagram(message: Buffer, from: RemoteInfo): Promise<void> {
    const reply = await this.#resolve(message, 'udp');
    if (reply === undefined) return;
    // The client may be gone by now, and the service too.
    try {
      this.#datagrams.send(reply, from.port, from.address, () => {});
    } catch {
      return;
    }
  }

  async #onConnection(socket: Socket): Promise<void> {
    this.#connections.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => this.#connections.delete(socket));
    socket.setTimeout(IDLE_MS, () => socket.destroy());
    try {
      let waiting = Buffer.alloc(0);
      for await (const chunk of socket as AsyncIterable<Buffer>) {
        waiting = Buffer.concat([waiting, chunk]);
        while (waiting.length >= 2 && waiting.length >= waiting.readUInt16BE(0) + 2) {
          const end = waiting.readUInt16BE(0) + 2;
          const reply = await this.#resolve(waiting.subarray(2, end), 'tcp');
          if (reply === undefined) return;
          await written(socket, frame(reply));
          waiting = waiting.subarray(end);
        }
      }
      socket.end();
    } catch {
      // It went while it was asking.
    } finally {
      if (!socket.writableEnded) socket.destroy();
    }
  }

  async #resolve(message: Buffer, transport: Transport): Promise<Buffer | undefined> {
    const received = receive(message);
    if (received.kind === 'ignore') return undefined;
    if (received.kind === 'reject') return received.reply;
    const { query } = received;
    const limit = replyLimit(query, transport);
    const decision = decide(this.#directory, this.#id, query);
    if (decision.kind === 'reply') return encodeReply(query, decision, limit);
    const reply = await this.#forward(message, query, transport);
    if (typeof reply === 'number') return encodeReply(query, { rcode: reply, answers: [] }, limit);
    return reply.length <= limit ? reply : cut(reply, query);
  }

  /** What others say, or the response code of what keeps them from saying it. */
  async #forward(message: Buffer, { question }: Query, transport: ForwardRequest['transport']): Promise<Buffer | number> {
    const record = this.#directory.get(this.#id);
    if (record === undefined) return RCODE.failure;
    if (this.#forwarded >= MAX_FORWARDED || forwardedTotal >= MAX_FORWARDED_TOTAL) return RCODE.refused;
    this.#forwarded += 1;
    forwardedTotal += 1;
    try {
      return (await forward({ message, question, transport, netnsPath: record.netnsPath }, record.upstreams)) ?? RCODE.failure;
    } finally {
      this.#forwarded -= 1;
      forwardedTotal -= 1;
    }
  }
}

/** A server sent more than the client can take: it is told to ask over TCP. */
function cut(reply: Buffer, query: Query): Buffer {
  const short = encodeReply(query, { rcode: RCODE.ok, answers: [] }, reply.length);
  short.writeUInt16BE(short.readUInt16BE(2) | 0x0200, 2);
  return short;
}

const written = (socket: Socket, data: Buffer): Promise<void> => new Promise((resolve) => {
  socket.write(data, () => resolve());
});
