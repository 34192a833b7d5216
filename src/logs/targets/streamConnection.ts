/**
 * A connection over TCP, TLS or a unix stream that knows when its peer has taken what was written. Few log protocols
 * confirm anything; but the kernel knows what the peer's kernel has acknowledged (of a unix socket: what the peer has
 * read), and a peer that closes with bytes unread is heard as a reset rather than as an end.
 */
import { connect as connectPlain } from 'node:net';
import type { Socket } from 'node:net';
import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import { errnoOf, messageOf } from '../../base/errors.ts';
import { DeliveryError } from '../../core/ports/logTargets.ts';
import { descriptorOf, untakenBytes } from '../../sys/socketQueue.ts';
import { readTlsFiles } from './tlsFiles.ts';
import type { TlsFiles } from './tlsFiles.ts';

export type StreamEndpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp' | 'tls'; readonly host: string; readonly port: number; readonly files?: TlsFiles };

const NO_FILES: TlsFiles = { ca: undefined, cert: undefined, key: undefined, skipVerify: false };

const KEEP_ALIVE_MS = 15_000;
const MAX_PAUSE_MS = 20;
/** Of an answer that nobody has asked for, so much is kept. */
const MAX_ANSWER_BYTES = 64 * 1024;

export class StreamConnection {
  readonly #socket: Socket;
  readonly #fd: number;
  readonly #failed: Promise<never>;
  #failure: DeliveryError | undefined;
  #fail: (error: DeliveryError) => void = () => {};
  #answer: Buffer = Buffer.alloc(0);
  #heard: () => void = () => {};

  private constructor(socket: Socket, fd: number) {
    this.#socket = socket;
    this.#fd = fd;
    this.#failed = new Promise((_, reject) => {
      this.#fail = (error) => {
        this.#failure ??= error;
        reject(this.#failure);
      };
    });
    this.#failed.catch(() => undefined);
    socket.on('error', (error) => this.#fail(new DeliveryError(messageOf(error), { doubtful: errnoOf(error) === 'ECONNRESET', cause: error })));
    socket.on('end', () => this.#fail(new DeliveryError('the connection was closed by its peer')));
    socket.on('close', () => this.#fail(new DeliveryError('the connection was closed')));
    // What is not read would hide the end behind it.
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
  }

  /** Connects within the bound, or throws a DeliveryError. */
  static async open(endpoint: StreamEndpoint, timeoutMs: number): Promise<StreamConnection> {
    const files = endpoint.kind === 'tls' ? await readTlsFiles(endpoint.files ?? NO_FILES) : undefined;
    const raw = endpoint.kind === 'unix' ? connectPlain({ path: endpoint.path }) : connectPlain({ host: endpoint.host, port: endpoint.port });
    raw.on('error', () => undefined);
    let socket: Socket = raw;
    try {
      await event(raw, 'connect', timeoutMs);
      const fd = descriptorOf(raw);
      if (endpoint.kind !== 'unix') raw.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
      if (endpoint.kind === 'tls') {
        socket = connectTls({ socket: raw, host: endpoint.host, ...(/^[\d.]+$|:/.test(endpoint.host) ? {} : { servername: endpoint.host }), ...files });
        socket.on('error', () => undefined);
        await event(socket, 'secureConnect', timeoutMs);
      }
      return new StreamConnection(socket, fd);
    } catch (error) {
      socket.destroy();
      raw.destroy();
      throw new DeliveryError(messageOf(error), { cause: error });
    }
  }

  /** It can be written to, as far as is known. */
  get open(): boolean {
    return this.#failure === undefined;
  }

  /** Resolves when the peer has taken all of it; throws a DeliveryError after the bound, or when the connection breaks. */
  async write(bytes: Buffer, timeoutMs: number): Promise<void> {
    await this.#within(timeoutMs, async (expired) => {
      await new Promise<void>((resolve) => {
        this.#socket.write(bytes, () => resolve());
      });
      for (let pause = 1; !expired() && this.open && untakenBytes(this.#fd) > 0; pause = Math.min(2 * pause, MAX_PAUSE_MS)) await sleep(pause);
      // An end that has arrived with the last acknowledgement is heard in the next turn.
      await turn();
      await turn();
    });
  }

  /** Resolves when `complete` accepts all that was received since the last call; it may throw. */
  async answer(complete: (received: Buffer) => boolean, timeoutMs: number): Promise<void> {
    await this.#within(timeoutMs, async (expired) => {
      while (!complete(this.#answer) && !expired()) {
        await new Promise<void>((resolve) => {
          this.#heard = resolve;
        });
      }
    });
    this.#answer = Buffer.alloc(0);
  }

  close(): void {
    this.#fail(new DeliveryError('the connection was closed'));
    this.#socket.destroy();
  }

  #take(chunk: Buffer): void {
    this.#answer = this.#answer.length + chunk.length > MAX_ANSWER_BYTES ? chunk.subarray(0, MAX_ANSWER_BYTES) : Buffer.concat([this.#answer, chunk]);
    this.#heard();
  }

  async #within(timeoutMs: number, work: (expired: () => boolean) => Promise<void>): Promise<void> {
    let over = false;
    const timer = setTimeout(() => {
      over = true;
      this.#fail(new DeliveryError(`nothing was taken within ${timeoutMs} ms`));
      this.#heard();
      this.#socket.destroy();
    }, timeoutMs);
    try {
      await Promise.race([work(() => over), this.#failed]);
      if (this.#failure !== undefined) throw this.#failure;
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The next event of a socket that is being opened, within the bound. */
function event(socket: Socket, name: 'connect' | 'secureConnect', timeoutMs: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    const settle = (act: () => void) => (): void => {
      clearTimeout(timer);
      act();
    };
    socket.once(name, settle(resolve));
    socket.once('error', (error) => settle(() => reject(error))());
    socket.once('close', settle(() => reject(new Error('the connection was closed'))));
  });
}
