/** The recorded networks: one file each in `<data-root>/networks`. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../base/logger.ts';
import type { NetworkRecord } from '../core/ports/network.ts';
import { makeDirectory, readRecord, removeRecord, removeTemporaries, writeRecord } from '../store/record.ts';

const SUFFIX = '.json';

export class NetworkRecords {
  readonly #directory: string;
  readonly #logger: Logger;

  constructor(directory: string, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
  }

  /** All networks that can be read; one that cannot is left out and said, never deleted. */
  async load(): Promise<NetworkRecord[]> {
    await makeDirectory(this.#directory);
    await removeTemporaries(this.#directory);
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.')).toSorted();
    const networks: NetworkRecord[] = [];
    for (const name of names) {
      const read = await readRecord<NetworkRecord>(join(this.#directory, name), { schema: 1, parse: parseNetwork });
      if (read.kind === 'ok') networks.push(read.value);
      if (read.kind === 'damaged') this.#logger.error('a network record is damaged', { file: name, reason: read.reason, quarantined: read.quarantined });
      if (read.kind === 'newer') this.#logger.error('a network record is of a newer release', { file: name, schema: read.schema });
    }
    return networks;
  }

  async save(network: NetworkRecord): Promise<void> {
    await makeDirectory(this.#directory);
    await writeRecord(join(this.#directory, `${network.id}${SUFFIX}`), network);
  }

  async remove(id: string): Promise<void> {
    await removeRecord(join(this.#directory, `${id}${SUFFIX}`));
  }
}

function parseNetwork(value: Record<string, unknown>): NetworkRecord {
  for (const key of ['id', 'name', 'driver', 'bridge']) if (typeof value[key] !== 'string') throw new Error(`network record without ${key}`);
  const ipam = value['ipam'];
  if (typeof ipam !== 'object' || ipam === null || !('config' in ipam) || !Array.isArray(ipam.config)) throw new Error('network record without ipam');
  // What this release wrote, it wrote whole; the fields checked are those that keep other containers safe.
  return value as unknown as NetworkRecord;
}
