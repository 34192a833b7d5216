/** One worker thread that talks in messages with whoever started it, for work that goes on by itself. */
import { parentPort, Worker } from 'node:worker_threads';

export interface ThreadEvents<From> {
  onMessage(message: From): void;
  /** It ended by itself; `reason` says why. Not told after `end`. */
  onExit(reason: string): void;
}

/** The starter's side. Messages are copied. It does not keep the process alive. */
export class ChannelThread<To, From> {
  readonly #worker: Worker;
  #ended = false;

  /** `entry` is the thread's module, which calls `serveChannel`. */
  constructor(entry: URL, events: ThreadEvents<From>) {
    this.#worker = new Worker(entry, { execArgv: [] });
    let reason = 'it ended';
    this.#worker.on('message', (message: From) => events.onMessage(message));
    this.#worker.on('error', (error: unknown) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    this.#worker.once('exit', () => {
      if (!this.#ended) events.onExit(reason);
    });
    this.#worker.unref();
  }

  post(message: To): void {
    this.#worker.postMessage(message);
  }

  async end(): Promise<void> {
    this.#ended = true;
    await this.#worker.terminate();
  }
}

/** The thread's side: `handle` takes each message; the result posts to the starter. */
export function serveChannel<To, From>(handle: (message: To) => void): (message: From) => void {
  parentPort?.on('message', (message: To) => handle(message));
  return (message) => parentPort?.postMessage(message);
}
