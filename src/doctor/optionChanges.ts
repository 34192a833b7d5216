/** Which options changed since running containers were made or started, and which count from the daemon's next start. */
import path from 'node:path';
import { elders, notYetNoted, parseOptionNotes } from '../core/options/reach.ts';
import type { Elder } from '../core/options/reach.ts';
import type { Config } from '../core/options/table.ts';
import { peekRecord } from '../store/peek.ts';

export async function optionChanges(config: Config, running: readonly Elder[]): Promise<string[]> {
  const read = await peekRecord(path.join(config.dataRoot, 'options.json'), { schema: 1, parse: parseOptionNotes });
  if (read.kind !== 'ok') return [];
  const waiting = notYetNoted(read.value, config);
  return [...(waiting.length === 0 ? [] : [`changed, and for the daemon's next start: ${waiting.join(', ')}`]), ...elders(read.value, running)];
}
