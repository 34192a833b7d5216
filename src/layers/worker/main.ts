/** A worker thread: one job at a time, synchronously, then back to the process's root. */
import { detachThread, leave } from '../../sys/confinement.ts';
import { serveJobs } from '../../sys/threads.ts';
import { assembleLayer } from './assemble.ts';
import { changes } from './compare.ts';
import { fillVolume, findDirectory, packRoot, readPath, statPath, writePath } from './container.ts';
import { copyTree } from './copyTree.ts';
import { extractLayer } from './extractLayer.ts';
import { mountOverlay } from './mountOverlay.ts';
import { makeMountPoints } from './mountPoints.ts';
import { packChanges } from './packChanges.ts';
import { packUpper } from './packUpper.ts';
import type { Jobs } from './protocol.ts';
import { usage } from './usage.ts';

detachThread();
// If the way back to the process's root fails the thread ends, and with it the root it has.
serveJobs<Jobs>(
  {
    extractLayer,
    assembleLayer,
    mountOverlay,
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
  },
  leave,
);
