/**
 * A tar archive, pushed in pieces of any size. The parser keeps at most one header's worth of bytes; content goes
 * through to the handler uncopied. It decides as Go's archive/tar does, so that a layer means here what it means to
 * dockerd: strict about checksums, numbers and truncation, two zero blocks are the end, what follows them is ignored.
 */
import { badHeader, BLOCK, cString, paddingOf, parseBlock, TarError, tooLong, truncated } from './header.ts';
import type { ByteString, EntryType, RawHeader, SparseRun, TarHeader } from './header.ts';
import { applyPax, decimal, isGlobalKey, parsePax } from './pax.ts';
import type { PaxRecord } from './pax.ts';
import { checkedRuns, extendOldGnu, SparseMapReader, sparseOfPax, startOldGnu } from './sparse.ts';
import type { OldGnuMap, PaxSparse } from './sparse.ts';

/** What a parser tells; a chunk is valid during the call only. */
export interface TarHandler {
  entry(header: TarHeader): void;
  /** Content of the last entry, which belongs at `position` of the file. */
  data(chunk: Buffer, position: number): void;
  endEntry(): void;
  /** Every byte of the archive that is not given to `data`, in order with it: headers, padding, the tail. */
  raw?(chunk: Buffer): void;
}

/** The longest extended header or long name that is read, as in Go. */
const MAX_META = 1 << 20;

const TYPES: ReadonlyMap<string, EntryType> = new Map([
  ['0', 'file'],
  ['\0', 'file'],
  ['7', 'file'],
  ['S', 'file'],
  ['1', 'hardlink'],
  ['2', 'symlink'],
  ['3', 'char'],
  ['4', 'block'],
  ['5', 'directory'],
  ['6', 'fifo'],
]);

type State =
  | { kind: 'block' }
  | { kind: 'zero' }
  | { kind: 'meta'; typeflag: string; size: number }
  | { kind: 'old-map'; header: TarHeader; map: OldGnuMap; stored: number }
  | { kind: 'new-map'; header: TarHeader; map: SparseMapReader; realSize: number; stored: number }
  | { kind: 'data'; left: number; padding: number; runs: SparseRun[]; run: number; done: number }
  | { kind: 'skip'; left: number }
  | { kind: 'end' };

export class TarParser {
  readonly #handler: TarHandler;
  #state: State = { kind: 'block' };
  /** Bytes of an incomplete header or extended header. */
  #partial: Buffer[] = [];
  #partialLength = 0;
  #global = new Map<ByteString, PaxRecord>();
  #records: PaxRecord[] | undefined;
  #longName: ByteString | undefined;
  #longLink: ByteString | undefined;

  constructor(handler: TarHandler) {
    this.#handler = handler;
  }

  /** True once the end mark was read; all that follows goes to `raw`. */
  get ended(): boolean {
    return this.#state.kind === 'end';
  }

  write(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) at += this.#take(chunk, at);
  }

  /** The input is over: throws `unexpected EOF` if that is too early. A missing end mark is no error, as in Go. */
  end(): void {
    const { kind } = this.#state;
    const between = (kind === 'block' || kind === 'zero') && this.#partialLength === 0 && this.#records === undefined;
    if (!between && kind !== 'end') throw truncated();
    this.#state = { kind: 'end' };
  }

  /** Consumes some of the chunk from `at` on; returns how much. */
  #take(chunk: Buffer, at: number): number {
    const state = this.#state;
    switch (state.kind) {
      case 'end':
        this.#handler.raw?.(chunk.subarray(at));
        return chunk.length - at;
      case 'skip': {
        const length = Math.min(state.left, chunk.length - at);
        this.#handler.raw?.(chunk.subarray(at, at + length));
        state.left -= length;
        if (state.left === 0) this.#state = { kind: 'block' };
        return length;
      }
      case 'data':
        return this.#takeData(state, chunk, at);
      case 'meta':
        return this.#collect(chunk, at, state.size + paddingOf(state.size));
      default:
        return this.#collect(chunk, at, BLOCK);
    }
  }

  #takeData(state: State & { kind: 'data' }, chunk: Buffer, at: number): number {
    const run = state.runs[state.run];
    if (run === undefined) throw badHeader();
    const length = Math.min(run.length - state.done, chunk.length - at);
    this.#handler.data(chunk.subarray(at, at + length), run.offset + state.done);
    state.done += length;
    state.left -= length;
    if (state.done === run.length) {
      state.run++;
      state.done = 0;
    }
    if (state.left === 0) {
      this.#handler.endEntry();
      this.#skip(state.padding);
    }
    return length;
  }

  #skip(left: number): void {
    this.#state = left === 0 ? { kind: 'block' } : { kind: 'skip', left };
  }

  /** Gathers `wanted` bytes and hands them to the state; a header that lies whole in the chunk is not copied. */
  #collect(chunk: Buffer, at: number, wanted: number): number {
    const length = Math.min(wanted - this.#partialLength, chunk.length - at);
    const piece = chunk.subarray(at, at + length);
    this.#handler.raw?.(piece);
    if (this.#partialLength + length < wanted) {
      this.#partial.push(Buffer.from(piece));
      this.#partialLength += length;
      return length;
    }
    const whole = this.#partialLength === 0 ? piece : Buffer.concat([...this.#partial, piece]);
    this.#partial = [];
    this.#partialLength = 0;
    this.#collected(whole);
    return length;
  }

  #collected(bytes: Buffer): void {
    const state = this.#state;
    switch (state.kind) {
      case 'block':
        if (isZero(bytes)) this.#state = { kind: 'zero' };
        else this.#header(bytes);
        return;
      case 'zero':
        if (!isZero(bytes)) throw badHeader();
        this.#state = { kind: 'end' };
        return;
      case 'meta':
        this.#meta(state.typeflag, bytes.subarray(0, state.size));
        return;
      case 'old-map':
        extendOldGnu(state.map, bytes);
        if (!state.map.more) this.#sparse(state.header, state.map.runs, { real: state.map.realSize, stored: state.stored });
        return;
      case 'new-map':
        state.stored -= BLOCK;
        if (state.stored < 0) throw badHeader();
        if (state.map.add(bytes)) this.#sparse(state.header, state.map.runs, { real: state.realSize, stored: state.stored });
        return;
      default:
        throw badHeader();
    }
  }

  #header(block: Buffer): void {
    const raw = parseBlock(block);
    if ('xgLK'.includes(raw.typeflag)) {
      if (raw.size > MAX_META) throw tooLong();
      const state: State = { kind: 'meta', typeflag: raw.typeflag, size: raw.size };
      if (raw.size === 0) this.#meta(raw.typeflag, Buffer.alloc(0));
      else this.#state = state;
      return;
    }
    // A GNU volume label is no file.
    if (raw.typeflag === 'V') {
      this.#forget();
      this.#skip(raw.size + paddingOf(raw.size));
      return;
    }
    this.#entry(raw, block);
  }

  #meta(typeflag: string, data: Buffer): void {
    this.#state = { kind: 'block' };
    if (typeflag === 'L') this.#longName = cString(data, 0, data.length);
    else if (typeflag === 'K') this.#longLink = cString(data, 0, data.length);
    // The records outlive the chunk that they came in.
    else if (typeflag === 'x') this.#records = parsePax(Buffer.from(data));
    else for (const record of parsePax(Buffer.from(data))) if (isGlobalKey(record[0])) this.#global.set(record[0], record);
  }

  #forget(): void {
    this.#records = undefined;
    this.#longName = undefined;
    this.#longLink = undefined;
  }

  #entry(raw: RawHeader, block: Buffer): void {
    const type = TYPES.get(raw.typeflag);
    if (type === undefined) throw new TarError(`unhandled tar header type ${raw.typeflag.charCodeAt(0)}`);
    const records = this.#records ?? [];
    const header = headerOf(type, raw);
    applyPax(header, [...this.#global.values()]);
    applyPax(header, records);
    if (this.#longName !== undefined) header.name = this.#longName;
    if (this.#longLink !== undefined) header.linkName = this.#longLink;
    this.#forget();
    if (type !== 'hardlink' && type !== 'symlink') header.linkName = '';

    const stored = type === 'file' ? (sizeRecord(records) ?? raw.size) : 0;
    const sparse = type === 'file' ? sparseOfPax(records) : undefined;
    if (sparse !== undefined) this.#paxSparse(header, sparse, stored);
    else if (raw.typeflag === 'S') this.#oldSparse(header, startOldGnu(block), stored);
    else this.#plain(header, stored);
  }

  #plain(header: TarHeader, stored: number): void {
    // Before there was a type for them, directories were files with a slash at the end.
    if (header.type === 'file' && header.name.endsWith('/')) {
      header.type = 'directory';
      this.#handler.entry(header);
      this.#handler.endEntry();
      this.#skip(stored + paddingOf(stored));
      return;
    }
    header.size = stored;
    this.#begin(header, stored === 0 ? [] : [{ offset: 0, length: stored }], stored);
  }

  #paxSparse(header: TarHeader, sparse: PaxSparse, stored: number): void {
    if (sparse.name !== undefined) header.name = sparse.name;
    if (sparse.runs !== undefined) this.#sparse(header, sparse.runs, { real: sparse.realSize, stored });
    else this.#state = { kind: 'new-map', header, map: new SparseMapReader(), realSize: sparse.realSize, stored };
  }

  #oldSparse(header: TarHeader, map: OldGnuMap, stored: number): void {
    if (map.more) this.#state = { kind: 'old-map', header, map, stored };
    else this.#sparse(header, map.runs, { real: map.realSize, stored });
  }

  #sparse(header: TarHeader, runs: SparseRun[], sizes: { real: number; stored: number }): void {
    header.size = sizes.real;
    header.sparse = checkedRuns(runs, sizes);
    this.#begin(header, header.sparse, sizes.stored);
  }

  #begin(header: TarHeader, runs: SparseRun[], stored: number): void {
    if (stored > Number.MAX_SAFE_INTEGER - BLOCK) throw badHeader();
    this.#handler.entry(header);
    if (stored > 0) {
      this.#state = { kind: 'data', left: stored, padding: paddingOf(stored), runs, run: 0, done: 0 };
      return;
    }
    this.#handler.endEntry();
    this.#state = { kind: 'block' };
  }
}

const headerOf = (type: EntryType, raw: RawHeader): TarHeader => ({
  type,
  name: raw.name,
  linkName: raw.linkName,
  mode: raw.mode & 0o7777,
  uid: raw.uid,
  gid: raw.gid,
  userName: raw.userName,
  groupName: raw.groupName,
  size: 0,
  mtimeNs: raw.mtime * 1_000_000_000n,
  devMajor: raw.devMajor,
  devMinor: raw.devMinor,
  xattrs: new Map(),
});

function sizeRecord(records: readonly PaxRecord[]): number | undefined {
  const record = records.findLast(([key, value]) => key === 'size' && value.length > 0);
  return record === undefined ? undefined : decimal(record[1].toString('latin1'));
}

const ZERO_BLOCK = Buffer.alloc(BLOCK);
const isZero = (block: Buffer): boolean => block[0] === 0 && block.equals(ZERO_BLOCK);
