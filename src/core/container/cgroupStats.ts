/**
 * The kernel's cgroup files, read: v1's and v2's into one shape. Pure; missing files are empty text and count as zero, as a
 * controller that is not there.
 */
import type { BlkioEntry, CgroupStats, CpuUsage, MemoryUsage, NetworkCounters } from './stats.ts';

/** Contents by file name: of v1 as `controller/file`, of v2 as `file`. */
export type CgroupFiles = ReadonlyMap<string, string>;

/** What v1 keeps where; the paths to be read. */
export const V1_FILES: readonly string[] = [
  'cpuacct/cpuacct.usage', 'cpuacct/cpuacct.stat', 'cpuacct/cpuacct.usage_percpu', 'cpu/cpu.stat',
  'memory/memory.usage_in_bytes', 'memory/memory.max_usage_in_bytes', 'memory/memory.failcnt', 'memory/memory.limit_in_bytes',
  'memory/memory.stat', 'pids/pids.current', 'pids/pids.max',
  'blkio/blkio.throttle.io_service_bytes_recursive', 'blkio/blkio.throttle.io_serviced_recursive',
  'blkio/blkio.throttle.io_service_bytes', 'blkio/blkio.throttle.io_serviced',
];

export const V2_FILES: readonly string[] = [
  'cpu.stat', 'memory.current', 'memory.max', 'memory.stat', 'memory.events', 'pids.current', 'pids.max', 'io.stat',
];

/** The host's share of a sample. */
export interface HostSample {
  readonly readNs: bigint;
  readonly systemCpuNs: bigint;
  readonly onlineCpus: number;
  readonly memoryBytes: bigint;
  readonly networks: Record<string, NetworkCounters>;
}

export function parseCgroupStats(version: 1 | 2, files: CgroupFiles, host: HostSample): CgroupStats {
  const read = (name: string): string => files.get(name) ?? '';
  const parsed = version === 1 ? parseV1(read, host.memoryBytes) : parseV2(read, host.memoryBytes);
  return {
    ...parsed,
    cgroupVersion: version,
    readNs: host.readNs,
    systemCpuNs: host.systemCpuNs,
    onlineCpus: host.onlineCpus,
    networks: host.networks,
  };
}

type Read = (name: string) => string;
type OfCgroup = Pick<CgroupStats, 'cpu' | 'memory' | 'pids' | 'blkio'>;

/** USER_HZ is 100 wherever Linux runs containers. */
const TICK_NS = 10_000_000n;

function parseV1(read: Read, hostMemory: bigint): OfCgroup {
  const ticks = pairs(read('cpuacct/cpuacct.stat'));
  const throttling = pairs(read('cpu/cpu.stat'));
  const cpu: CpuUsage = {
    totalNs: number(read('cpuacct/cpuacct.usage')),
    kernelNs: (ticks['system'] ?? 0n) * TICK_NS,
    userNs: (ticks['user'] ?? 0n) * TICK_NS,
    perCpuNs: read('cpuacct/cpuacct.usage_percpu').split(' ').filter((word) => /^\d+$/.test(word.trim())).map((word) => BigInt(word.trim())),
    periods: throttling['nr_periods'] ?? 0n,
    throttledPeriods: throttling['nr_throttled'] ?? 0n,
    throttledNs: throttling['throttled_time'] ?? 0n,
  };
  const memory: MemoryUsage = {
    usage: number(read('memory/memory.usage_in_bytes')),
    maxUsage: number(read('memory/memory.max_usage_in_bytes')),
    failCount: number(read('memory/memory.failcnt')),
    limit: limited(number(read('memory/memory.limit_in_bytes')), hostMemory),
    detail: pairs(read('memory/memory.stat')),
  };
  const blkio = (name: string): BlkioEntry[] => {
    const recursive = read(`blkio/blkio.throttle.${name}_recursive`);
    return blkioV1(recursive === '' ? read(`blkio/blkio.throttle.${name}`) : recursive);
  };
  return {
    cpu,
    memory,
    pids: { current: number(read('pids/pids.current')), limit: maximum(read('pids/pids.max')) },
    blkio: { serviceBytes: blkio('io_service_bytes'), serviced: blkio('io_serviced') },
  };
}

function parseV2(read: Read, hostMemory: bigint): OfCgroup {
  const stat = pairs(read('cpu.stat'));
  const us = (name: string): bigint => (stat[name] ?? 0n) * 1000n;
  const events = pairs(read('memory.events'));
  return {
    cpu: {
      totalNs: us('usage_usec'),
      kernelNs: us('system_usec'),
      userNs: us('user_usec'),
      perCpuNs: [],
      periods: stat['nr_periods'] ?? 0n,
      throttledPeriods: stat['nr_throttled'] ?? 0n,
      throttledNs: us('throttled_usec'),
    },
    memory: {
      usage: number(read('memory.current')),
      maxUsage: 0n,
      failCount: events['oom'] ?? 0n,
      limit: limited(maximum(read('memory.max')) ?? hostMemory, hostMemory),
      detail: pairs(read('memory.stat')),
    },
    pids: { current: number(read('pids.current')), limit: maximum(read('pids.max')) },
    blkio: blkioV2(read('io.stat')),
  };
}

const number = (text: string): bigint => (/^\d+\s*$/.test(text) ? BigInt(text.trim()) : 0n);

/** `max` is no limit. */
const maximum = (text: string): bigint | null => (/^\d+\s*$/.test(text) ? BigInt(text.trim()) : null);

const limited = (limit: bigint, host: bigint): bigint => (limit === 0n || limit > host ? host : limit);

/** Lines of `name value`. */
export function pairs(text: string): Record<string, bigint> {
  const result: Record<string, bigint> = {};
  for (const line of text.split('\n')) {
    const match = /^([a-z_][\w.]*) (\d+)$/i.exec(line.trim());
    if (match !== null) result[match[1] ?? ''] = BigInt(match[2] ?? '0');
  }
  return result;
}

/** `8:0 Read 4096`. */
function blkioV1(text: string): BlkioEntry[] {
  return text.split('\n').flatMap((line): BlkioEntry[] => {
    const match = /^(\d+):(\d+) (\w+) (\d+)$/.exec(line.trim());
    if (match === null) return [];
    const [, major, minor, op = '', value = '0'] = match;
    return [{ major: Number(major), minor: Number(minor), op: op.toLowerCase(), value: BigInt(value) }];
  });
}

/** `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`. */
function blkioV2(text: string): CgroupStats['blkio'] {
  const serviceBytes: BlkioEntry[] = [];
  const serviced: BlkioEntry[] = [];
  const KINDS: Readonly<Record<string, { list: BlkioEntry[]; op: string }>> = {
    rbytes: { list: serviceBytes, op: 'read' },
    wbytes: { list: serviceBytes, op: 'write' },
    dbytes: { list: serviceBytes, op: 'discard' },
    rios: { list: serviced, op: 'read' },
    wios: { list: serviced, op: 'write' },
    dios: { list: serviced, op: 'discard' },
  };
  for (const line of text.split('\n')) {
    const [device = '', ...counters] = line.trim().split(' ');
    const numbers = /^(\d+):(\d+)$/.exec(device);
    if (numbers === null) continue;
    for (const counter of counters) {
      const [key = '', value = ''] = counter.split('=');
      const kind = Object.hasOwn(KINDS, key) ? KINDS[key] : undefined;
      if (kind === undefined || !/^\d+$/.test(value)) continue;
      kind.list.push({ major: Number(numbers[1]), minor: Number(numbers[2]), op: kind.op, value: BigInt(value) });
    }
  }
  return { serviceBytes, serviced };
}

/** /proc/PID/net/dev, without lo. */
export function parseNetDev(text: string): Record<string, NetworkCounters> {
  const result: Record<string, NetworkCounters> = {};
  for (const line of text.split('\n')) {
    const match = /^\s*([^\s:]+):\s*(.*)$/.exec(line);
    const name = match?.[1];
    const fields = (match?.[2] ?? '').split(/\s+/).filter((word) => /^\d+$/.test(word)).map(BigInt);
    if (name === undefined || name === 'lo' || fields.length < 12) continue;
    const at = (index: number): bigint => fields[index] ?? 0n;
    result[name] = {
      rxBytes: at(0), rxPackets: at(1), rxErrors: at(2), rxDropped: at(3),
      txBytes: at(8), txPackets: at(9), txErrors: at(10), txDropped: at(11),
    };
  }
  return result;
}

/** The first line of /proc/stat, in ns: all that CPUs did and did not do (user to steal; guest is in user already). */
export function parseSystemCpu(text: string): { systemCpuNs: bigint; onlineCpus: number } {
  const lines = text.split('\n');
  const total = (lines.find((line) => line.startsWith('cpu ')) ?? '').split(/\s+/).slice(1, 9).map(BigInt);
  return {
    systemCpuNs: total.reduce((sum, ticks) => sum + ticks, 0n) * TICK_NS,
    onlineCpus: lines.filter((line) => /^cpu\d/.test(line)).length,
  };
}
