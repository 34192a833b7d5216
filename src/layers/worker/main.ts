/** A worker thread: one job at a time, synchronously, then back to the process's root. */
import { parentPort } from 'node:worker_threads';
import { detachThread, leave } from '../../sys/confinement.ts';
import { assembleLayer } from './assemble.ts';
import { extractLayer } from './extractLayer.ts';
import { changes } from './compare.ts';
import { fillVolume, findDirectory, packRoot, readPath, statPath, writePath } from './container.ts';
import { copyTree } from './copyTree.ts';
import { makeMountPoints } from './mountPoints.ts';
import { packChanges } from './packChanges.ts';
import { packUpper } from './packUpper.ts';
import { flatten } from './protocol.ts';
import type { Job, JobName, Jobs, Reply } from './protocol.ts';
import { usage } from './usage.ts';

const HANDLERS: { [K in JobName]: (input: Jobs[K]['input']) => Jobs[K]['output'] } = {
  extractLayer,
  assembleLayer,
  makeMountPoints,
  packUpper,
  changes,
  packChanges,
  copyTree,
  statPath,
  readPath,
  writePath,
  packRoot,
  findDirectory,
  fillVolume,
  usage,
};

function handle<K extends JobName>(name: K, input: Jobs[K]['input']): Reply {
  try {
    return { ok: true, value: HANDLERS[name](input) };
  } catch (error) {
    return { ok: false, error: flatten(error) };
  } finally {
    // If this fails the thread ends, and with it its root.
    leave();
  }
}

detachThread();
parentPort?.on('message', (job: Job) => parentPort?.postMessage(handle(job.name, job.input)));
