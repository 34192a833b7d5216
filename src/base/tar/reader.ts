/** Reading a tar archive from a stream, entry by entry. */
import type { TarHeader } from './header.ts';
import { TarParser } from './parser.ts';

export interface TarEntry {
  header: TarHeader;
  /**
   * The content, holes filled with zeros. To be read, if at all, before the next entry is asked for; what is not read is
   * skipped.
   */
  body: AsyncIterable<Buffer>;
}

type Event = { kind: 'entry'; header: TarHeader } | { kind: 'data'; chunk: Buffer; position: number } | { kind: 'end' };

/**
 * The entries of an archive. Memory is bounded by the source's chunks and one header. Throws TarError (Go's words) for a
 * damaged or truncated archive. After the last entry the source is read to its end.
 */
export async function* readTar(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarEntry, void, undefined> {
  const events = eventsOf(source);
  try {
    for (let event = await events.next(); event.done !== true; event = await events.next()) {
      if (event.value.kind !== 'entry') continue;
      const body = new Body(event.value.header, events);
      yield { header: event.value.header, body };
      await body.skip();
    }
  } finally {
    await events.return();
  }
}

/** The whole of a small body; throws if it is longer than `limit`. */
export async function readBody(entry: TarEntry, limit: number): Promise<Buffer> {
  if (entry.header.size > limit) throw new RangeError(`${entry.header.name} is longer than ${limit} bytes`);
  const chunks: Buffer[] = [];
  for await (const chunk of entry.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function* eventsOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Event, void, undefined> {
  const queue: Event[] = [];
  const parser = new TarParser({
    entry: (header) => void queue.push({ kind: 'entry', header }),
    data: (chunk, position) => void queue.push({ kind: 'data', chunk, position }),
    endEntry: () => void queue.push({ kind: 'end' }),
  });
  for await (const chunk of source) {
    parser.write(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    yield* queue.splice(0);
  }
  parser.end();
}

const ZEROS = Buffer.alloc(64 * 1024);

class Body implements AsyncIterable<Buffer> {
  readonly #size: number;
  readonly #events: AsyncGenerator<Event, void, undefined>;
  #position = 0;
  #ended = false;

  constructor(header: TarHeader, events: AsyncGenerator<Event, void, undefined>) {
    this.#size = header.size;
    this.#events = events;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (let event = await this.#next(); event !== undefined; event = await this.#next()) {
      yield* this.#zerosUntil(event.position);
      this.#position += event.chunk.length;
      yield event.chunk;
    }
    yield* this.#zerosUntil(this.#size);
  }

  async skip(): Promise<void> {
    while ((await this.#next()) !== undefined);
  }

  async #next(): Promise<(Event & { kind: 'data' }) | undefined> {
    if (this.#ended) return undefined;
    const event = await this.#events.next();
    if (event.done !== true && event.value.kind === 'data') return event.value;
    this.#ended = true;
    return undefined;
  }

  *#zerosUntil(position: number): Generator<Buffer, void, undefined> {
    while (this.#position < position) {
      const length = Math.min(ZEROS.length, position - this.#position);
      this.#position += length;
      yield ZEROS.subarray(0, length);
    }
  }
}
