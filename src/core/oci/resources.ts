/** Limits of a container as the runtime takes them, for cgroup v1 and v2 alike (runc translates for v2). */
import { invalid } from '../../base/errors.ts';
import { parseJson, plain, stringify } from '../../base/json.ts';
import type { Resources, ThrottleDevice } from '../container/config.ts';
import type { HostDevices } from './devices.ts';
import type { OciResources, OciThrottle } from './types.ts';

/** The kernel's period when none is given. */
const CFS_PERIOD_US = 100_000n;

/** Memory, CPU, pids and block I/O at create; device rules are added by the caller. */
export function ociResources(resources: Resources, devices: HostDevices): OciResources {
  const memory = memoryOf(resources);
  return {
    memory: {
      ...memory,
      // Without a limit of its own the runtime leaves the kernel's default, which is unlimited.
      ...(resources.memorySwap > 0n && { swap: Number(resources.memorySwap) }),
    },
    cpu: cpuOf(resources),
    ...pidsOf(resources),
    blockIO: {
      ...(resources.blkioWeight > 0 && { weight: resources.blkioWeight }),
      weightDevice: resources.blkioWeightDevice.map(({ path, weight }) => ({ ...devices.numbers(path), weight })),
      throttleReadBpsDevice: throttles(resources.blkioDeviceReadBps, devices),
      throttleWriteBpsDevice: throttles(resources.blkioDeviceWriteBps, devices),
      throttleReadIOPSDevice: throttles(resources.blkioDeviceReadIOps, devices),
      throttleWriteIOPSDevice: throttles(resources.blkioDeviceWriteIOps, devices),
    },
  };
}

/** What `docker update` tells the runtime: only what is given, and -1 for unlimited. */
export function updateResources(resources: Resources): Omit<OciResources, 'devices'> {
  const memory = memoryOf(resources);
  return {
    memory: { ...memory, ...(resources.memorySwap !== 0n && { swap: Number(resources.memorySwap) }) },
    cpu: cpuOf(resources),
    ...pidsOf(resources),
    ...(resources.blkioWeight > 0 && { blockIO: { weight: resources.blkioWeight } }),
  };
}

/** All limits as recorded, unlimited ones included: what a running container is brought back to. */
export function recordedLimits(resources: Resources): Omit<OciResources, 'devices'> {
  const { memory, cpu, pids, blockIO } = updateResources(resources);
  return {
    memory: { limit: -1, ...memory },
    cpu: { shares: 1024, period: Number(CFS_PERIOD_US), quota: -1, ...cpu },
    pids: pids ?? { limit: -1 },
    ...(blockIO !== undefined && { blockIO }),
  };
}

function memoryOf(resources: Resources): NonNullable<OciResources['memory']> {
  return {
    ...(resources.memory > 0n && { limit: Number(resources.memory) }),
    ...(resources.memoryReservation > 0n && { reservation: Number(resources.memoryReservation) }),
    ...(resources.memorySwappiness !== null && { swappiness: resources.memorySwappiness }),
    ...(resources.oomKillDisable === true && { disableOOMKiller: true }),
  };
}

function cpuOf(resources: Resources): NonNullable<OciResources['cpu']> {
  if (resources.cpuShares < 0) throw invalid('shares: invalid argument');
  const fromNano = resources.nanoCpus > 0n;
  const period = resources.cpuPeriod !== 0n ? resources.cpuPeriod : fromNano ? CFS_PERIOD_US : 0n;
  const quota = resources.cpuQuota !== 0n
    ? resources.cpuQuota
    : fromNano ? (resources.nanoCpus * CFS_PERIOD_US) / 1_000_000_000n : 0n;
  return {
    ...(resources.cpuShares > 0 && { shares: resources.cpuShares }),
    ...(period !== 0n && { period: Number(period) }),
    ...(quota !== 0n && { quota: Number(quota) }),
    ...(resources.cpuRealtimePeriod !== 0n && { realtimePeriod: Number(resources.cpuRealtimePeriod) }),
    ...(resources.cpuRealtimeRuntime !== 0n && { realtimeRuntime: Number(resources.cpuRealtimeRuntime) }),
    ...(resources.cpusetCpus !== '' && { cpus: resources.cpusetCpus }),
    ...(resources.cpusetMems !== '' && { mems: resources.cpusetMems }),
  };
}

/** 0 and negative numbers mean unlimited, for which the runtime wants -1. */
function pidsOf({ pidsLimit }: Resources): Pick<OciResources, 'pids'> {
  if (pidsLimit === null) return {};
  return { pids: { limit: pidsLimit > 0n ? Number(pidsLimit) : -1 } };
}

const throttles = (list: readonly ThrottleDevice[], devices: HostDevices): OciThrottle[] =>
  list.map(({ path, rate }) => ({ ...devices.numbers(path), rate: Number(rate) }));

/** A bundle's config.json with other limits; its device rules, and all else, stay. */
export function withResources(configJson: string, resources: Resources, devices: HostDevices): string {
  const spec = plain(parseJson(configJson)) as { linux: { resources: OciResources } };
  const { devices: rules } = spec.linux.resources;
  spec.linux.resources = { ...ociResources(resources, devices), ...(rules === undefined ? {} : { devices: rules }) };
  return stringify(spec);
}
