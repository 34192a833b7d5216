/** A target at the end of a stream: encodes a batch, writes it, and knows when it was taken. */
import { DeliveryError } from '../../core/ports/logTargets.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { StreamConnection } from './streamConnection.ts';
import type { StreamEndpoint } from './streamConnection.ts';

/** What is written for a batch, and what the answer must be (undefined: none is expected). */
export interface StreamBatch {
  readonly bytes: Buffer;
  readonly answered?: (received: Buffer) => boolean;
}

export interface StreamTargetOptions {
  readonly address: string;
  readonly endpoint: StreamEndpoint;
  readonly encode: (messages: readonly LogMessage[]) => StreamBatch;
  /** For a connection, a write and an answer, each. */
  readonly timeoutMs?: number;
}

export const DEFAULT_TIMEOUT_MS = 10_000;

export class StreamTarget implements LogTarget {
  readonly address: string;
  readonly #options: StreamTargetOptions;
  readonly #timeoutMs: number;
  #connection: StreamConnection | undefined;
  #closes = 0;

  constructor(options: StreamTargetOptions) {
    this.address = options.address;
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  async send(messages: readonly LogMessage[]): Promise<void> {
    const { bytes, answered } = this.#options.encode(messages);
    if (bytes.length === 0) return;
    const connection = await this.#connect();
    try {
      await connection.write(bytes, this.#timeoutMs);
      if (answered !== undefined) await connection.answer(answered, this.#timeoutMs);
    } catch (error) {
      connection.close();
      if (this.#connection === connection) this.#connection = undefined;
      throw error;
    }
  }

  close(): void {
    this.#closes += 1;
    this.#connection?.close();
    this.#connection = undefined;
  }

  async #connect(): Promise<StreamConnection> {
    if (this.#connection?.open === true) return this.#connection;
    this.#connection?.close();
    const closes = this.#closes;
    const opened = await StreamConnection.open(this.#options.endpoint, this.#timeoutMs);
    if (closes !== this.#closes) {
      opened.close();
      throw new DeliveryError('the connection was closed');
    }
    this.#connection = opened;
    return opened;
  }
}
