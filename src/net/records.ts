/**
 * The recorded networks in `<data-root>/networks`: one file each, and a copy, without which the links of all who run on a
 * network would be nobody's if its record were lost.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../base/logger.ts';
import type { NetworkRecord } from '../core/ports/network.ts';
import { makeDirectory, readRecord, removeRecord, removeTemporaries, writeRecord } from '../store/record.ts';
import type { RecordRead } from '../store/record.ts';

const SUFFIX = '.json';
const COPY = '.copy';
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
    const files = (await readdir(this.#directory)).filter((name) => !name.startsWith('.'));
    const ids = new Set(files.flatMap((name) => [SUFFIX, COPY].flatMap((suffix) => (name.endsWith(suffix) ? [name.slice(0, -suffix.length)] : []))));
    const networks: NetworkRecord[] = [];
    const newer: NewerNetwork[] = [];
    for (const id of [...ids].toSorted()) {
      const read = await this.#read(id, SUFFIX);
      if (read.kind === 'ok') {
        networks.push(read.value);
        if (!files.includes(`${id}${COPY}`)) await this.#saveCopy(read.value);
        continue;
      }
      if (read.kind === 'damaged') this.#logger.error('a network record is damaged', { network: id, reason: read.reason, quarantined: read.quarantined });
      const copy = await this.#read(id, COPY);
      if (read.kind === 'newer') newer.push(newerNetwork(id, read, copy.kind === 'ok' ? copy.value : undefined));
      if (read.kind === 'newer' || copy.kind !== 'ok') continue;
      this.#logger.warn('the record of a network is made again from its copy', { network: id, name: copy.value.name });
      networks.push(copy.value);
      await this.save(copy.value);
    }
    return { networks, newer };
  }

  #read(id: string, suffix: string): Promise<RecordRead<NetworkRecord>> {
    return readRecord<NetworkRecord>(join(this.#directory, `${id}${suffix}`), { schema: SCHEMA, parse: parseNetwork });
  }

  /** The record decides; the copy need not be on the platter. */
  async save(network: NetworkRecord): Promise<void> {
    await makeDirectory(this.#directory);
    await writeRecord(join(this.#directory, `${network.id}${SUFFIX}`), network);
    await this.#saveCopy(network);
  }

  #saveCopy(network: NetworkRecord): Promise<void> {
    return writeRecord(join(this.#directory, `${network.id}${COPY}`), network, { durable: false });
  }

  /** The copy first: what is left of a removal that a crash cuts short is a whole network. */
  async remove(id: string): Promise<void> {
    await removeRecord(join(this.#directory, `${id}${COPY}`));
    await removeRecord(join(this.#directory, `${id}${SUFFIX}`));
  }
}

function newerNetwork(id: string, { schema, value }: { schema: number; value: Readonly<Record<string, unknown>> }, copy: NetworkRecord | undefined): NewerNetwork {
  const text = (key: 'name' | 'bridge'): string => (typeof value[key] === 'string' ? value[key] : (copy?.[key] ?? ''));
  const name = text('name');
  return { id, name, bridge: text('bridge'), known: knownOf(value) ?? copy, problem: `network ${name === '' ? id : name} cannot be used: its record was written by a newer release (schema ${schema}; this one reads up to ${SCHEMA})` };
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
