/** The engine's identity (`docker info`), made once per data root; a plain file, so that a person can read it. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { writeFileAtomic } from '../store/record.ts';

export async function engineId(dataRoot: string): Promise<string> {
  const path = join(dataRoot, 'engine-id');
  try {
    const text = (await readFile(path, 'utf8')).trim();
    if (text !== '') return text;
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
  const id = randomUUID();
  await writeFileAtomic(path, `${id}\n`, { durable: true, mode: 0o644 });
  return id;
}
