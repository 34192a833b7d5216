/**
 * Forwards one container's log to its target: reads the spool, sends, notes how far it came, and waits for more. A target
 * that fails is tried again for ever, less and less often; the container and the API never wait for it. At least once: a
 * message is noted as delivered after the target has it, so a crash in between sends at most one chunk again.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../base/errors.ts';
import { DeliveryError } from '../../core/ports/logTargets.ts';
import type { ForwardState, LogTarget } from '../../core/ports/logTargets.ts';
import { Changes } from '../changes.ts';
import { CursorFile, NEW_CURSOR } from './cursor.ts';
import type { Cursor } from './cursor.ts';
import { messagesOf } from './messages.ts';
import type { Pending, Progress } from './messages.ts';
import { Spool } from './spool.ts';

const FIRST_RETRY_MS = 250;
const MAX_RETRY_MS = 10_000;
/** What a peer confirmed less than so long before it broke off may not have been read by it. */
const DOUBT_MS = 1000;
/** A failure of our own (a disk that cannot be read) is tried again so often. */
const OWN_FAILURE_MS = 2000;

export interface ForwarderOptions {
  readonly id: string;
  readonly name: string;
  readonly target: LogTarget;
  readonly logPath: string;
  readonly cursorPath: string;
  /** ms before the second attempt. */
  readonly firstRetryMs?: number | undefined;
  /** Told when the target is lost or found, when something was rotated away undelivered, and when the cursor cannot be kept. */
  readonly onChange: (change: ForwardChange) => void;
}

export type ForwardChange =
  | { readonly kind: 'unreachable'; readonly error: string }
  | { readonly kind: 'reached'; readonly behindBytes: number }
  | { readonly kind: 'lost'; readonly bytes: number }
  | { readonly kind: 'failed'; readonly error: string };

export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #changes: Changes;
  /** Settles when it has come to its end. */
  readonly done: Promise<void>;
  #cursor: Cursor = NEW_CURSOR;
  #file: CursorFile | undefined;
  #spool: Spool | undefined;
  #pending: Pending | undefined;
  /** Progress that is not doubted only after a while. */
  #recent: { readonly progress: Progress; readonly at: number }[] = [];
  #retryMs = 0;
  #lastFailure = '';
  #ended = false;
  #stopped = false;
  #wake: () => void = () => {};

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#changes = new Changes(options.logPath);
    this.done = this.#run();
  }

  get id(): string {
    return this.#options.id;
  }

  /** The target could be reached when it was last tried. */
  get reached(): boolean {
    return this.#cursor.error === '';
  }

  /** Nothing more is written: ends when all is delivered. */
  end(): void {
    this.#ended = true;
    this.#changes.notify();
  }

  /** Ends now; what the target was just taking counts as not delivered unless it has it within the bound. */
  async stop(boundMs: number): Promise<void> {
    this.#stopped = true;
    this.#wake();
    this.#changes.notify();
    const bound = new AbortController();
    await Promise.race([this.done, sleep(boundMs, undefined, { signal: bound.signal }).catch(() => undefined)]);
    bound.abort();
    this.#options.target.close();
    await this.done;
  }

  async state(): Promise<ForwardState> {
    const { id, name, target } = this.#options;
    const { error, gaps, lostBytes, progress } = this.#cursor;
    return { id, name, address: target.address, error, behindBytes: (await this.#behind(progress)) ?? 0, gaps, lostBytes };
  }

  async #run(): Promise<void> {
    try {
      await this.#open();
      while (!this.#stopped) {
        try {
          if (await this.#step()) return;
        } catch (error) {
          this.#tellFailure(messageOf(error));
          await this.#spool?.seek(this.#cursor.progress.position);
          this.#pending = undefined;
          await this.#pause(OWN_FAILURE_MS);
        }
      }
    } finally {
      this.#changes[Symbol.dispose]();
      this.#options.target.close();
      await this.#spool?.[Symbol.asyncDispose]();
      await this.#file?.[Symbol.asyncDispose]();
    }
  }

  /** A cursor that cannot be kept is no reason not to deliver. */
  async #open(): Promise<void> {
    try {
      const { file, cursor } = await CursorFile.open(this.#options.cursorPath);
      this.#file = file;
      this.#cursor = cursor;
    } catch (error) {
      this.#tellFailure(messageOf(error));
    }
    this.#spool = new Spool(this.#options.logPath, this.#cursor.progress.position);
  }

  /** One chunk, or a wait. True at the end. */
  async #step(): Promise<boolean> {
    const spool = this.#spool;
    if (spool === undefined) return true;
    if (this.#pending === undefined) {
      // Asked before reading: whatever was written before the end is then read.
      const last = this.#ended;
      const chunk = await spool.next();
      await this.#noteLoss(spool);
      if (chunk === undefined) {
        if (last) return true;
        await this.#changes.next();
        return false;
      }
      // Where the next message lies is kept, so that its loss is noticed.
      this.#cursor = { ...this.#cursor, progress: { ...this.#cursor.progress, position: chunk.from } };
      this.#pending = messagesOf(this.id, chunk, this.#cursor.progress);
    }
    const pending = this.#pending;
    try {
      if (pending.messages.length > 0) await this.#options.target.send(pending.messages);
    } catch (error) {
      await this.#failed(pending, error);
      return false;
    }
    this.#pending = undefined;
    await this.#delivered(pending.end, '');
    return false;
  }

  async #delivered(progress: Progress, error: string): Promise<void> {
    const wasLost = this.#cursor.error !== '';
    const now = performance.now();
    this.#recent = [...this.#recent.filter(({ at }) => now - at < DOUBT_MS), { progress: this.#cursor.progress, at: now }];
    await this.#save({ ...this.#cursor, progress, error });
    if (error !== '' || !wasLost) return;
    this.#retryMs = 0;
    this.#options.onChange({ kind: 'reached', behindBytes: (await this.#behind(progress)) ?? 0 });
  }

  async #failed(pending: Pending, error: unknown): Promise<void> {
    const text = messageOf(error);
    const { delivered, doubtful } = error instanceof DeliveryError ? error : { delivered: 0, doubtful: false };
    const wasReached = this.reached;
    if (doubtful) await this.#goBack(text);
    else await this.#advance(pending, { delivered, text });
    if (this.#stopped) return;
    if (wasReached) this.#options.onChange({ kind: 'unreachable', error: text });
    this.#retryMs = this.#retryMs === 0 ? (this.#options.firstRetryMs ?? FIRST_RETRY_MS) : Math.min(2 * this.#retryMs, MAX_RETRY_MS);
    await this.#pause(Math.min(this.#retryMs, MAX_RETRY_MS));
    // What is there now is known to be there when it is found missing later.
    await this.#behind(this.#cursor.progress);
  }

  /** The first messages of a batch went, the rest is tried again. */
  async #advance(pending: Pending, { delivered, text }: { delivered: number; text: string }): Promise<void> {
    const progress = delivered === 0 ? undefined : pending.progress[delivered - 1];
    if (progress === undefined) await this.#save({ ...this.#cursor, error: text });
    else {
      this.#pending = { ...pending, messages: pending.messages.slice(delivered), progress: pending.progress.slice(delivered) };
      await this.#delivered(progress, text);
    }
  }

  /** To before what the target took within the last moment. */
  async #goBack(text: string): Promise<void> {
    const since = performance.now() - DOUBT_MS;
    const progress = this.#recent.find(({ at }) => at >= since)?.progress ?? this.#cursor.progress;
    this.#recent = [];
    this.#pending = undefined;
    await this.#save({ ...this.#cursor, progress, error: text });
    await this.#spool?.seek(progress.position);
  }

  async #noteLoss(spool: Spool): Promise<void> {
    if (spool.gaps === 0) return;
    const { gaps, lostBytes } = spool;
    spool.gaps = 0;
    spool.lostBytes = 0;
    await this.#save({ ...this.#cursor, gaps: this.#cursor.gaps + gaps, lostBytes: this.#cursor.lostBytes + lostBytes });
    this.#options.onChange({ kind: 'lost', bytes: lostBytes });
  }

  async #save(cursor: Cursor): Promise<void> {
    this.#cursor = cursor;
    try {
      await this.#file?.save(cursor);
    } catch (error) {
      // Once: from here on it counts in memory only.
      const file = this.#file;
      this.#file = undefined;
      await file?.[Symbol.asyncDispose]();
      this.#tellFailure(messageOf(error));
    }
  }

  /** Once, not at every attempt. */
  #tellFailure(error: string): void {
    if (error === this.#lastFailure) return;
    this.#lastFailure = error;
    this.#options.onChange({ kind: 'failed', error });
  }

  /** undefined: the log cannot be read now. */
  async #behind(progress: Progress): Promise<number | undefined> {
    try {
      return await this.#spool?.behind(progress.position);
    } catch {
      return undefined;
    }
  }

  async #pause(ms: number): Promise<void> {
    if (this.#stopped) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
