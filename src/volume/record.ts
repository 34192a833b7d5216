/** `volumes/<name>/volume.json`. */
import type { VolumeRecord } from '../core/ports/volumes.ts';

export const VOLUME_SCHEMA = 1;

/** Throws with the reason. What it does not know it keeps. */
export function parseVolumeRecord(value: Record<string, unknown>): VolumeRecord {
  const { name, driver, mountpoint, createdNs, anonymous } = value;
  if (typeof name !== 'string' || typeof driver !== 'string' || typeof mountpoint !== 'string') throw new Error('name, driver or mountpoint is missing');
  if (typeof createdNs !== 'bigint') throw new Error('createdNs is missing');
  return {
    ...value,
    schema: VOLUME_SCHEMA,
    name,
    driver,
    mountpoint,
    createdNs,
    labels: texts(value['labels'], 'labels'),
    options: texts(value['options'], 'options'),
    anonymous: anonymous === true,
  };
}

function texts(value: unknown, key: string): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error(`${key} is missing`);
  const result: Record<string, string> = {};
  for (const [name, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw new Error(`${key}.${name} is no text`);
    result[name] = text;
  }
  return result;
}
