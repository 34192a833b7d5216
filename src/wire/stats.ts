/** `GET /containers/{id}/stats`: a sample and the one before it (engine-api A11). */
import { rfc3339Nano } from '../base/clock.ts';
import type { BlkioEntry, CgroupStats, NetworkCounters } from '../core/container/stats.ts';

/** What a client sees of a container that does not run: names, and zero times. Counters stay bigints; the name gets its slash. */
export function statsView(container: { id: string; name: string }, now: CgroupStats | undefined, before: CgroupStats | undefined): Record<string, unknown> {
  return {
    id: container.id,
    name: `/${container.name}`,
    read: rfc3339Nano(now?.readNs ?? 0n),
    preread: rfc3339Nano(before?.readNs ?? 0n),
    pids_stats: now === undefined ? {} : { current: now.pids.current, ...(now.pids.limit !== null && { limit: now.pids.limit }) },
    blkio_stats: blkioView(now),
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuView(now),
    precpu_stats: cpuView(before),
    memory_stats: memoryView(now),
    ...(now !== undefined && Object.keys(now.networks).length > 0 && { networks: mapValues(now.networks, networkView) }),
  };
}

function cpuView(stats: CgroupStats | undefined): Record<string, unknown> {
  const cpu = stats?.cpu;
  return {
    cpu_usage: {
      total_usage: cpu?.totalNs ?? 0n,
      ...(cpu !== undefined && cpu.perCpuNs.length > 0 && { percpu_usage: cpu.perCpuNs }),
      usage_in_kernelmode: cpu?.kernelNs ?? 0n,
      usage_in_usermode: cpu?.userNs ?? 0n,
    },
    ...(stats !== undefined && { system_cpu_usage: stats.systemCpuNs, online_cpus: stats.onlineCpus }),
    throttling_data: {
      periods: cpu?.periods ?? 0n,
      throttled_periods: cpu?.throttledPeriods ?? 0n,
      throttled_time: cpu?.throttledNs ?? 0n,
    },
  };
}

function memoryView(stats: CgroupStats | undefined): Record<string, unknown> {
  if (stats === undefined) return {};
  const { usage, maxUsage, failCount, limit, detail } = stats.memory;
  return {
    usage,
    ...(maxUsage > 0n && { max_usage: maxUsage }),
    stats: detail,
    ...(failCount > 0n && { failcnt: failCount }),
    limit,
  };
}

function blkioView(stats: CgroupStats | undefined): Record<string, unknown> {
  const list = (entries: readonly BlkioEntry[] | undefined): unknown =>
    (entries === undefined || entries.length === 0 ? null : entries.map(({ major, minor, op, value }) => ({ major, minor, op, value })));
  return {
    io_service_bytes_recursive: list(stats?.blkio.serviceBytes),
    io_serviced_recursive: list(stats?.blkio.serviced),
    io_queue_recursive: null,
    io_service_time_recursive: null,
    io_wait_time_recursive: null,
    io_merged_recursive: null,
    io_time_recursive: null,
    sectors_recursive: null,
  };
}

const networkView = (counters: NetworkCounters): Record<string, bigint> => ({
  rx_bytes: counters.rxBytes,
  rx_packets: counters.rxPackets,
  rx_errors: counters.rxErrors,
  rx_dropped: counters.rxDropped,
  tx_bytes: counters.txBytes,
  tx_packets: counters.txPackets,
  tx_errors: counters.txErrors,
  tx_dropped: counters.txDropped,
});

const mapValues = <A, B>(record: Readonly<Record<string, A>>, view: (value: A) => B): Record<string, B> =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, view(value)]));
