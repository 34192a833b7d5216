/**
 * The intents of acts that will be told (`<data-root>/events/intents`): a line before the act, a line when its event is
 * on disk. Nothing is synced: a killed daemon is survived, a power loss is not. The file is emptied when nothing is open.
 */
import { open, readFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { errnoOf, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { EngineEvent } from '../core/events.ts';
import type { Intent, Proof } from '../core/ports/telling.ts';
import { decodeEvent, encodeEvent } from './eventLine.ts';

const EMPTIED_ABOVE = 64 * 1024;

export class Intents {
  /** Of earlier daemons, oldest first. */
  readonly left: readonly Intent[];
  readonly #file: FileHandle;
  readonly #logger: Logger;
  readonly #open: Set<string>;
  #size: number;
  #next: number;
  #pending: string[] = [];
  #queue: Promise<void> = Promise.resolve();
  #failed = false;
  #closed = false;

  private constructor(file: FileHandle, logger: Logger, found: { left: Intent[]; next: number; size: number }) {
    this.#file = file;
    this.#logger = logger;
    this.left = found.left;
    this.#open = new Set(found.left.map(({ id }) => id));
    this.#next = found.next;
    this.#size = found.size;
  }

  static async open(path: string, logger: Logger): Promise<Intents> {
    const text = await read(path);
    const file = await open(path, 'a', 0o600);
    // A torn last line must not swallow the next one.
    if (text !== '' && !text.endsWith('\n')) await file.write('\n');
    return new Intents(file, logger, { ...parse(text), size: Buffer.byteLength(text) });
  }

  /** Resolves when the intent is on disk, with its id. A disk that takes none is no reason not to act. */
  async begin(event: EngineEvent, proof: Proof): Promise<string> {
    const id = String(this.#next++);
    this.#open.add(id);
    await this.#write({ id, event: encodeEvent(event), proof });
    return id;
  }

  /** It was told, or is not to be. */
  end(id: string): void {
    // One that ends after the daemon's last word is judged by the next.
    if (this.#open.delete(id) && !this.#closed) void this.#write({ end: id });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#queue;
    await this.#file.close();
  }

  #write(line: unknown): Promise<void> {
    this.#pending.push(`${JSON.stringify(line)}\n`);
    if (this.#pending.length === 1) this.#queue = this.#queue.then(() => this.#flush());
    return this.#queue;
  }

  async #flush(): Promise<void> {
    const text = this.#pending.join('');
    this.#pending = [];
    try {
      if (this.#open.size === 0 && this.#size > EMPTIED_ABOVE) {
        await this.#file.truncate();
        this.#size = 0;
        return;
      }
      await this.#file.write(text);
      this.#size += text.length;
      this.#failed = false;
    } catch (error) {
      if (!this.#failed) this.#logger.error('intents cannot be written to disk: events may be lost if the daemon is killed', { error: messageOf(error) });
      this.#failed = true;
    }
  }
}

async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}

function parse(text: string): { left: Intent[]; next: number } {
  const left = new Map<string, Intent>();
  let next = 1;
  for (const line of text.split('\n')) {
    const found = parseLine(line);
    if (found === undefined) continue;
    next = Math.max(next, Number(found.id) + 1);
    if ('proof' in found) left.set(found.id, found);
    else left.delete(found.id);
  }
  return { left: [...left.values()], next };
}

function parseLine(line: string): Intent | { id: string } | undefined {
  try {
    const { id, end, event, proof } = JSON.parse(line) as Record<string, unknown>;
    if (typeof end === 'string') return { id: end };
    const decoded = decodeEvent(event);
    if (typeof id !== 'string' || decoded === undefined || typeof proof !== 'object' || proof === null) return undefined;
    return { id, event: decoded, proof: proof as Proof };
  } catch {
    // Cut by a crash: its act had not begun.
    return undefined;
  }
}
