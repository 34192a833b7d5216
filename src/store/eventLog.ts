/**
 * The event journal: JSON lines in `<data-root>/events/`, the present file and three older ones of 4 MiB. An append is
 * not synced: it has to survive a killed daemon, not a power loss. A torn last line is completed on opening.
 */
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Clock } from '../base/clock.ts';
import { errnoOf, messageOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import type { Logger } from '../base/logger.ts';
import type { EngineEvent } from '../core/events.ts';
import type { EventLogPort, EventSubscription, Told } from '../core/ports/eventLog.ts';
import type { Intent, OwnEvent, Proof } from '../core/ports/telling.ts';
import { encodeEvent, parseEvent } from './eventLine.ts';
import { Intents } from './intents.ts';
import { makeDirectory } from './record.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const OLDER_FILES = 3;
const NOTHING_TOLD: Told = { seq: 0n, execs: new Set(), holds: new Map() };


export class EventLog implements EventLogPort {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #intents: Intents;
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  #file: FileHandle;
  #size: number;
  #queue: Promise<void> = Promise.resolve();
  #pending: string[] = [];
  #failed = false;
  #told: Promise<ReadonlyMap<string, Told>> | undefined;

  private constructor(path: string, file: FileHandle, options: { size: number; intents: Intents; clock: Clock; logger: Logger }) {
    this.#path = path;
    this.#file = file;
    this.#size = options.size;
    this.#intents = options.intents;
    this.#clock = options.clock;
    this.#logger = options.logger;
  }

  static async open(dataRoot: string, { clock, logger }: { clock: Clock; logger: Logger }): Promise<EventLog> {
    const folder = join(dataRoot, 'events');
    await makeDirectory(folder);
    const path = join(folder, 'events.jsonl');
    const file = await open(path, 'a+', 0o600);
    const { size } = await file.stat();
    if (size > 0) {
      const last = Buffer.alloc(1);
      await file.read(last, 0, 1, size - 1);
      if (last[0] !== 0x0a) await file.write('\n');
    }
    return new EventLog(path, file, { size, intents: await Intents.open(join(folder, 'intents'), logger), clock, logger });
  }

  publish(event: EngineEvent): void {
    this.#pending.push(`${JSON.stringify(encodeEvent(event))}\n`);
    if (this.#pending.length === 1) this.#queue = this.#queue.then(() => this.#write());
    for (const listener of this.#listeners) listener(event);
  }

  async telling<T>(event: OwnEvent, proof: Proof, act: () => Promise<T>, idOf: (result: T) => string = () => event.actorId): Promise<T> {
    const intent = await this.#intents.begin({ ...event, timeNs: this.#clock.nowNs() }, proof);
    try {
      const result = await act();
      await failpoint('telling.done');
      this.publish({ ...event, actorId: idOf(result), timeNs: this.#clock.nowNs() });
      return result;
    } finally {
      void this.#queue.then(() => this.#intents.end(intent));
    }
  }

  get intents(): readonly Intent[] {
    return this.#intents.left;
  }

  async makeGood({ id }: Intent, event: EngineEvent | undefined): Promise<void> {
    if (event !== undefined && !(await this.#isTold(event))) this.publish(event);
    await this.flushed();
    await failpoint('telling.made-good');
    this.#intents.end(id);
  }

  /** An act is told at or after its intent; of one object there is one act at a time. */
  async #isTold({ type, action, actorId, attributes, timeNs }: EngineEvent): Promise<boolean> {
    const since = await this.history(timeNs, 0n);
    return since.some((other) => other.type === type && other.action === action && other.actorId === actorId && other.attributes['container'] === attributes['container']);
  }

  subscribe(listener: (event: EngineEvent) => void): EventSubscription {
    this.#listeners.add(listener);
    return { close: () => void this.#listeners.delete(listener) };
  }

  /** How many subscribe now. */
  get listeners(): number {
    return this.#listeners.size;
  }

  flushed(): Promise<void> {
    return this.#queue;
  }

  async history(sinceNs: bigint, untilNs: bigint): Promise<EngineEvent[]> {
    await this.flushed();
    const events: EngineEvent[] = [];
    for (let n = OLDER_FILES; n >= 0; n -= 1) {
      for await (const event of readEvents(n === 0 ? this.#path : `${this.#path}.${n}`)) {
        if (event.timeNs >= sinceNs && (untilNs === 0n || event.timeNs <= untilNs)) events.push(event);
      }
    }
    // A shim's events are appended when the daemon hears of them: the file's order is not quite time's.
    return events.sort((a, b) => (a.timeNs < b.timeNs ? -1 : a.timeNs > b.timeNs ? 1 : 0));
  }

  async told(containerId: string): Promise<Told> {
    this.#told ??= this.#readTold();
    return (await this.#told).get(containerId) ?? NOTHING_TOLD;
  }

  async #readTold(): Promise<ReadonlyMap<string, Told>> {
    const told = new Map<string, { seq: bigint; execs: Set<string>; holds: Map<string, boolean> }>();
    for (const { type, action, actorId, attributes, shimSeq } of await this.history(0n, 0n)) {
      const id = type === 'container' ? actorId : (attributes['container'] ?? '');
      const of = told.get(id) ?? { seq: 0n, execs: new Set<string>(), holds: new Map<string, boolean>() };
      told.set(id, of);
      if (type === 'network' || type === 'volume') of.holds.set(actorId, action === 'connect' || action === 'mount');
      if (shimSeq !== undefined && shimSeq > of.seq) of.seq = shimSeq;
      if (type === 'container' && attributes['execID'] !== undefined) of.execs.add(execKey(action, attributes['execID']));
    }
    return told;
  }

  async close(): Promise<void> {
    await this.flushed();
    await this.#intents.close();
    await this.#file.close();
  }

  async #write(): Promise<void> {
    const text = this.#pending.join('');
    this.#pending = [];
    try {
      if (this.#size + text.length > MAX_BYTES) await this.#rotate();
      await this.#file.write(text);
      this.#size += Buffer.byteLength(text);
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#logger.error('events cannot be written to disk', { error: messageOf(error), path: this.#path });
      this.#failed = true;
    }
  }

  async #rotate(): Promise<void> {
    await rm(`${this.#path}.${OLDER_FILES}`, { force: true });
    for (let n = OLDER_FILES - 1; n >= 0; n -= 1) {
      try {
        await rename(n === 0 ? this.#path : `${this.#path}.${n}`, `${this.#path}.${n + 1}`);
      } catch (error) {
        if (errnoOf(error) !== 'ENOENT') throw error;
      }
    }
    const file = await open(this.#path, 'a+', 0o600);
    await this.#file.close();
    this.#file = file;
    this.#size = 0;
  }
}

/** `exec_create: sh -c x` and the like are one kind each. */
const execKey = (action: string, execId: string): string => `${action.replace(/:.*$/s, '')} ${execId}`;

async function* readEvents(path: string): AsyncIterable<EngineEvent> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  try {
    for await (const line of lines) {
      const event = parseEvent(line);
      if (event !== undefined) yield event;
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
