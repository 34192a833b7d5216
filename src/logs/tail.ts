/** Where the last lines of a log begin: counted backwards in blocks, so that a long log is not read for its end. */
import { blocks, content } from './files.ts';
import type { LogFile, OpenLog } from './files.ts';

const NEWLINE = 0x0a;
const TAIL_BLOCK_BYTES = 64 * 1024;

/** Where to begin to read: at byte `offset` of a plain file, or after `skipLines` lines of a compressed one. */
export interface StartPoint {
  readonly file: LogFile;
  readonly offset: number;
  readonly skipLines: number;
}

const whole = (file: LogFile): StartPoint => ({ file, offset: 0, skipLines: 0 });

/** What to read for the last `lines` lines (−1: all), the oldest file first. An unfinished last line is not counted. */
export async function startPoints(log: OpenLog, lines: number): Promise<StartPoint[]> {
  const files = log.present === undefined ? log.rotated : [...log.rotated, log.present];
  if (lines < 0) return files.map(whole);
  const points: StartPoint[] = [];
  let wanted = lines;
  for (const file of files.toReversed()) {
    // The present file is wanted in any case, to follow it.
    if (wanted === 0 && file !== log.present) break;
    const { point, found } = file.compressed ? await tailOfCompressed(file, wanted) : await tailOfPlain(file, wanted);
    points.unshift(point);
    wanted -= found;
  }
  return points;
}

interface Tail {
  readonly point: StartPoint;
  /** How many of the wanted lines lie in this file. */
  readonly found: number;
}

async function tailOfPlain(file: LogFile, lines: number): Promise<Tail> {
  const buffer = Buffer.allocUnsafe(TAIL_BLOCK_BYTES);
  let newlines = 0;
  for (let end = Number(file.stat.size); end > 0; ) {
    const start = Math.max(0, end - buffer.length);
    const { bytesRead } = await file.handle.read(buffer, 0, end - start, start);
    // Cut since it was opened: nothing there to be counted.
    if (bytesRead < end - start) return { point: whole(file), found: 0 };
    const block = buffer.subarray(0, bytesRead);
    for (let at = block.lastIndexOf(NEWLINE); at !== -1; at = at === 0 ? -1 : block.lastIndexOf(NEWLINE, at - 1)) {
      // The newline before the first wanted line.
      if (newlines++ === lines) return { point: { file, offset: start + at + 1, skipLines: 0 }, found: lines };
    }
    end = start;
  }
  return { point: whole(file), found: newlines };
}

/** An archive can only be read from its beginning: its lines are counted first. */
async function tailOfCompressed(file: LogFile, lines: number): Promise<Tail> {
  let count = 0;
  for await (const chunk of content(file)) count += newlinesIn(chunk);
  const found = Math.min(count, lines);
  return { point: { file, offset: 0, skipLines: count - found }, found };
}

function newlinesIn(chunk: Buffer): number {
  let count = 0;
  for (let at = chunk.indexOf(NEWLINE); at !== -1; at = chunk.indexOf(NEWLINE, at + 1)) count++;
  return count;
}

/** The bytes from a start point on. */
export async function* bytesFrom({ file, offset, skipLines }: StartPoint): AsyncGenerator<Buffer, void> {
  if (!file.compressed) {
    yield* blocks(file, offset, Number(file.stat.size));
    return;
  }
  let skip = skipLines;
  for await (const chunk of content(file)) {
    let at = 0;
    for (; skip > 0; skip--) {
      const newline = chunk.indexOf(NEWLINE, at);
      if (newline === -1) break;
      at = newline + 1;
    }
    if (skip === 0) yield chunk.subarray(at);
  }
}
