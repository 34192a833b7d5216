/** Which storage drivers there are, the configured one first. */
import { readdirSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, invalid, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { Config } from '../core/options/table.ts';
import type { LayerPort } from '../core/ports/layers.ts';
import { openedOnDemand } from '../layers/opening.ts';
import { Overlay2 } from '../layers/overlay2.ts';
import { Vfs } from '../layers/vfs.ts';

/**
 * The configured driver; the others too where containers of theirs may lie. One that holds something is taken for usable,
 * and opened when it is needed: a daemon's start does not wait for it.
 */
export async function openLayers(config: Config, logger: Logger): Promise<Map<string, LayerPort>> {
  const root = path.join(config.dataRoot, 'layers');
  await mkdir(root, { recursive: true, mode: 0o710 });
  const openers: Record<string, (folder: string) => Promise<LayerPort>> = {
    overlay2: (folder) => Overlay2.open(folder, logger),
    vfs: (folder) => Vfs.open(folder, logger),
  };
  const wanted = config.storageDriver === '' ? ['overlay2', 'vfs'] : [config.storageDriver, ...Object.keys(openers).filter((name) => name !== config.storageDriver)];
  const results = await Promise.all(wanted.map(async (name, index): Promise<[string, LayerPort][]> => {
    const opener = openers[name];
    if (opener === undefined) throw invalid(`error initializing graphdriver: driver not supported: ${name}`);
    const folder = path.join(root, name);
    if (isUsed(folder)) return [[name, openedOnDemand(name, () => opener(folder))]];
    if (index > 0 && config.storageDriver !== '') return [];
    try {
      return [[name, await opener(folder)]];
    } catch (error) {
      if (name === config.storageDriver) throw error;
      logger.warn(`storage driver ${name} cannot be used`, { error: messageOf(error) });
      return [];
    }
  }));
  return new Map(results.flat());
}

function isUsed(folder: string): boolean {
  try {
    return ['ro', 'rw'].some((kind) => readdirSync(path.join(folder, kind)).length > 0);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw error;
  }
}
