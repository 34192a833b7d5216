/** Work that several ask for at once and that is done once: it runs as long as anybody waits for it. */
import type { Progress, ProgressSink } from '../../core/ports/images.ts';

interface Job {
  readonly result: Promise<unknown>;
  readonly watchers: Set<ProgressSink>;
  readonly abort: AbortController;
  last: Progress | undefined;
}

export class SharedWork {
  readonly #jobs = new Map<string, Job>();

  /**
   * The result of the work of that key, begun now if nobody has. Progress goes to all who wait. An abort of `signal` ends the
   * waiting, and the work when nobody else waits.
   */
  async join<T>(key: string, watcher: { progress: ProgressSink; signal: AbortSignal }, work: (progress: ProgressSink, signal: AbortSignal) => Promise<T>): Promise<T> {
    watcher.signal.throwIfAborted();
    const job = this.#jobs.get(key) ?? this.#begin(key, work);
    // Each waiter counts, though two may bring the same sink.
    const sink: ProgressSink = (progress) => watcher.progress(progress);
    job.watchers.add(sink);
    if (job.last !== undefined) sink(job.last);
    let gaveUp: (() => void) | undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      gaveUp = () => reject(watcher.signal.reason instanceof Error ? watcher.signal.reason : new Error('aborted'));
      watcher.signal.addEventListener('abort', gaveUp, { once: true });
    });
    try {
      // The key stands for one kind of work, so its result has that kind's type.
      return (await Promise.race([job.result, aborted])) as T;
    } finally {
      if (gaveUp !== undefined) watcher.signal.removeEventListener('abort', gaveUp);
      job.watchers.delete(sink);
      if (job.watchers.size === 0) {
        if (this.#jobs.get(key) === job) this.#jobs.delete(key);
        job.abort.abort();
        // What the work still holds is released before anybody goes on.
        await job.result.catch(() => {});
      }
    }
  }

  #begin(key: string, work: (progress: ProgressSink, signal: AbortSignal) => Promise<unknown>): Job {
    const abort = new AbortController();
    const watchers = new Set<ProgressSink>();
    const progress: ProgressSink = (one) => {
      job.last = one;
      for (const watcher of watchers) watcher(one);
    };
    // Begun after the first watcher is there.
    const result = Promise.resolve().then(() => work(progress, abort.signal));
    const job: Job = { result, watchers, abort, last: undefined };
    const forget = (): void => {
      if (this.#jobs.get(key) === job) this.#jobs.delete(key);
    };
    result.then(forget, forget);
    this.#jobs.set(key, job);
    return job;
  }
}

/** At most so many at a time, in the order of asking. */
export class Semaphore {
  #limit: number;
  #running = 0;
  readonly #queue: (() => void)[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  set limit(limit: number) {
    this.#limit = limit;
    this.#wake();
  }

  /** Whether `run` would have to wait. */
  get full(): boolean {
    return this.#running >= this.#limit;
  }

  async run<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#running -= 1;
      this.#wake();
    }
  }

  async #enter(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.full) {
      this.#running += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#queue.splice(this.#queue.indexOf(enter), 1);
        reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#queue.push(enter);
    });
  }

  #wake(): void {
    while (!this.full) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      this.#running += 1;
      next();
    }
  }
}
