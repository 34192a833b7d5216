/** The recorded networks: one file each in `<data-root>/networks`. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../base/logger.ts';
import type { NetworkRecord } from '../core/ports/network.ts';
import { makeDirectory, readRecord, removeRecord, removeTemporaries, writeRecord } from '../store/record.ts';

const SUFFIX = '.json';
const SCHEMA = 1;

/** What a newer release recorded: known well enough to keep out of its way. */
export interface NewerNetwork {
  readonly id: string;
  /** Empty if it cannot be told. */
  readonly name: string;
  /** Empty if it cannot be told. */
  readonly bridge: string;
  /** What of it this release knows, if that is whole: enough to let the packets of those that run on it pass. */
  readonly known: NetworkRecord | undefined;
  /** Why it cannot be used. */
  readonly problem: string;
}

export class NetworkRecords {
  readonly #directory: string;
  readonly #logger: Logger;

  constructor(directory: string, logger: Logger) {
    this.#directory = directory;
    this.#logger = logger;
  }

  /** All networks; a record that is damaged is put aside and said, never deleted, and a newer one left as it is. */
  async load(): Promise<{ networks: NetworkRecord[]; newer: NewerNetwork[] }> {
    await makeDirectory(this.#directory);
    await removeTemporaries(this.#directory);
    const names = (await readdir(this.#directory)).filter((name) => name.endsWith(SUFFIX) && !name.startsWith('.')).toSorted();
    const networks: NetworkRecord[] = [];
    const newer: NewerNetwork[] = [];
    for (const name of names) {
      const read = await readRecord<NetworkRecord>(join(this.#directory, name), { schema: SCHEMA, parse: parseNetwork });
      if (read.kind === 'ok') networks.push(read.value);
      if (read.kind === 'damaged') this.#logger.error('a network record is damaged', { file: name, reason: read.reason, quarantined: read.quarantined });
      if (read.kind === 'newer') newer.push(newerNetwork(name.slice(0, -SUFFIX.length), read));
    }
    return { networks, newer };
  }

  async save(network: NetworkRecord): Promise<void> {
    await makeDirectory(this.#directory);
    await writeRecord(join(this.#directory, `${network.id}${SUFFIX}`), network);
  }

  async remove(id: string): Promise<void> {
    await removeRecord(join(this.#directory, `${id}${SUFFIX}`));
  }
}

function newerNetwork(id: string, { schema, value }: { schema: number; value: Readonly<Record<string, unknown>> }): NewerNetwork {
  const text = (key: string): string => (typeof value[key] === 'string' ? value[key] : '');
  const name = text('name');
  return { id, name, bridge: text('bridge'), known: knownOf(value), problem: `network ${name === '' ? id : name} cannot be used: its record was written by a newer release (schema ${schema}; this one reads up to ${SCHEMA})` };
}

function knownOf(value: Readonly<Record<string, unknown>>): NetworkRecord | undefined {
  try {
    return parseNetwork({ ...value });
  } catch {
    return undefined;
  }
}

function parseNetwork(value: Record<string, unknown>): NetworkRecord {
  for (const key of ['id', 'name', 'driver', 'bridge']) if (typeof value[key] !== 'string') throw new Error(`network record without ${key}`);
  const ipam = value['ipam'];
  if (typeof ipam !== 'object' || ipam === null || !('config' in ipam) || !Array.isArray(ipam.config)) throw new Error('network record without ipam');
  // What this release wrote, it wrote whole; the fields checked are those that keep other containers safe.
  return value as unknown as NetworkRecord;
}
