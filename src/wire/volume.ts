/** Volumes as the API shows them, and the body that makes one. */
import { rfc3339Nano } from '../base/clock.ts';
import type { VolumeRecord } from '../core/ports/volumes.ts';
import { field, string, struct } from './goJson.ts';
import type { Infer } from './goJson.ts';
import { stringMap } from './lists.ts';

/** `POST /volumes/create`. */
export const VolumeCreateBody = struct('volume.CreateOptions', {
  name: field('Name', string),
  driver: field('Driver', string),
  driverOpts: field('DriverOpts', stringMap),
  labels: field('Labels', stringMap),
});
export type VolumeCreateRequest = Infer<typeof VolumeCreateBody>;

/** With `usage` as `docker system df` shows it. Docker's time has no fraction here. */
export function volumeView(record: VolumeRecord, usage?: { readonly size: number; readonly users: number }): Record<string, unknown> {
  return {
    CreatedAt: rfc3339Nano(record.createdNs - (record.createdNs % 1_000_000_000n)),
    Driver: record.driver,
    Labels: nilIfEmpty(record.labels),
    Mountpoint: record.mountpoint,
    Name: record.name,
    Options: nilIfEmpty(record.options),
    Scope: 'local',
    ...(usage !== undefined && { UsageData: { RefCount: usage.users, Size: usage.size } }),
  };
}

const nilIfEmpty = (map: Record<string, string>): Record<string, string> | null => (Object.keys(map).length === 0 ? null : map);
