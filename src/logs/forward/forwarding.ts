/**
 * The forwarding of logs as the engine sees it: a thread of its own, so that neither a target nor the work of encoding ever
 * holds up the API. It is there only while there is something to forward; one that dies is replaced, and goes on from the
 * cursors on disk.
 */
import { internal, messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { ForwardJob, ForwardState, LogForwardPort } from '../../core/ports/logTargets.ts';
import { ChannelThread } from '../../sys/channelThread.ts';
import type { ForwardChange } from './forwarder.ts';
import type { FromThread, ToThread } from './protocol.ts';

/** A thread without forwarders ends after this. */
const IDLE_MS = 10_000;
const REPLACE_MS = 1000;
const STATES_MS = 2000;
/** More than the thread itself takes. */
const FINISH_MS = 7000;
const CLOSE_MS = 1000;

interface Call {
  resolve(answer: FromThread): void;
  reject(error: Error): void;
}

export class Forwarding implements LogForwardPort {
  readonly #logger: Logger;
  /** What the thread is at work with. */
  readonly #jobs = new Map<string, ForwardJob>();
  readonly #calls = new Map<number, Call>();
  #thread: ChannelThread<ToThread, FromThread> | undefined;
  #idle: NodeJS.Timeout | undefined;
  #lastCall = 0;
  #closed = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  start(job: ForwardJob): void {
    if (this.#closed) return;
    this.#jobs.set(job.subject.id, job);
    clearTimeout(this.#idle);
    if (this.#thread === undefined) this.#open();
    else this.#thread.post({ kind: 'start', job });
  }

  ended(id: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    this.#jobs.set(id, { ...job, live: false });
    this.#thread?.post({ kind: 'ended', id });
  }

  async finish(id: string): Promise<void> {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    try {
      const answer = await this.#call((call) => ({ kind: 'finish', id, call }), FINISH_MS);
      if (answer.kind === 'finished' && answer.undelivered > 0) this.#logger.warn('a container is removed with log that its target could not be given', { ...fieldsOf(job), bytes: answer.undelivered });
    } catch (error) {
      this.#logger.warn('a container is removed while its log is being forwarded', { ...fieldsOf(job), error: messageOf(error) });
    }
    this.#forget(id);
  }

  async states(): Promise<ForwardState[]> {
    if (this.#thread === undefined) return [];
    try {
      const answer = await this.#call((call) => ({ kind: 'states', call }), STATES_MS);
      return answer.kind === 'states' ? answer.states : [];
    } catch (error) {
      this.#logger.debug('how far logs are forwarded is not known', { error: messageOf(error) });
      return [];
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#idle);
    const thread = this.#thread;
    if (thread === undefined) return;
    try {
      await this.#call((call) => ({ kind: 'close', call }), CLOSE_MS);
    } catch (error) {
      this.#logger.debug('logs were being forwarded at the end', { error: messageOf(error) });
    }
    this.#thread = undefined;
    await thread.end();
  }

  /** A thread with all that there is to do. */
  #open(): void {
    // A release's threads have a bundle of their own.
    this.#thread = new ChannelThread<ToThread, FromThread>(new URL(import.meta.filename.endsWith('.ts') ? './thread.ts' : './logs.js', import.meta.url), {
      onMessage: (message) => this.#hear(message),
      onExit: (reason) => this.#replace(reason),
    });
    for (const job of this.#jobs.values()) this.#thread.post({ kind: 'start', job });
  }

  #replace(reason: string): void {
    this.#thread = undefined;
    for (const call of this.#calls.values()) call.reject(internal(`the thread that forwards logs ended: ${reason}`));
    this.#calls.clear();
    if (this.#closed) return;
    this.#logger.error('the thread that forwards logs ended and is started again', { error: reason });
    setTimeout(() => {
      if (!this.#closed && this.#thread === undefined && this.#jobs.size > 0) this.#open();
    }, REPLACE_MS).unref();
  }

  #hear(message: FromThread): void {
    switch (message.kind) {
      case 'change':
        this.#tell(message.id, message.address, message.change);
        return;
      case 'done':
        // One that was started again meanwhile is at work.
        if (this.#jobs.get(message.id)?.live === false) this.#forget(message.id);
        return;
      default: {
        const call = this.#calls.get(message.call);
        this.#calls.delete(message.call);
        call?.resolve(message);
      }
    }
  }

  #forget(id: string): void {
    this.#jobs.delete(id);
    if (this.#jobs.size > 0 || this.#closed) return;
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => {
      const thread = this.#thread;
      this.#thread = undefined;
      void thread?.end();
    }, IDLE_MS).unref();
  }

  #tell(id: string, target: string, change: ForwardChange): void {
    const job = this.#jobs.get(id);
    const fields = { container: id, name: job?.subject.name, target };
    switch (change.kind) {
      case 'unreachable':
        this.#logger.warn('the log target of a container cannot be reached; its log waits', { ...fields, error: change.error });
        return;
      case 'reached':
        this.#logger.info('the log target of a container takes messages again', { ...fields, waiting: change.behindBytes });
        return;
      case 'lost':
        this.#logger.warn('log of a container was rotated away before its target could take it', { ...fields, bytes: change.bytes === 0 ? 'unknown' : `at least ${change.bytes}` });
        return;
      case 'failed':
        this.#logger.error('the log of a container cannot be forwarded as it should', { ...fields, error: change.error });
    }
  }

  #call(message: (call: number) => ToThread, boundMs: number): Promise<FromThread> {
    const thread = this.#thread;
    if (thread === undefined) return Promise.reject(internal('there is no thread that forwards logs'));
    this.#lastCall += 1;
    const call = this.#lastCall;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#calls.delete(call);
        reject(internal(`the thread that forwards logs did not answer within ${boundMs} ms`));
      }, boundMs);
      const settled = <T>(act: (value: T) => void) => (value: T): void => {
        clearTimeout(timer);
        act(value);
      };
      this.#calls.set(call, { resolve: settled(resolve), reject: settled(reject) });
      thread.post(message(call));
    });
  }
}

const fieldsOf = (job: ForwardJob): Record<string, string> => ({ container: job.subject.id, name: job.subject.name });
