/** What `moored-dns` does. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from '../sys/flock.ts';
import { ERROR_FILE, LOCK_FILE } from './files.ts';
import { Resolver } from './resolver.ts';

/** The only resolver of its folder, or nothing. */
export async function program([folder = '.', ...cgroups]: readonly string[]): Promise<void> {
  process.title = `moored-dns ${folder}`;
  process.chdir(folder);
  // Held until the process ends.
  const lock = tryLock(LOCK_FILE);
  if (lock === undefined) return;
  writeFileSync(LOCK_FILE, `${process.pid}\n`);
  for (const cgroup of cgroups) joinCgroup(cgroup);
  const resolver = new Resolver();
  process.on('SIGTERM', () => resolver.end());
  // Whatever is wrong with one question: the others still want answers.
  process.on('uncaughtException', (error) => writeFileSync(ERROR_FILE, `${error.stack ?? error.message}\n`, { mode: 0o600 }));
  await resolver.run();
}

/** One that cannot be joined is no reason to leave containers without names. */
function joinCgroup(directory: string): void {
  try {
    writeFileSync(join(directory, 'cgroup.procs'), String(process.pid));
  } catch {
    return;
  }
}
