/**
 * A byte stream between the main thread and a worker thread through shared memory. One side may block (the worker),
 * the other never does (the main thread), in either direction; a full or empty ring is the back-pressure. Both sides
 * can end it with an error, and either can give up.
 */

/** A power of two, so that the counters may wrap. */
const CAPACITY = 1 << 21;
const MASK = CAPACITY - 1;

/** Words before the bytes. */
const WRITTEN = 0;
const READ = 1;
/** What the writer says: OPEN, ENDED or BROKEN. */
const WRITER = 2;
const READER_GONE = 3;
/** Count every event of the writer's and the reader's: who sleeps, sleeps on these, so that no wake-up is lost. */
const WRITER_EVENTS = 4;
const READER_EVENTS = 5;
const HEADER = 64;

const ENDED = 1;
const BROKEN = 2;

/** The other side gave up; why, only it knows. */
export class RingClosed extends Error {
  constructor() {
    super('the other side of the stream is gone');
    this.name = 'RingClosed';
  }
}

export class Ring {
  /** What is sent to the other thread. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array<SharedArrayBuffer>;
  readonly #bytes: Buffer;

  constructor(memory = new SharedArrayBuffer(HEADER + CAPACITY)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, HEADER / 4);
    this.#bytes = Buffer.from(memory, HEADER, CAPACITY);
  }

  #load(word: number): number {
    return Atomics.load(this.#words, word);
  }

  /** Changes a word of ours and wakes the other side. */
  #set(word: number, value: number): void {
    const events = word === WRITTEN || word === WRITER ? WRITER_EVENTS : READER_EVENTS;
    Atomics.store(this.#words, word, value);
    Atomics.add(this.#words, events, 1);
    Atomics.notify(this.#words, events);
  }

  // ---- writing ----

  /** Room to write in now, in one piece; empty if the ring is full. Throws RingClosed if nobody reads. */
  #room(): Buffer {
    if (this.#load(READER_GONE) !== 0) throw new RingClosed();
    const written = this.#load(WRITTEN);
    const free = CAPACITY - ((written - this.#load(READ)) | 0);
    const start = written & MASK;
    return this.#bytes.subarray(start, Math.min(start + free, CAPACITY));
  }

  #wrote(length: number): void {
    this.#set(WRITTEN, (this.#load(WRITTEN) + length) | 0);
  }

  async write(chunk: Uint8Array): Promise<void> {
    for (let at = 0; at < chunk.length; ) {
      const events = this.#load(READER_EVENTS);
      const room = this.#room();
      if (room.length === 0) await waitFor(this.#words, READER_EVENTS, events);
      at += this.#copyIn(room, chunk, at);
    }
  }

  writeSync(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length; ) {
      const events = this.#load(READER_EVENTS);
      const room = this.#room();
      if (room.length === 0) Atomics.wait(this.#words, READER_EVENTS, events);
      at += this.#copyIn(room, chunk, at);
    }
  }

  #copyIn(room: Buffer, chunk: Uint8Array, at: number): number {
    const length = Math.min(room.length, chunk.length - at);
    if (length === 0) return 0;
    room.set(chunk.subarray(at, at + length));
    this.#wrote(length);
    return length;
  }

  /** Lets a synchronous producer put bytes straight into the ring: `fill` says how many it put, 0 for none. */
  fillSync(fill: (room: Buffer) => number): number {
    for (;;) {
      const events = this.#load(READER_EVENTS);
      const room = this.#room();
      if (room.length > 0) {
        const length = fill(room);
        this.#wrote(length);
        return length;
      }
      Atomics.wait(this.#words, READER_EVENTS, events);
    }
  }

  /** No more bytes will come. */
  end(): void {
    this.#set(WRITER, ENDED);
  }

  /** No more bytes will come, and those that came are not all: the reader gets RingClosed. */
  fail(): void {
    this.#set(WRITER, BROKEN);
  }

  // ---- reading ----

  /** What can be read now, in one piece; undefined at the end. */
  #available(): Buffer | undefined {
    // The state before the counter: what was written before the end is seen.
    const writer = this.#load(WRITER);
    if (writer === BROKEN) throw new RingClosed();
    const read = this.#load(READ);
    const length = (this.#load(WRITTEN) - read) | 0;
    if (length === 0 && writer === ENDED) return undefined;
    const start = read & MASK;
    return this.#bytes.subarray(start, Math.min(start + length, CAPACITY));
  }

  #consumed(length: number): void {
    this.#set(READ, (this.#load(READ) + length) | 0);
  }

  /** Calls `take` with all bytes until the end, piece by piece; each is valid during its call only. */
  readSync(take: (chunk: Buffer) => void): void {
    for (;;) {
      const events = this.#load(WRITER_EVENTS);
      const chunk = this.#available();
      if (chunk === undefined) return;
      if (chunk.length === 0) {
        Atomics.wait(this.#words, WRITER_EVENTS, events);
        continue;
      }
      take(chunk);
      this.#consumed(chunk.length);
    }
  }

  /** A copy of the next bytes, at most `limit`; undefined at the end. */
  async read(limit: number): Promise<Buffer | undefined> {
    for (;;) {
      const events = this.#load(WRITER_EVENTS);
      const chunk = this.#available();
      if (chunk === undefined) return undefined;
      if (chunk.length > 0) {
        const copy = Buffer.from(chunk.subarray(0, limit));
        this.#consumed(copy.length);
        return copy;
      }
      await waitFor(this.#words, WRITER_EVENTS, events);
    }
  }

  /** Nothing more will be read: the writer gets RingClosed. */
  close(): void {
    this.#set(READER_GONE, 1);
  }
}

async function waitFor(words: Int32Array<SharedArrayBuffer>, word: number, value: number): Promise<void> {
  const wait = Atomics.waitAsync(words, word, value);
  if (wait.async) await wait.value;
}
