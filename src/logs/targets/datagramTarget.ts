/**
 * Targets that take datagrams. Over UDP nothing is confirmed, but a host that refuses says so at the next send; what waits
 * from an absence of either side is sent at a pace that a receiver can follow.
 */
import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, messageOf } from '../../base/errors.ts';
import { DeliveryError } from '../../core/ports/logTargets.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { UnixDatagram } from '../../sys/unixDatagram.ts';

/** Messages between two pauses. */
const SLICE = 32;
const PAUSE_MS = 2;
const OPEN_MS = 10_000;
/** How long a unix receiver may have no room. */
const FULL_MS = 10_000;
const MAX_FULL_PAUSE_MS = 50;

/** The datagrams of one message; none: it is not sent. */
export type EncodeDatagrams = (message: LogMessage) => readonly Buffer[];

export class UdpTarget implements LogTarget {
  readonly address: string;
  readonly #host: string;
  readonly #port: number;
  readonly #encode: EncodeDatagrams;
  #socket: Socket | undefined;
  #error: Error | undefined;

  constructor(options: { address: string; host: string; port: number; encode: EncodeDatagrams }) {
    this.address = options.address;
    this.#host = options.host;
    this.#port = options.port;
    this.#encode = options.encode;
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    for (let from = 0; from < messages.length; from += SLICE) {
      try {
        const socket = this.#socket ?? (await this.#open());
        for (const message of messages.slice(from, from + SLICE)) for (const datagram of this.#encode(message)) await sendOne(socket, datagram);
        // A refusal of what was just sent is back by then, from near by.
        await sleep(PAUSE_MS);
        if (this.#error !== undefined) throw this.#error;
      } catch (error) {
        this.close();
        throw new DeliveryError(messageOf(error), { delivered: from, cause: error });
      }
    }
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#error = undefined;
  }

  async #open(): Promise<Socket> {
    const { address, family } = await lookup(this.#host);
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    socket.on('error', (error) => {
      this.#error = error;
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`no socket within ${OPEN_MS} ms`)), OPEN_MS);
    socket.once('error', reject);
    socket.connect(this.#port, address, resolve);
    try {
      await promise;
    } catch (error) {
      socket.close();
      throw error;
    } finally {
      clearTimeout(timer);
      socket.off('error', reject);
    }
    this.#socket = socket;
    this.#error = undefined;
    return socket;
  }
}

/** A datagram that is too long for the network is left out: no later attempt could send it. */
function sendOne(socket: Socket, datagram: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.send(datagram, (error) => {
      if (error === null || errnoOf(error) === 'EMSGSIZE') resolve();
      else reject(error);
    });
  });
}

/** Receivers on this host: /dev/log, journald. A datagram that was sent lies in the receiver's queue. */
export class UnixDatagramTarget implements LogTarget {
  readonly address: string;
  readonly #paths: readonly string[];
  readonly #encode: EncodeDatagrams;
  readonly #longAsFile: boolean;
  #socket: UnixDatagram | undefined;
  #closed = false;

  /** The first of `paths` that takes a connection is used. `longAsFile`: what is too long for a datagram goes as a file in memory. */
  constructor(options: { address: string; paths: readonly string[]; encode: EncodeDatagrams; longAsFile: boolean }) {
    this.address = options.address;
    this.#paths = options.paths;
    this.#encode = options.encode;
    this.#longAsFile = options.longAsFile;
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    this.#closed = false;
    for (const [index, message] of messages.entries()) {
      try {
        for (const datagram of this.#encode(message)) await this.#sendOne(datagram);
      } catch (error) {
        this.#release();
        throw new DeliveryError(messageOf(error), { delivered: index, cause: error });
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.#release();
  }

  #release(): void {
    this.#socket?.[Symbol.dispose]();
    this.#socket = undefined;
  }

  async #sendOne(datagram: Buffer): Promise<void> {
    const deadline = performance.now() + FULL_MS;
    for (let pause = 1; ; pause = Math.min(2 * pause, MAX_FULL_PAUSE_MS)) {
      if (this.#closed) throw new Error('the connection was closed');
      this.#socket ??= this.#open();
      const short = this.#socket.send(datagram);
      const result = short === 'too-long' && this.#longAsFile ? this.#socket.sendAsFile(datagram) : short;
      if (result !== 'full') return;
      if (performance.now() > deadline) throw new Error(`nothing was taken within ${FULL_MS} ms`);
      await sleep(pause);
    }
  }

  #open(): UnixDatagram {
    let first: unknown;
    for (const path of this.#paths) {
      try {
        return new UnixDatagram(path);
      } catch (error) {
        first ??= error;
      }
    }
    throw first instanceof Error ? first : new Error(`no socket at ${this.#paths.join(', ')}`);
  }
}
