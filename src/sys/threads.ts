/**
 * Worker threads for work that blocks or has to be confined. A bounded number; further jobs wait in line. A thread
 * without work ends after a while, so that an idle daemon does not keep its memory.
 */
import { parentPort, Worker } from 'node:worker_threads';
import { errnoOf, internal, MooredError } from '../base/errors.ts';
import type { ErrorKind } from '../base/errors.ts';
import { systemErrorMessage } from '../base/systemError.ts';

/** The jobs that a kind of thread does: what each takes and gives. Both are copied between the threads. */
export type JobTable<J> = { [K in keyof J]: { input: unknown; output: unknown } };

export type JobHandlers<J extends JobTable<J>> = {
  [K in keyof J]: (input: J[K]['input']) => J[K]['output'];
};

/** Answers jobs in a worker thread, one at a time; `afterEach` runs whatever became of the job. */
export function serveJobs<J extends JobTable<J>>(handlers: JobHandlers<J>, afterEach: () => void): void {
  const handle = <K extends keyof J>({ name, input }: { name: K; input: J[K]['input'] }): Reply => {
    try {
      return { ok: true, value: handlers[name](input) };
    } catch (error) {
      return { ok: false, error: flatten(error) };
    } finally {
      afterEach();
    }
  };
  parentPort?.on('message', (job: { name: keyof J; input: J[keyof J]['input'] }) => parentPort?.postMessage(handle(job)));
}

type Reply = { ok: true; value: unknown } | { ok: false; error: PlainError };

/** An error that can be sent between threads. */
interface PlainError {
  kind: ErrorKind | undefined;
  code: string | undefined;
  name: string;
  message: string;
}

const flatten = (error: unknown): PlainError => ({
  kind: error instanceof MooredError ? error.kind : undefined,
  code: errnoOf(error),
  name: error instanceof Error ? error.name : 'Error',
  message: systemErrorMessage(error),
});

function revive(plain: PlainError): Error {
  if (plain.kind !== undefined) return new MooredError(plain.kind, plain.message);
  const error = new Error(plain.message);
  error.name = plain.name;
  return plain.code === undefined ? error : Object.assign(error, { code: plain.code });
}

const IDLE_MS = 10_000;

interface Thread {
  readonly worker: Worker;
  idle: NodeJS.Timeout | undefined;
}

export class Threads<J extends JobTable<J>> {
  readonly #entry: URL;
  readonly #limit: number;
  readonly #idleMs: number;
  readonly #all = new Set<Thread>();
  readonly #free: Thread[] = [];
  readonly #waiting: ((thread: Thread) => void)[] = [];

  /** `entry` is the thread's module, which calls `serveJobs`. */
  constructor(entry: URL, limit: number, idleMs = IDLE_MS) {
    this.#entry = entry;
    this.#limit = limit;
    this.#idleMs = idleMs;
  }

  /** Runs one job; rejects with its error, or if the thread dies. */
  async run<K extends keyof J>(name: K, input: J[K]['input']): Promise<J[K]['output']> {
    const thread = await this.#acquire();
    try {
      const reply = await request(thread.worker, { name, input });
      if (!reply.ok) throw revive(reply.error);
      return reply.value;
    } finally {
      this.#release(thread);
    }
  }

  /** Ends all threads; a job that runs is rejected. */
  async close(): Promise<void> {
    await Promise.all([...this.#all].map((thread) => this.#end(thread)));
  }

  async #acquire(): Promise<Thread> {
    const free = this.#free.pop();
    if (free !== undefined) {
      clearTimeout(free.idle);
      free.worker.ref();
      return free;
    }
    if (this.#all.size < this.#limit) return this.#start();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #start(): Thread {
    const worker = new Worker(this.#entry, { execArgv: [] });
    const thread: Thread = { worker, idle: undefined };
    this.#all.add(thread);
    worker.once('exit', () => this.#gone(thread));
    // It is about to end and takes no further job. Whoever waits for one is told apart from this.
    worker.on('error', () => this.#gone(thread));
    return thread;
  }

  #release(thread: Thread): void {
    if (!this.#all.has(thread)) return;
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next(thread);
      return;
    }
    thread.worker.unref();
    thread.idle = setTimeout(() => void this.#end(thread), this.#idleMs).unref();
    this.#free.push(thread);
  }

  async #end(thread: Thread): Promise<void> {
    this.#gone(thread);
    await thread.worker.terminate();
  }

  #gone(thread: Thread): void {
    clearTimeout(thread.idle);
    const free = this.#free.indexOf(thread);
    if (free >= 0) this.#free.splice(free, 1);
    if (!this.#all.delete(thread)) return;
    // Its place is free for one that waits.
    const next = this.#waiting.shift();
    if (next !== undefined) next(this.#start());
  }
}

function request(worker: Worker, job: { name: PropertyKey; input: unknown }): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const settle = (act: () => void): void => {
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
      act();
    };
    const onMessage = (reply: Reply): void => settle(() => resolve(reply));
    const onError = (error: unknown): void => settle(() => reject(internal('a worker thread failed', error)));
    const onExit = (): void => settle(() => reject(internal('a worker thread ended')));
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
    worker.postMessage(job);
  });
}
