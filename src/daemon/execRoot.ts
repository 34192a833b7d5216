/**
 * The exec root that counts. Running containers live in the one they were started with: when the option changed while
 * some run, the old root goes on being used until none of them does, so that they are neither lost nor started twice.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { writeFileAtomic } from '../store/record.ts';
import { realPath } from '../sys/realPath.ts';

export interface EffectiveExecRoot {
  execRoot: string;
  /** The configured one has to wait. */
  pending: boolean;
}

const recordOf = (dataRoot: string): string => path.join(dataRoot, 'exec-root');

/** Reads which root the data root's containers were started with. Paths come without symlinks (`/var/run` mostly is one). */
export function effectiveExecRoot(roots: { dataRoot: string; execRoot: string }): EffectiveExecRoot {
  const configured = realPath(roots.execRoot);
  const recorded = readRecorded(roots.dataRoot);
  if (recorded === undefined || recorded === configured || !hasContainers(recorded)) return { execRoot: configured, pending: false };
  return { execRoot: recorded, pending: true };
}

function readRecorded(dataRoot: string): string | undefined {
  try {
    const text = readFileSync(recordOf(dataRoot), 'utf8').trim();
    return path.isAbsolute(text) ? realPath(text) : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** A shim's socket is there as long as its container may run. */
function hasContainers(execRoot: string): boolean {
  const folder = path.join(execRoot, 'containers');
  return existsSync(folder) && readdirSync(folder).some((id) => existsSync(path.join(folder, id, 'shim.sock')));
}

/** Writes it down, before anything is started in it. */
export async function recordExecRoot(roots: { dataRoot: string; execRoot: string }): Promise<void> {
  if (readRecorded(roots.dataRoot) === roots.execRoot) return;
  await writeFileAtomic(recordOf(roots.dataRoot), `${roots.execRoot}\n`, { durable: true, mode: 0o644 });
}
