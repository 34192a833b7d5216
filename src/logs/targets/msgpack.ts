/** As much of MessagePack as fluentd's forward protocol needs of a sender. */

/** A time as fluentd's extension type 0: seconds and nanoseconds. */
export class EventTime {
  readonly ns: bigint;

  constructor(ns: bigint) {
    this.ns = ns;
  }
}

export type Packable = string | number | EventTime | readonly Packable[] | { readonly [key: string]: Packable };

/** Numbers are integers from 0 to 2⁵³. */
export function pack(value: Packable): Buffer {
  const parts: Buffer[] = [];
  append(value, parts);
  return Buffer.concat(parts);
}

function append(value: Packable, parts: Buffer[]): void {
  if (typeof value === 'string') {
    const bytes = Buffer.from(value);
    parts.push(header(bytes.length, { fix: 0xa0, fixMax: 31, codes: [0xd9, 0xda, 0xdb] }), bytes);
  } else if (typeof value === 'number') {
    parts.push(value > 0xffff_ffff ? uint64(value) : header(value, { fix: 0, fixMax: 127, codes: [0xcc, 0xcd, 0xce] }));
  } else if (value instanceof EventTime) {
    const bytes = Buffer.alloc(10);
    bytes.writeUInt16BE(0xd700, 0);
    bytes.writeUInt32BE(Number((value.ns / 1_000_000_000n) & 0xffff_ffffn), 2);
    bytes.writeUInt32BE(Number(value.ns % 1_000_000_000n), 6);
    parts.push(bytes);
  } else if (isList(value)) {
    parts.push(header(value.length, { fix: 0x90, fixMax: 15, codes: [undefined, 0xdc, 0xdd] }));
    for (const item of value) append(item, parts);
  } else {
    const entries = Object.entries(value);
    parts.push(header(entries.length, { fix: 0x80, fixMax: 15, codes: [undefined, 0xde, 0xdf] }));
    for (const [key, item] of entries) {
      append(key, parts);
      append(item, parts);
    }
  }
}

const isList = (value: Packable): value is readonly Packable[] => Array.isArray(value);

/** The first byte and the size, in the shortest form there is: in the byte, or in one, two or four bytes after it. */
function header(size: number, form: { fix: number; fixMax: number; codes: readonly [number | undefined, number, number] }): Buffer {
  const [one, two, four] = form.codes;
  if (size <= form.fixMax) return Buffer.from([form.fix | size]);
  if (one !== undefined && size <= 0xff) return Buffer.from([one, size]);
  if (size <= 0xffff) {
    const bytes = Buffer.alloc(3);
    bytes[0] = two;
    bytes.writeUInt16BE(size, 1);
    return bytes;
  }
  const bytes = Buffer.alloc(5);
  bytes[0] = four;
  bytes.writeUInt32BE(size, 1);
  return bytes;
}

function uint64(value: number): Buffer {
  const bytes = Buffer.alloc(9);
  bytes[0] = 0xcf;
  bytes.writeBigUInt64BE(BigInt(value), 1);
  return bytes;
}
