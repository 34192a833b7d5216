/** The end of shims that are in the way: hung ones, and those of a start that a crash cut short. */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, internal } from '../base/errors.ts';
import { isFolderLocked } from '../sys/flock.ts';
import { shimName } from './naming.ts';

const PAUSE_MS = 20;
/** What is killed is gone at once, unless it is in uninterruptible sleep. */
const AFTER_KILL_MS = 2000;

/** As in ShimPort.end. A shim holds a lock on its directory, so that nothing has to be remembered to find it. */
export async function endShims(dir: string, graceMs: number): Promise<void> {
  const dirs = [dir, ...(await sessions(dir))];
  if (await free(dirs, graceMs)) return;
  for (const pid of await shimsIn(new Set(dirs))) kill(pid);
  if (!(await free(dirs, AFTER_KILL_MS))) throw internal(`${shimName(dir)} cannot be ended`);
}

async function free(dirs: readonly string[], ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (dirs.some((dir) => isFolderLocked(dir))) {
    if (performance.now() > deadline) return false;
    await sleep(PAUSE_MS);
  }
  return true;
}

async function sessions(dir: string): Promise<string[]> {
  try {
    return (await readdir(join(dir, 'execs'))).map((name) => join(dir, 'execs', name));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

/** The shims that work in these directories: their name and their working directory tell. */
async function shimsIn(dirs: ReadonlySet<string>): Promise<number[]> {
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      if ((await readFile(`/proc/${name}/comm`, 'utf8')).trim() === 'moored-shim' && dirs.has(await readlink(`/proc/${name}/cwd`))) found.push(Number(name));
    } catch {
      // It has ended since.
    }
  }
  return found;
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}
