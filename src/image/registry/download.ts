/** Blobs to disk: resumed where a connection broke, bounded by the size that was promised, checked against the digest. */
import { createHash, randomUUID } from 'node:crypto';
import type { Hash } from 'node:crypto';
import { open, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { errnoOf, messageOf, unavailable } from '../../base/errors.ts';
import type { Descriptor } from '../../core/image/manifest.ts';
import { RegistryError } from './registryError.ts';
import type { Session } from './session.ts';
import type { HttpResponse } from './transport.ts';

export interface DownloadOptions {
  readonly folder: string;
  readonly maxAttempts: number;
  /** Grows by as much with each attempt. */
  readonly retryMs: number;
  readonly signal: AbortSignal;
  /** Bytes that are there. */
  readonly onBytes: (total: number) => void;
  /** All bytes are there and are now checked. */
  readonly onVerify: () => void;
  readonly onRetry: (secondsLeft: number) => void;
}

/** No further attempt helps. */
class Final extends Error {
  readonly error: unknown;

  constructor(error: unknown) {
    super(messageOf(error));
    this.error = error;
  }
}

/** The blob as a file of the folder, to be removed by the caller. On an error nothing stays. */
export async function downloadBlob(session: Session, path: string, blob: Descriptor, options: DownloadOptions): Promise<string> {
  const file = join(options.folder, `blob-${randomUUID()}`);
  const handle = await open(file, 'wx', 0o600);
  try {
    const partial = new Partial(handle, blob, options);
    for (let attempt = 1; !(await attemptOnce(session, path, partial, attempt >= options.maxAttempts)); attempt += 1) {
      await waitBeforeRetry(attempt, options);
    }
    await handle.close();
    return file;
  } catch (error) {
    await handle.close();
    await rm(file, { force: true });
    throw error instanceof Final ? error.error : error;
  }
}

/** True when the blob is whole; false when it is worth another attempt. */
async function attemptOnce(session: Session, path: string, partial: Partial, last: boolean): Promise<boolean> {
  try {
    await partial.fetch(session, path);
    await partial.verify();
    return true;
  } catch (error) {
    partial.options.signal.throwIfAborted();
    if (last || error instanceof Final || (error instanceof RegistryError && !error.transient) || errnoOf(error) === 'ENOSPC') throw error;
    return false;
  }
}

async function waitBeforeRetry(attempt: number, { retryMs, signal, onRetry }: DownloadOptions): Promise<void> {
  for (let left = retryMs * attempt; left > 0; left -= 1000) {
    onRetry(Math.ceil(left / 1000));
    await delay(Math.min(left, 1000), undefined, { signal });
  }
}

class Partial {
  readonly options: DownloadOptions;
  readonly #handle: FileHandle;
  readonly #blob: Descriptor;
  #hash: Hash = createHash('sha256');
  #size = 0;
  #resumed = false;

  constructor(handle: FileHandle, blob: Descriptor, options: DownloadOptions) {
    this.#handle = handle;
    this.#blob = blob;
    this.options = options;
  }

  /** Appends what is missing. */
  async fetch(session: Session, path: string): Promise<void> {
    if (this.#size === this.#blob.size && this.#size > 0) return;
    const from = this.#size;
    const response = await session.request({
      method: 'GET',
      path: `/v2/${path}/blobs/${this.#blob.digest}`,
      headers: from === 0 ? {} : { Range: `bytes=${from}-` },
      expect: [200, 206, 416],
      signal: this.options.signal,
    });
    try {
      if (from > 0 && !continues(response, from)) await this.#restart();
      else this.#resumed = from > 0;
      if (response.status === 416) throw unavailable(`registry refused the rest of ${this.#blob.digest}`);
      await this.#append(response);
    } finally {
      response.body.destroy();
    }
    if (this.#size !== this.#blob.size) throw unavailable(`unexpected EOF: ${this.#size} of ${this.#blob.size} bytes of ${this.#blob.digest} came`);
  }

  async verify(): Promise<void> {
    this.options.onVerify();
    if (`sha256:${this.#hash.copy().digest('hex')}` === this.#blob.digest) return;
    const error = unavailable(`filesystem layer verification failed for digest ${this.#blob.digest}`);
    // What was put together of pieces may have been two different things; what came whole is simply wrong.
    if (!this.#resumed) throw new Final(error);
    await this.#restart();
    throw error;
  }

  async #append(response: HttpResponse): Promise<void> {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      if (this.#size + chunk.length > this.#blob.size) {
        throw new Final(unavailable(`blob ${this.#blob.digest} is longer than the ${this.#blob.size} bytes that its manifest says`));
      }
      for (let offset = 0; offset < chunk.length;) offset += (await this.#handle.write(chunk, offset, chunk.length - offset, this.#size + offset)).bytesWritten;
      this.#hash.update(chunk);
      this.#size += chunk.length;
      this.options.onBytes(this.#size);
    }
  }

  async #restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#hash = createHash('sha256');
    this.#size = 0;
    this.#resumed = false;
  }
}

/** Whether the answer goes on where we are. */
const continues = (response: HttpResponse, from: number): boolean =>
  response.status === 206 && response.header('content-range').startsWith(`bytes ${from}-`);
