/** The daemon's connection to the resolver: one order at a time, each answered by one line. */
import { once } from 'node:events';
import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { unavailable } from '../base/errors.ts';
import { CONTROL_SOCKET } from './files.ts';

export class Channel {
  /** Settles when the connection is over, whoever ended it. */
  readonly closed: Promise<void>;
  readonly #socket: Socket;
  #kept = false;
  readonly #waiting: ((line: string | undefined) => void)[] = [];

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    const lines = createInterface({ input: socket });
    lines.on('line', (line) => this.#waiting.shift()?.(line));
    // It says again what the socket said.
    lines.on('error', () => {});
    this.closed = new Promise((resolve) => {
      socket.once('close', () => {
        for (const answer of this.#waiting.splice(0)) answer(undefined);
        resolve();
      });
    });
  }

  /** Connects, by a descriptor of the folder: a socket's path must fit into 108 bytes. Throws if nobody listens. */
  static async open(folder: string): Promise<Channel> {
    await using handle = await open(folder, constants.O_RDONLY | constants.O_DIRECTORY);
    const socket = connect({ path: join(`/proc/self/fd/${handle.fd}`, CONTROL_SOCKET) });
    try {
      await once(socket, 'connect');
    } catch (error) {
      socket.destroy();
      throw error;
    }
    socket.unref();
    return new Channel(socket);
  }

  /** The answer to an order; `unavailable` if none comes in time or the connection ends. */
  async order(line: string, timeoutMs: number): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    if (this.#socket.destroyed) throw unavailable('the resolver is gone');
    this.#waiting.push(resolve);
    this.#socket.write(`${line}\n`);
    // Answers come in order: one that is late makes those behind it useless.
    const timer = setTimeout(() => this.close(), timeoutMs);
    try {
      const answer = await promise;
      if (answer === undefined) throw unavailable('the resolver gave no answer');
      return answer;
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.#socket.destroy();
  }

  /** It outlives the `using` that it was opened by. */
  keep(): this {
    this.#kept = true;
    return this;
  }

  [Symbol.dispose](): void {
    if (!this.#kept) this.close();
  }
}
