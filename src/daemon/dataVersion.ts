/**
 * `<data-root>/version`: which format the data root has as a whole, and which release wrote it last. A release that meets
 * a format newer than its own says so and ends before it has touched anything; release 0.1.0 wrote no such file, and its
 * format is 1. Within a format any release follows any other, in both directions.
 */
import path from 'node:path';
import { conflict } from '../base/errors.ts';
import { peekRecord } from '../store/peek.ts';
import { quarantine, writeRecord } from '../store/record.ts';
import type { Versioned } from '../store/record.ts';
import { VERSION } from './version.ts';

/** Raised when an older release could no longer read what this one writes. */
export const DATA_FORMAT = 1;

interface DataVersion extends Versioned {
  /** The release that wrote here last. */
  readonly release: string;
}

const recordOf = (dataRoot: string): string => path.join(dataRoot, 'version');

/** Throws `conflict`, naming the release, if a data root is of a newer format. Changes nothing. */
export async function checkDataVersion(dataRoot: string): Promise<void> {
  // Of a newer format only these two are known.
  const read = await peekRecord<DataVersion>(recordOf(dataRoot), { schema: Infinity, parse: parseVersion });
  if (read.kind !== 'ok' || read.value.schema <= DATA_FORMAT) return;
  const { schema, release } = read.value;
  throw conflict(`failed to start daemon: the data root ${dataRoot} has format ${schema} (moored ${release}), and moored ${VERSION} reads up to format ${DATA_FORMAT}: start a release that knows it; containers that run are not touched`);
}

/** Writes down that this release works here. The caller holds the data root. */
export async function recordDataVersion(dataRoot: string): Promise<void> {
  const file = recordOf(dataRoot);
  const read = await peekRecord<DataVersion>(file, { schema: Infinity, parse: parseVersion });
  if (read.kind === 'ok' && read.value.schema === DATA_FORMAT && read.value.release === VERSION) return;
  if (read.kind === 'damaged') await quarantine(file);
  const known = read.kind === 'ok' ? read.value : {};
  const record: DataVersion = { ...known, schema: DATA_FORMAT, release: VERSION };
  await writeRecord(file, record);
}

export function parseVersion(value: Record<string, unknown>): DataVersion {
  const { schema, release } = value;
  if (typeof schema !== 'number' || !Number.isSafeInteger(schema) || schema < 1) throw new Error('it has no schema version');
  return { ...value, schema, release: typeof release === 'string' ? release : 'of an unknown version' };
}
