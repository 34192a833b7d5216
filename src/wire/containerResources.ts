/** The limits in `HostConfig` and in the body of `POST /containers/{id}/update`. */
import type { DeviceRequest, Resources } from '../core/container/config.ts';
import { array, bigInt64, bigUint64, bool, field, int, int64, map, mapped, nullable, string, struct, uint16 } from './goJson.ts';
import type { Codec, Infer } from './goJson.ts';
import { nilIfEmpty, strings } from './lists.ts';

/** A list that may be changed. */
const list = <T>(item: Codec<T>): Codec<T[]> => mapped(array(item), { from: (items): T[] => [...items], to: (items) => items });

const listOrNil = <T>(item: Codec<T>): Codec<T[]> => mapped(nullable(array(item)), {
  from: (items): T[] => [...items ?? []],
  to: (items) => (items.length === 0 ? null : items),
});

const WeightDevice = struct('blkiodev.WeightDevice', { path: field('Path', string), weight: field('Weight', uint16) });
const ThrottleDevice = struct('blkiodev.ThrottleDevice', { path: field('Path', string), rate: field('Rate', bigUint64) });
const DeviceMapping = struct('container.DeviceMapping', {
  pathOnHost: field('PathOnHost', string),
  pathInContainer: field('PathInContainer', string),
  cgroupPermissions: field('CgroupPermissions', string),
});
const Ulimit = struct('units.Ulimit', { name: field('Name', string), hard: field('Hard', int64), soft: field('Soft', int64) });

const DeviceRequestFields = struct('container.DeviceRequest', {
  driver: field('Driver', string),
  count: field('Count', int),
  deviceIds: field('DeviceIDs', nilIfEmpty),
  capabilities: field('Capabilities', list(strings)),
  options: field('Options', map(string)),
});
const deviceRequest: Codec<DeviceRequest> = mapped(DeviceRequestFields, {
  from: (wire): DeviceRequest => ({ ...wire, options: { ...wire.options } }),
  to: (request) => request,
});

/** Fields that only Windows has: always zero here. */
const zero: Codec<number> = { ...int64, zero: () => 0 };

/** A device's path, or its permissions, may be left out: the same path, everything. */
const deviceMapping = mapped(DeviceMapping, {
  from: (wire) => ({
    pathOnHost: wire.pathOnHost,
    pathInContainer: wire.pathInContainer === '' ? wire.pathOnHost : wire.pathInContainer,
    cgroupPermissions: wire.cgroupPermissions === '' ? 'rwm' : wire.cgroupPermissions,
  }),
  to: (mapping) => mapping,
});

export const resourceFields = {
  cpuShares: field('CpuShares', int64),
  memory: field('Memory', bigInt64),
  nanoCpus: field('NanoCpus', bigInt64),
  cgroupParent: field('CgroupParent', string),
  blkioWeight: field('BlkioWeight', uint16),
  blkioWeightDevice: field('BlkioWeightDevice', list(WeightDevice)),
  blkioDeviceReadBps: field('BlkioDeviceReadBps', list(ThrottleDevice)),
  blkioDeviceWriteBps: field('BlkioDeviceWriteBps', list(ThrottleDevice)),
  blkioDeviceReadIOps: field('BlkioDeviceReadIOps', list(ThrottleDevice)),
  blkioDeviceWriteIOps: field('BlkioDeviceWriteIOps', list(ThrottleDevice)),
  cpuPeriod: field('CpuPeriod', bigInt64),
  cpuQuota: field('CpuQuota', bigInt64),
  cpuRealtimePeriod: field('CpuRealtimePeriod', bigInt64),
  cpuRealtimeRuntime: field('CpuRealtimeRuntime', bigInt64),
  cpusetCpus: field('CpusetCpus', string),
  cpusetMems: field('CpusetMems', string),
  devices: field('Devices', list(deviceMapping)),
  deviceCgroupRules: field('DeviceCgroupRules', nilIfEmpty),
  deviceRequests: field('DeviceRequests', listOrNil(deviceRequest)),
  memoryReservation: field('MemoryReservation', bigInt64),
  memorySwap: field('MemorySwap', bigInt64),
  memorySwappiness: field('MemorySwappiness', nullable(int64)),
  oomKillDisable: field('OomKillDisable', nullable(bool)),
  pidsLimit: field('PidsLimit', nullable(bigInt64)),
  ulimits: field('Ulimits', list(Ulimit)),
  cpuCount: field('CpuCount', zero),
  cpuPercent: field('CpuPercent', zero),
  ioMaximumIOps: field('IOMaximumIOps', zero),
  ioMaximumBandwidth: field('IOMaximumBandwidth', zero),
};

const ResourcesStruct = struct('container.Resources', resourceFields);
export type WireResources = Infer<typeof ResourcesStruct>;

/** What Windows has and we do not. */
export const NO_WINDOWS = { cpuCount: 0, cpuPercent: 0, ioMaximumIOps: 0, ioMaximumBandwidth: 0 };

export function resourcesFromWire(wire: WireResources): Resources {
  const { cpuCount, cpuPercent, ioMaximumIOps, ioMaximumBandwidth, ...resources } = wire;
  void [cpuCount, cpuPercent, ioMaximumIOps, ioMaximumBandwidth];
  return resources;
}
