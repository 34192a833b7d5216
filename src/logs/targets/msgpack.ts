/** As much of MessagePack as fluentd's forward protocol needs of a sender. */

/** A time as fluentd's extension type 0: seconds and nanoseconds. */
export class EventTime {
  readonly ns: bigint;

  constructor(ns: bigint) {
    this.ns = ns;
  }
}

export type Packable = string | number | EventTime | readonly Packable[] | { readonly [key: string]: Packable };

const FIRST_BYTES = 4096;
/** A first byte, a size, and nothing of the value yet. */
const MAX_HEADER = 10;

/** Packs values one after another into bytes that grow. Numbers are integers from 0 to 2⁵³. */
export class Packer {
  #bytes = Buffer.allocUnsafe(FIRST_BYTES);
  #length = 0;

  /** What was packed so far; the packer is used up. */
  take(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  add(value: Packable): void {
    if (typeof value === 'string') this.#text(value);
    else if (typeof value === 'number') this.#number(value);
    else if (value instanceof EventTime) this.#time(value);
    else if (isList(value)) {
      this.list(value.length);
      for (const item of value) this.add(item);
    } else {
      const keys = Object.keys(value);
      this.#header(keys.length, 0x80, MAP);
      for (const key of keys) {
        this.#text(key);
        this.add(value[key] ?? '');
      }
    }
  }

  /** A list of so many values, which are to follow. */
  list(size: number): void {
    this.#header(size, 0x90, LIST);
  }

  #text(text: string): void {
    const bytes = Buffer.byteLength(text);
    this.#header(bytes, 0xa0, TEXT);
    this.#reserve(bytes);
    this.#length += this.#bytes.write(text, this.#length, bytes, 'utf8');
  }

  #number(value: number): void {
    if (value <= 0xffff_ffff) {
      this.#header(value, 0, NUMBER);
      return;
    }
    this.#reserve(MAX_HEADER);
    this.#bytes[this.#length] = 0xcf;
    this.#length = this.#bytes.writeBigUInt64BE(BigInt(value), this.#length + 1);
  }

  #time({ ns }: EventTime): void {
    this.#reserve(MAX_HEADER);
    this.#bytes.writeUInt16BE(0xd700, this.#length);
    this.#bytes.writeUInt32BE(Number((ns / 1_000_000_000n) & 0xffff_ffffn), this.#length + 2);
    this.#length = this.#bytes.writeUInt32BE(Number(ns % 1_000_000_000n), this.#length + 6);
  }

  /** The first byte and the size, in the shortest form there is: in the byte, or in one, two or four bytes after it. */
  #header(size: number, fix: number, { fixMax, codes: [one, two, four] }: Form): void {
    this.#reserve(MAX_HEADER);
    if (size <= fixMax) {
      this.#bytes[this.#length++] = fix | size;
    } else if (one !== undefined && size <= 0xff) {
      this.#bytes[this.#length++] = one;
      this.#bytes[this.#length++] = size;
    } else if (size <= 0xffff) {
      this.#bytes[this.#length] = two;
      this.#length = this.#bytes.writeUInt16BE(size, this.#length + 1);
    } else {
      this.#bytes[this.#length] = four;
      this.#length = this.#bytes.writeUInt32BE(size, this.#length + 1);
    }
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(2 * this.#bytes.length + bytes);
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }
}

interface Form {
  /** The greatest size that the first byte holds. */
  readonly fixMax: number;
  /** The first bytes where one, two or four bytes of size follow. */
  readonly codes: readonly [number | undefined, number, number];
}

const TEXT: Form = { fixMax: 31, codes: [0xd9, 0xda, 0xdb] };
const NUMBER: Form = { fixMax: 127, codes: [0xcc, 0xcd, 0xce] };
const LIST: Form = { fixMax: 15, codes: [undefined, 0xdc, 0xdd] };
const MAP: Form = { fixMax: 15, codes: [undefined, 0xde, 0xdf] };

const isList = (value: Packable): value is readonly Packable[] => Array.isArray(value);

export function pack(value: Packable): Buffer {
  const packer = new Packer();
  packer.add(value);
  return packer.take();
}
