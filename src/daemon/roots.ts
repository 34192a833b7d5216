/**
 * The roots that count. Running containers live in those they were started with, and each root names the other: so a start
 * with another root finds them all the same. When an option changed while some run, the old root goes on being used until
 * none of them does, so that they are neither lost nor started twice; a data root that was moved with its content is
 * followed at once.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { writeFileAtomic } from '../store/record.ts';
import { realPath } from '../sys/realPath.ts';

export interface Roots {
  dataRoot: string;
  execRoot: string;
}

/** A root that has to wait for the containers of another one. */
export interface PendingRoot {
  option: 'data-root' | 'exec-root';
  wanted: string;
  used: string;
}

export interface EffectiveRoots extends Roots {
  pending: PendingRoot[];
  /** What lies in the exec root was written for a data root of another path, which is this one now. */
  moved: boolean;
}

/** In each root, the path of the other. */
const RECORDS = { dataRoot: 'exec-root', execRoot: 'data-root' } as const;

/** Reads which roots the containers that may run were started with. Paths come without symlinks (`/var/run` mostly is one). */
export function effectiveRoots(configured: Roots): EffectiveRoots {
  const wanted = { dataRoot: realPath(configured.dataRoot), execRoot: realPath(configured.execRoot) };
  const pending: PendingRoot[] = [];
  const wait = (option: PendingRoot['option'], want: string, used: string): string => {
    pending.push({ option, wanted: want, used });
    return used;
  };
  const recordedExec = recorded(wanted.dataRoot, 'dataRoot');
  const execWaits = recordedExec !== undefined && realPath(recordedExec) !== wanted.execRoot && livingIn(realPath(recordedExec)).length > 0;
  const execRoot = execWaits ? wait('exec-root', wanted.execRoot, realPath(recordedExec)) : wanted.execRoot;
  const living = livingIn(execRoot);
  const recordedData = recorded(execRoot, 'execRoot');
  if (recordedData === undefined || recordedData === wanted.dataRoot || living.length === 0) return { ...wanted, execRoot, pending, moved: false };
  const elsewhere = realPath(recordedData) !== wanted.dataRoot && living.some((id) => existsSync(path.join(recordedData, 'containers', id, 'config.json')));
  if (elsewhere) return { dataRoot: wait('data-root', wanted.dataRoot, realPath(recordedData)), execRoot, pending, moved: false };
  return { ...wanted, execRoot, pending, moved: living.some((id) => existsSync(path.join(wanted.dataRoot, 'containers', id, 'config.json'))) };
}

/** For a person. */
export const pendingRootText = ({ option, wanted, used }: PendingRoot): string => `${option} ${wanted} waits until no container of ${used} runs`;

function recorded(root: string, which: keyof Roots): string | undefined {
  try {
    const text = readFileSync(path.join(root, RECORDS[which]), 'utf8').trim();
    return path.isAbsolute(text) ? text : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** Containers that may run: a shim's socket is there as long as it does. */
function livingIn(execRoot: string): string[] {
  const folder = path.join(execRoot, 'containers');
  return existsSync(folder) ? readdirSync(folder).filter((id) => existsSync(path.join(folder, id, 'shim.sock'))) : [];
}

/** Writes into one root which the other is. For the data root's: before anything is started. */
export async function recordRoot(roots: Roots, within: keyof Roots): Promise<void> {
  const other = within === 'dataRoot' ? roots.execRoot : roots.dataRoot;
  if (recorded(roots[within], within) === other) return;
  await writeFileAtomic(path.join(roots[within], RECORDS[within]), `${other}\n`, { durable: within === 'dataRoot', mode: 0o644 });
}
