/** What `moored-dns` does. */
import { writeFileSync } from 'node:fs';
import { tryLock } from '../sys/flock.ts';
import { ERROR_FILE, LOCK_FILE } from './files.ts';
import { Resolver } from './resolver.ts';

/** The only resolver of its folder, or nothing. */
export async function program([folder = '.', version = '']: readonly string[]): Promise<void> {
  process.title = `moored-dns ${folder}`;
  process.chdir(folder);
  // Held until the process ends.
  const lock = tryLock(LOCK_FILE);
  if (lock === undefined) return;
  writeFileSync(LOCK_FILE, `${process.pid}\n`);
  const resolver = new Resolver(version);
  process.on('SIGTERM', () => resolver.end());
  // Whatever is wrong with one question: the others still want answers.
  process.on('uncaughtException', (error) => writeFileSync(ERROR_FILE, `${error.stack ?? error.message}\n`, { mode: 0o600 }));
  try {
    await resolver.run();
  } catch (error) {
    process.exitCode = 1;
    resolver.end();
    throw error;
  }
}
