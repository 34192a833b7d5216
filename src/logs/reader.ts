/** The log port for Docker's json-file format: rotated files first, then the present one, then what is still to come. */
import type { LogPort, LogQuery, LogShape } from '../core/ports/logs.ts';
import { LogEncoder } from './encode.ts';
import { openLog } from './files.ts';
import { follow } from './follow.ts';
import { pointsSince } from './since.ts';
import { bytesFrom, startPoints } from './tail.ts';

export const jsonFileLogs: LogPort = { read };

async function* read(query: LogQuery, shape: LogShape): AsyncGenerator<Buffer, void> {
  const encoder = new LogEncoder(query, shape);
  const done = (): boolean => encoder.finished || query.signal?.aborted === true;
  try {
    await using log = await openLog(query.path);
    for (const point of await pointsSince(await startPoints(log, query.tail), query.since)) {
      for await (const block of bytesFrom(point)) {
        if (done()) return;
        const out = encoder.feed(block);
        if (out !== undefined) yield out;
      }
      if (point.file !== log.present) encoder.endFile();
    }
    if (query.follow !== undefined && !done()) {
      yield* follow(query, encoder, { log, at: Number(log.present?.stat.size ?? 0) });
    }
  } finally {
    if (encoder.damaged > 0) query.onDamaged?.(encoder.damaged);
  }
}
