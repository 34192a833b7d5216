/** The forwarders of one thread, and what it is told to do with them. */
import { messageOf } from '../../base/errors.ts';
import type { ForwardJob } from '../../core/ports/logTargets.ts';
import { firstRetryMs, openTarget } from '../targets/open.ts';
import { Forwarder } from './forwarder.ts';
import type { FromThread, ToThread } from './protocol.ts';

/** At a removal: how long a target that takes messages may take for the rest, and one that has failed before. */
const FINISH_MS = 5000;
const FINISH_UNREACHED_MS = 0;
/** At the daemon's end: for the chunk that is under way. */
const CLOSE_MS = 300;

export class ForwarderTable {
  readonly #post: (message: FromThread) => void;
  readonly #forwarders = new Map<string, Forwarder>();
  /** Per container, one after the other: a job waits until the one before has let go of the cursor. */
  readonly #queues = new Map<string, Promise<void>>();

  constructor(post: (message: FromThread) => void) {
    this.#post = post;
  }

  handle(message: ToThread): void {
    switch (message.kind) {
      case 'start':
        this.#enqueue(message.job.subject.id, () => this.#start(message.job));
        return;
      case 'ended':
        this.#enqueue(message.id, () => {
          this.#forwarders.get(message.id)?.end();
          return Promise.resolve();
        });
        return;
      case 'finish':
        this.#enqueue(message.id, async () => this.#post({ kind: 'finished', call: message.call, undelivered: await this.#finish(message.id) }));
        return;
      case 'states':
        void Promise.all([...this.#forwarders.values()].map((each) => each.state())).then((states) => this.#post({ kind: 'states', call: message.call, states }));
        return;
      case 'close':
        void Promise.all([...this.#forwarders.values()].map((each) => each.stop(CLOSE_MS))).then(() => this.#post({ kind: 'closed', call: message.call }));
    }
  }

  #enqueue(id: string, work: () => Promise<void>): void {
    const queued = (this.#queues.get(id) ?? Promise.resolve()).then(work);
    this.#queues.set(id, queued);
    void queued.finally(() => {
      if (this.#queues.get(id) === queued) this.#queues.delete(id);
    });
  }

  async #start(job: ForwardJob): Promise<void> {
    const { subject: { id, name }, driver, config, logPath, cursorPath } = job;
    await this.#forwarders.get(id)?.stop(CLOSE_MS);
    try {
      const target = openTarget(driver, config, job.subject);
      const { address } = target;
      const forwarder = new Forwarder({
        id, name, target, logPath, cursorPath,
        firstRetryMs: firstRetryMs(driver, config),
        onChange: (change) => this.#post({ kind: 'change', id, address, change }),
      });
      if (!job.live) forwarder.end();
      this.#forwarders.set(id, forwarder);
      void forwarder.done.catch((error: unknown) => this.#post({ kind: 'change', id, address, change: { kind: 'failed', error: messageOf(error) } })).then(() => this.#gone(forwarder));
    } catch (error) {
      this.#post({ kind: 'change', id, address: driver, change: { kind: 'failed', error: messageOf(error) } });
      this.#post({ kind: 'done', id });
    }
  }

  #gone(forwarder: Forwarder): void {
    if (this.#forwarders.get(forwarder.id) !== forwarder) return;
    this.#forwarders.delete(forwarder.id);
    this.#post({ kind: 'done', id: forwarder.id });
  }

  /** Delivers what can be delivered, then lets go; the bytes that were left. */
  async #finish(id: string): Promise<number> {
    const forwarder = this.#forwarders.get(id);
    if (forwarder === undefined) return 0;
    forwarder.end();
    const bound = forwarder.reached ? FINISH_MS : FINISH_UNREACHED_MS;
    let timer: NodeJS.Timeout | undefined;
    const over = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, bound);
    });
    await Promise.race([forwarder.done, over]);
    clearTimeout(timer);
    const { behindBytes } = await forwarder.state();
    await forwarder.stop(0);
    return behindBytes;
  }
}
