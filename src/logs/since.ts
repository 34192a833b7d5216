/**
 * Where the messages from a time on begin. A log is written in the order of its times, so they are looked for by halves
 * instead of from its beginning. (Where the clock was set back meanwhile, so that a time is there twice, one place of the two
 * is found.)
 */
import { bound } from './encode.ts';
import { content } from './files.ts';
import type { LogFile } from './files.ts';
import type { StartPoint } from './tail.ts';

const NEWLINE = 0x0a;
/** Holds a whole line behind a part of another one, whatever is in them but attributes of great length. */
const BLOCK_BYTES = 256 * 1024;

/** The points that are left of these, the oldest first: files that end before the time are passed over. 0n: all. */
export async function pointsSince(points: readonly StartPoint[], since: bigint): Promise<readonly StartPoint[]> {
  const time = bound(since)?.toString('latin1');
  if (time === undefined) return points;
  let first = 0;
  // A file ends before its successor begins.
  for (let i = points.length - 1; i > 0; i--) {
    const next = points[i];
    const begins = next === undefined ? undefined : await firstTime(next.file);
    if (begins === undefined || begins >= time) continue;
    first = i;
    break;
  }
  const [point, ...others] = points.slice(first);
  if (point === undefined) return [];
  return [point.file.compressed ? point : { ...point, offset: await offsetOf(point, time) }, ...others];
}

/** The start of a line before which there is nothing of the time or later; at most a block before what is looked for. */
async function offsetOf({ file, offset }: StartPoint, time: string): Promise<number> {
  const buffer = Buffer.allocUnsafe(BLOCK_BYTES);
  let low = offset;
  let high = Number(file.stat.size);
  while (high - low > BLOCK_BYTES) {
    const middle = low + Math.floor((high - low) / 2);
    const { bytesRead } = await file.handle.read(buffer, 0, buffer.length, middle);
    const block = buffer.subarray(0, bytesRead);
    const start = block.indexOf(NEWLINE) + 1;
    const found = start === 0 ? undefined : timeIn(block.subarray(start));
    // Nothing that could be understood: read from here on.
    if (found === undefined) return low;
    if (found < time) low = middle + start;
    else high = middle;
  }
  return low;
}

async function firstTime(file: LogFile): Promise<string | undefined> {
  for await (const chunk of content(file)) return timeIn(chunk);
  return undefined;
}

/** The time of the first line, if that is whole and in the shim's form. */
function timeIn(block: Buffer): string | undefined {
  const end = block.indexOf(NEWLINE);
  if (end < 0) return undefined;
  return /"time":"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z)"\}$/.exec(block.toString('latin1', Math.max(0, end - 64), end))?.[1];
}
