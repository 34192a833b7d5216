/** The log port for Docker's json-file format: rotated files first, then the present one, then what is still to come. */
import type { LogBatch, LogPort, LogQuery } from '../core/ports/logs.ts';
import { openLog } from './files.ts';
import { follow } from './follow.ts';
import { LogParser } from './parse.ts';
import { bytesFrom, startPoints } from './tail.ts';

export const jsonFileLogs: LogPort = { read };

async function* read(query: LogQuery): AsyncGenerator<LogBatch, void> {
  const parser = new LogParser(query);
  const done = (): boolean => parser.finished || query.signal?.aborted === true;
  try {
    await using log = await openLog(query.path);
    for (const point of await startPoints(log, query.tail)) {
      for await (const block of bytesFrom(point)) {
        if (done()) return;
        const batch = parser.feed(block);
        if (batch !== undefined) yield batch;
      }
      if (point.file !== log.present) parser.endFile();
    }
    if (query.follow !== undefined && !done()) {
      yield* follow(query, parser, { log, at: Number(log.present?.stat.size ?? 0) });
    }
  } finally {
    if (parser.damaged > 0) query.onDamaged?.(parser.damaged);
  }
}
