/** The storage drivers by name. */
import path from 'node:path';
import { invalid } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { LayerPort } from '../core/ports/layers.ts';
import { Overlay2 } from './overlay2.ts';
import { Vfs } from './vfs.ts';

/** A driver that holds threads until it is closed; what it mounted stays. */
export type LayerDriver = LayerPort & { close(): Promise<void> };

/**
 * Opens `<data root>/layers/<driver>`, finishing or undoing what a crash left. Docker's message for a driver that does not
 * exist here.
 */
export async function openLayers(driver: string, dataRoot: string, logger: Logger): Promise<LayerDriver> {
  const root = path.join(dataRoot, 'layers', driver);
  if (driver === 'overlay2') return Overlay2.open(root, logger);
  if (driver === 'vfs') return Vfs.open(root, logger);
  throw invalid(`error initializing graphdriver: driver not supported: ${driver}`);
}
