/** What a container uses, read once from its cgroup and its network namespace. Counters are bigints, sizes bytes, times ns. */

export interface BlkioEntry {
  major: number;
  minor: number;
  /** `read`, `write`, … */
  op: string;
  value: bigint;
}

export interface NetworkCounters {
  rxBytes: bigint;
  rxPackets: bigint;
  rxErrors: bigint;
  rxDropped: bigint;
  txBytes: bigint;
  txPackets: bigint;
  txErrors: bigint;
  txDropped: bigint;
}

export interface CpuUsage {
  totalNs: bigint;
  kernelNs: bigint;
  userNs: bigint;
  /** v1 only. */
  perCpuNs: bigint[];
  throttledPeriods: bigint;
  periods: bigint;
  throttledNs: bigint;
}

export interface MemoryUsage {
  usage: bigint;
  /** v1 only; 0 on v2. */
  maxUsage: bigint;
  failCount: bigint;
  /** The host's memory where the container has no limit. */
  limit: bigint;
  /** memory.stat, by name. */
  detail: Record<string, bigint>;
}

export interface CgroupStats {
  readNs: bigint;
  cgroupVersion: 1 | 2;
  cpu: CpuUsage;
  /** Of the whole host: all CPUs together. */
  systemCpuNs: bigint;
  onlineCpus: number;
  memory: MemoryUsage;
  pids: { current: bigint; limit: bigint | null };
  blkio: { serviceBytes: BlkioEntry[]; serviced: BlkioEntry[] };
  /** By interface, `lo` left out; empty if the container has no network namespace of its own. */
  networks: Record<string, NetworkCounters>;
}
