/** What a handler answers with. Exactly one of its sending methods is called, once. */
import { once } from 'node:events';
import { STATUS_CODES } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { internal, messageOf, unavailable } from '../base/errors.ts';
import { encodeJson, stringify } from '../wire/goJson.ts';
import type { Codec } from '../wire/goJson.ts';

export interface StreamOptions {
  readonly contentType?: string;
  readonly status?: number;
  /** What ends each line: `\r\n` for progress streams, `\n` (the default) else. */
  readonly separator?: '\n' | '\r\n';
}

export interface HijackOptions {
  /** Of the raw stream; left out of the answer if absent (h2c). */
  readonly contentType?: string;
}

/** Takes the connection away from HTTP; the server gives it to responses of routes with `hijack: true`. */
export type TakeConnection = (head: string) => Duplex;

export class ApiResponse {
  readonly #response: ServerResponse;
  readonly #take: TakeConnection | undefined;
  #hijacked = false;

  constructor(response: ServerResponse, take?: TakeConnection) {
    this.#response = response;
    this.#take = take;
  }

  /** Whether it is too late for a status of one's own. */
  get started(): boolean {
    return this.#hijacked || this.#response.headersSent;
  }

  header(name: string, value: string | number): this {
    this.#response.setHeader(name, value);
    return this;
  }

  /** A value of a known shape. */
  json<T>(codec: Codec<T>, value: T, status = 200): void {
    this.send(`${encodeJson(codec, value)}\n`, { contentType: 'application/json', status });
  }

  /** Any plain value; bigints are written as numbers. */
  value(value: unknown, status = 200): void {
    this.send(`${stringify(value)}\n`, { contentType: 'application/json', status });
  }

  /** No body: 204, or 200, 201, 304 without one. */
  empty(status = 204): void {
    this.#response.statusCode = status;
    if (status !== 204 && status !== 304) this.#response.setHeader('Content-Length', 0);
    this.#response.end();
  }

  /** A whole body. */
  send(body: string | Buffer, options: { readonly contentType: string; readonly status?: number }): void {
    const bytes = typeof body === 'string' ? Buffer.from(body) : body;
    this.#response.statusCode = options.status ?? 200;
    this.#response.setHeader('Content-Type', options.contentType);
    this.#response.setHeader('Content-Length', bytes.length);
    this.#response.end(bytes);
  }

  /** A body that comes bit by bit. The status and headers are sent at once, before there is anything to say. */
  stream(options: StreamOptions = {}): StreamWriter {
    this.#response.statusCode = options.status ?? 200;
    this.#response.setHeader('Content-Type', options.contentType ?? 'application/json');
    this.#response.flushHeaders();
    return new StreamWriter(this.#response, options.separator ?? '\n');
  }

  /**
   * Turns the connection into a raw stream in both directions: 101 if the client asked for an upgrade, else 200 without
   * a length. Only for routes with `hijack: true`; the caller owns the stream from now on, and ends it.
   */
  hijack(options: HijackOptions = {}): Duplex {
    if (this.#take === undefined) throw internal('this route does not hijack its connection');
    const upgrade = this.#response.req.headers.upgrade;
    const lines = [upgrade === undefined ? 'HTTP/1.1 200 OK' : 'HTTP/1.1 101 UPGRADED'];
    if (options.contentType !== undefined) lines.push(`Content-Type: ${options.contentType}`);
    if (upgrade !== undefined) lines.push('Connection: Upgrade', `Upgrade: ${upgrade}`);
    for (const [name, value] of Object.entries(this.#response.getHeaders())) {
      if (name !== 'connection') lines.push(`${canonical(name)}: ${String(value)}`);
    }
    this.#hijacked = true;
    return this.#take(`${lines.join('\r\n')}\r\n\r\n`);
  }
}

/** Go's spelling of a header's name. */
const canonical = (name: string): string => name.replace(/(^|-)[a-z]/g, (start) => start.toUpperCase());

/** Writes with back-pressure: each write waits until the client takes more, or fails when the client has gone. */
export class StreamWriter {
  readonly #response: ServerResponse;
  readonly #separator: string;

  constructor(response: ServerResponse, separator: string) {
    this.#response = response;
    this.#separator = separator;
    // Otherwise a client that goes while nobody writes is an uncaught error.
    response.on('error', () => {});
  }

  /** One JSON value and its separator, sent at once. */
  line(value: unknown): Promise<void> {
    return this.write(stringify(value) + this.#separator);
  }

  async write(chunk: string | Uint8Array): Promise<void> {
    if (this.#response.destroyed) throw unavailable('the client has gone');
    if (this.#response.write(chunk)) return;
    const gone = new AbortController();
    const onClose = () => gone.abort();
    this.#response.once('close', onClose);
    try {
      await once(this.#response, 'drain', { signal: gone.signal });
    } catch (error) {
      throw unavailable('the client has gone', error);
    } finally {
      this.#response.off('close', onClose);
    }
  }

  /** Docker's error within a progress stream, for when the status has been sent; ends the stream. */
  async fail(error: unknown): Promise<void> {
    const message = messageOf(error);
    await this.line({ errorDetail: { message }, error: message });
    this.end();
  }

  end(): void {
    this.#response.end();
  }
}

/** An error answer written on a connection that HTTP has already left, as Docker's attach does. */
export function rawErrorAnswer(status: number, contentType: string, message: string): string {
  return `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Error'}\r\nContent-Type: ${contentType}\r\n\r\n${message}\r\n`;
}
