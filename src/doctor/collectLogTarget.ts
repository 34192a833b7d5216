/** How far a container's log has come on its way to its target, by what the forwarder keeps beside it. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { ContainerRecord } from '../core/container/record.ts';
import { logDriverKind } from '../core/log/drivers.ts';
import { decodeCursor } from '../logs/forward/cursor.ts';
import { Spool } from '../logs/forward/spool.ts';
import type { LogTargetFacts } from './facts.ts';

/** Undefined if its log goes to no target, or was never begun, or cannot be looked at. */
export async function logTargetFacts(dataDir: string, record: ContainerRecord): Promise<LogTargetFacts | undefined> {
  const { type } = record.hostConfig.logConfig;
  if (logDriverKind(type) !== 'target') return undefined;
  try {
    const cursor = decodeCursor(await readFile(path.join(dataDir, 'forward')));
    if (cursor === undefined) return undefined;
    await using spool = new Spool(path.join(dataDir, `${record.id}-json.log`), undefined);
    const { error, gaps, lostBytes, progress } = cursor;
    return { driver: type, error, gaps, lostBytes, behindBytes: await spool.behind(progress.position) };
  } catch {
    return undefined;
  }
}
