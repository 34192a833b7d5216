/**
 * The event journal: JSON lines in `<data-root>/events/`, the present file and three older ones of 4 MiB. An append is
 * not synced: it has to survive a killed daemon, not a power loss. A torn last line is completed on opening.
 */
import { createReadStream } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { EngineEvent } from '../core/events.ts';
import type { EventLogPort, EventSubscription, Told } from '../core/ports/eventLog.ts';
import { makeDirectory } from './record.ts';

const MAX_BYTES = 4 * 1024 * 1024;
const OLDER_FILES = 3;

export class EventLog implements EventLogPort {
  readonly #path: string;
  readonly #logger: Logger;
  readonly #listeners = new Set<(event: EngineEvent) => void>();
  #file: FileHandle;
  #size: number;
  #queue: Promise<void> = Promise.resolve();
  #pending: string[] = [];
  #failed = false;
  #told: Promise<ReadonlyMap<string, Told>> | undefined;

  private constructor(path: string, file: FileHandle, options: { size: number; logger: Logger }) {
    this.#path = path;
    this.#file = file;
    this.#size = options.size;
    this.#logger = options.logger;
  }

  static async open(dataRoot: string, logger: Logger): Promise<EventLog> {
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
    return new EventLog(path, file, { size, logger });
  }

  publish(event: EngineEvent): void {
    this.#pending.push(encode(event));
    if (this.#pending.length === 1) this.#queue = this.#queue.then(() => this.#write());
    for (const listener of this.#listeners) listener(event);
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
    return (await this.#told).get(containerId) ?? { seq: 0n, execs: new Set() };
  }

  async #readTold(): Promise<ReadonlyMap<string, Told>> {
    const told = new Map<string, { seq: bigint; execs: Set<string> }>();
    for (const { type, action, actorId, attributes, shimSeq } of await this.history(0n, 0n)) {
      if (type !== 'container' || (shimSeq === undefined && action !== 'exec_die')) continue;
      const of = told.get(actorId) ?? { seq: 0n, execs: new Set<string>() };
      told.set(actorId, of);
      if (shimSeq !== undefined && shimSeq > of.seq) of.seq = shimSeq;
      if (action === 'exec_die' && attributes['execID'] !== undefined) of.execs.add(attributes['execID']);
    }
    return told;
  }

  async close(): Promise<void> {
    await this.flushed();
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

function encode(event: EngineEvent): string {
  const { timeNs, shimSeq, ...rest } = event;
  return `${JSON.stringify({ ...rest, time: timeNs.toString(), ...(shimSeq === undefined ? {} : { seq: shimSeq.toString() }) })}\n`;
}

function decode(line: string): EngineEvent | undefined {
  try {
    const { time, seq, ...rest } = JSON.parse(line) as Record<string, unknown>;
    if (typeof rest['type'] !== 'string' || typeof rest['action'] !== 'string' || typeof time !== 'string') return undefined;
    return { ...(rest as unknown as EngineEvent), timeNs: BigInt(time), ...(typeof seq === 'string' ? { shimSeq: BigInt(seq) } : {}) };
  } catch {
    // A line cut by a crash, or damaged: the others still count.
    return undefined;
  }
}

async function* readEvents(path: string): AsyncIterable<EngineEvent> {
  const lines = createInterface({ input: createReadStream(path), crlfDelay: Infinity });
  try {
    for await (const line of lines) {
      const event = decode(line);
      if (event !== undefined) yield event;
    }
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
