/**
 * Worker threads for file work that blocks or has to be confined. A bounded number; further jobs wait in line. A thread
 * without work ends after a while, so that an idle daemon does not keep its memory.
 */
import { Worker } from 'node:worker_threads';
import { internal } from '../base/errors.ts';
import { revive } from './worker/protocol.ts';
import type { JobName, Jobs, Reply } from './worker/protocol.ts';

const IDLE_MS = 10_000;

interface Thread {
  readonly worker: Worker;
  idle: NodeJS.Timeout | undefined;
}

export class Threads {
  readonly #limit: number;
  readonly #idleMs: number;
  readonly #all = new Set<Thread>();
  readonly #free: Thread[] = [];
  readonly #waiting: ((thread: Thread) => void)[] = [];

  constructor(limit: number, idleMs = IDLE_MS) {
    this.#limit = limit;
    this.#idleMs = idleMs;
  }

  /** Runs one job; rejects with its error, or if the thread dies. */
  async run<K extends JobName>(name: K, input: Jobs[K]['input']): Promise<Jobs[K]['output']> {
    const thread = await this.#acquire();
    try {
      const reply = await request(thread.worker, { name, input });
      if (!reply.ok) throw revive(reply.error);
      // The protocol says what a job answers.
      return reply.value as Jobs[K]['output'];
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
    const worker = new Worker(new URL('./worker/main.ts', import.meta.url), { stdin: false, name: 'files' });
    const thread: Thread = { worker, idle: undefined };
    this.#all.add(thread);
    worker.once('exit', () => this.#gone(thread));
    // Told to whoever waits for a job; without a listener it would end the daemon.
    worker.on('error', () => {});
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

function request(worker: Worker, job: { name: JobName; input: unknown }): Promise<Reply> {
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
