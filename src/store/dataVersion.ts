/**
 * `<data-root>/version`: which format the data root has as a whole, and which release wrote it last. A release that meets
 * a format newer than its own says so and ends before it has touched anything; release 0.1.0 wrote no such file, and its
 * format is 1. Within a format any release follows any other, in both directions.
 */
import { join } from 'node:path';
import { conflict } from '../base/errors.ts';
import { peekRecord } from './peek.ts';
import { quarantine, writeRecord } from './record.ts';
import type { Versioned } from './record.ts';

/** Raised when an older release could no longer read what this one writes. */
export const DATA_FORMAT = 1;

export interface DataVersion extends Versioned {
  /** The release that wrote here last. */
  readonly release: string;
}

export const dataVersionFile = (dataRoot: string): string => join(dataRoot, 'version');

/** Throws `conflict`, naming the release, if a data root is of a newer format. Changes nothing. */
export async function checkDataVersion(dataRoot: string, release: string): Promise<void> {
  const found = await peekVersion(dataRoot);
  if (found.kind !== 'ok' || found.value.schema <= DATA_FORMAT) return;
  throw conflict(
    `failed to start daemon: the data root ${dataRoot} has format ${found.value.schema} (moored ${found.value.release}), and moored ${release} reads up to format ${DATA_FORMAT}: start a release that knows it; containers that run are not touched`,
  );
}

/** Writes down that this release works here. The caller holds the data root. */
export async function recordDataVersion(dataRoot: string, release: string): Promise<void> {
  const file = dataVersionFile(dataRoot);
  const found = await peekVersion(dataRoot);
  if (found.kind === 'ok' && found.value.schema === DATA_FORMAT && found.value.release === release) return;
  if (found.kind === 'damaged') await quarantine(file);
  const record: DataVersion = { ...(found.kind === 'ok' ? found.value : {}), schema: DATA_FORMAT, release };
  await writeRecord(file, record);
}

/** Of a newer format only its number and release are known: it is read all the same. */
const peekVersion = (dataRoot: string) => peekRecord<DataVersion>(dataVersionFile(dataRoot), { schema: Infinity, parse: parseDataVersion });

export function parseDataVersion(value: Record<string, unknown>): DataVersion {
  const { schema, release } = value;
  if (typeof schema !== 'number' || !Number.isSafeInteger(schema) || schema < 1) throw new Error('it has no schema version');
  return { ...value, schema, release: typeof release === 'string' ? release : 'of an unknown version' };
}
