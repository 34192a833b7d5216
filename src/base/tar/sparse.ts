/** Sparse files: old GNU maps in the header, and GNU's pax forms 0.0, 0.1 and 1.0. All are read, none is written. */
import { badHeader, BLOCK, exact, parseNumber } from './header.ts';
import type { SparseRun } from './header.ts';
import { decimal } from './pax.ts';
import type { PaxRecord } from './pax.ts';

/** More runs than this are refused, so that a small archive cannot fill the memory with its map. */
const MAX_RUNS = 1 << 18;

const OLD_IN_HEADER = { offset: 386, entries: 4, extended: 482, realSize: 483 };
const OLD_IN_BLOCK = { entries: 21, extended: 504 };

/** An old GNU map under construction: the header's part first, then extension blocks while `more`. */
export interface OldGnuMap {
  runs: SparseRun[];
  realSize: number;
  more: boolean;
}

export function startOldGnu(block: Buffer): OldGnuMap {
  const map: OldGnuMap = { runs: [], realSize: exact(parseNumber(block, OLD_IN_HEADER.realSize, 12)), more: block[OLD_IN_HEADER.extended] !== 0 };
  readRuns(map, block, OLD_IN_HEADER.offset, OLD_IN_HEADER.entries);
  return map;
}

export function extendOldGnu(map: OldGnuMap, block: Buffer): void {
  readRuns(map, block, 0, OLD_IN_BLOCK.entries);
  map.more = block[OLD_IN_BLOCK.extended] !== 0;
}

function readRuns(map: OldGnuMap, block: Buffer, at: number, entries: number): void {
  for (let i = 0; i < entries; i++) {
    const start = at + i * 24;
    if (block[start] === 0) return;
    addRun(map.runs, exact(parseNumber(block, start, 12)), exact(parseNumber(block, start + 12, 12)));
  }
}

function addRun(runs: SparseRun[], offset: number, length: number): void {
  if (runs.length >= MAX_RUNS) throw badHeader();
  runs.push({ offset, length });
}

/** What a sparse file's pax records say; `runs` is undefined for 1.0, whose map stands before the data. */
export interface PaxSparse {
  name: string | undefined;
  realSize: number;
  runs: SparseRun[] | undefined;
}

/** Undefined if the records do not speak of a sparse file. */
export function sparseOfPax(records: readonly PaxRecord[]): PaxSparse | undefined {
  const values = new Map<string, string>();
  const numbers: number[] = [];
  for (const [key, value] of records) {
    if (!key.startsWith('GNU.sparse.')) continue;
    const field = key.slice('GNU.sparse.'.length);
    const text = value.toString('latin1');
    // 0.0 repeats these two keys, one pair a run.
    if (field === 'offset' || field === 'numbytes') {
      if ((field === 'offset') !== (numbers.length % 2 === 0)) throw badHeader();
      numbers.push(decimal(text));
    } else values.set(field, text);
  }
  if (values.size === 0) return undefined;
  const name = values.get('name');
  const version = `${values.get('major') ?? '0'}.${values.get('minor') ?? '0'}`;
  if (values.has('major') && version === '1.0') {
    return { name, realSize: decimal(values.get('realsize') ?? ''), runs: undefined };
  }
  const map = values.get('map');
  if (map === undefined && !values.has('numblocks')) return undefined;
  const list = map === undefined ? numbers : map === '' ? [] : map.split(',').map(decimal);
  const runs: SparseRun[] = [];
  if (list.length % 2 !== 0) throw badHeader();
  for (let i = 0; i < list.length; i += 2) addRun(runs, list[i] ?? 0, list[i + 1] ?? 0);
  const count = values.get('numblocks');
  if (count !== undefined && decimal(count) !== runs.length) throw badHeader();
  return { name, realSize: decimal(values.get('size') ?? values.get('realsize') ?? ''), runs };
}

/** Reads a 1.0 map from the blocks before the data: decimal lines, padded to a block. */
export class SparseMapReader {
  readonly runs: SparseRun[] = [];
  #pending = '';
  #count: number | undefined;
  #offset: number | undefined;

  /** Takes one block; true when the map is complete. */
  add(block: Buffer): boolean {
    const lines = (this.#pending + block.toString('latin1', 0, BLOCK)).split('\n');
    this.#pending = lines.pop() ?? '';
    for (const line of lines) {
      const value = decimal(line);
      if (this.#count === undefined) this.#count = value;
      else if (this.#offset === undefined) this.#offset = value;
      else {
        addRun(this.runs, this.#offset, value);
        this.#offset = undefined;
      }
      if (this.runs.length === this.#count) return true;
    }
    if (this.#pending.length > 32) throw badHeader();
    return false;
  }
}

/** Checks that the runs are in order, inside the file and just as long as the data; empty ones are left out. */
export function checkedRuns(runs: readonly SparseRun[], sizes: { real: number; stored: number }): SparseRun[] {
  let end = 0;
  let sum = 0;
  for (const run of runs) {
    if (run.offset < end || run.offset + run.length > sizes.real) throw badHeader();
    end = run.offset + run.length;
    sum += run.length;
  }
  if (sum !== sizes.stored) throw badHeader();
  return runs.filter((run) => run.length > 0);
}
