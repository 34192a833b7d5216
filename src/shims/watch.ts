/** The verb `watch`: a shim's journal as it is written. This connection is what tells the shim that a daemon is there. */
import { finished } from 'node:stream';
import { internal } from '../base/errors.ts';
import type { ShimWatch, WatchEnd, WatchOptions } from '../core/ports/shim.ts';
import { call } from './client.ts';
import { parseEntry } from './journal.ts';

const MAX_LINE_BYTES = 64 * 1024;
const NEWLINE = 0x0a;

/** Rejects if the shim does not take the order; afterwards everything is told by `ended`. */
export async function watchShim(dir: string, { since, onEntry }: WatchOptions): Promise<ShimWatch> {
  const { socket } = await call(dir, 'watch', { since });
  let sawEnd = false;
  let closedByUs = false;
  const take = lineSplitter((line) => {
    const entry = parseEntry(line);
    if (entry === undefined) return;
    sawEnd = entry.kind === 'end';
    onEntry(entry);
  });
  const ended = new Promise<WatchEnd>((resolve) => {
    // Nothing is ever written after the order: the shim's end of the connection ends ours.
    socket.on('end', () => socket.end());
    socket.on('data', (chunk: Buffer) => {
      try {
        take(chunk);
      } catch (error) {
        socket.destroy(error instanceof Error ? error : internal(String(error)));
      }
    });
    finished(socket, (error) => {
      socket.destroy();
      if (closedByUs) resolve({ kind: 'closed' });
      else if (sawEnd) resolve({ kind: 'ended' });
      else resolve({ kind: 'lost', error: error ?? undefined });
    });
  });
  const close = (): void => {
    closedByUs = true;
    socket.destroy();
  };
  return { ended, close };
}

/** Gives whole lines out of chunks cut anywhere. */
function lineSplitter(onLine: (line: string) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    for (let end = data.indexOf(NEWLINE); end !== -1; end = data.indexOf(NEWLINE)) {
      onLine(data.subarray(0, end).toString('utf8'));
      data = data.subarray(end + 1);
    }
    if (data.length > MAX_LINE_BYTES) throw internal('a line of the journal is too long');
    rest = data;
  };
}
