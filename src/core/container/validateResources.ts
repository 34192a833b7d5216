/**
 * Limits: what Docker refuses, and what it drops with a warning because this kernel cannot do it. Texts are Docker's,
 * clients print them.
 */
import { invalid } from '../../base/errors.ts';
import type { Resources } from './config.ts';
import type { SysInfo } from './sysInfo.ts';

const MIN_MEMORY = 6n * 1024n * 1024n;

/** The resources as they will be enforced; warnings are added to the list. `update`: of a container that exists. */
export function checkResources<R extends Resources>(asked: R, sys: SysInfo, options: { warnings: string[]; update: boolean }): R {
  const result = { ...asked };
  checkMemory(result, sys, options);
  checkCpu(result, sys, options.warnings);
  checkCpuset(result, sys, options.warnings);
  checkBlockIo(result, sys, options.warnings);
  return result;
}

interface Options { warnings: string[]; update: boolean }

function checkMemory(r: Resources, sys: SysInfo, { warnings, update }: Options): void {
  // Clients send -1 for "not given".
  if (r.memorySwappiness === -1) r.memorySwappiness = null;
  if (r.memory !== 0n && r.memory < MIN_MEMORY) throw invalid('Minimum memory limit allowed is 6MB');
  if (r.memory > 0n && !sys.memoryLimit) {
    warnings.push('Your kernel does not support memory limit capabilities or the cgroup is not mounted. Limitation discarded.');
    r.memory = 0n;
    r.memorySwap = -1n;
  }
  if (r.memory > 0n && r.memorySwap !== -1n && !sys.swapLimit) {
    warnings.push('Your kernel does not support swap limit capabilities or the cgroup is not mounted. Memory limited without swap.');
    r.memorySwap = -1n;
  }
  if (r.memory > 0n && r.memorySwap > 0n && r.memorySwap < r.memory) {
    throw invalid('Minimum memoryswap limit should be larger than memory limit, see usage');
  }
  if (r.memory === 0n && r.memorySwap > 0n && !update) {
    throw invalid('You should always set the Memory limit when using Memoryswap limit, see usage');
  }
  checkSwappiness(r, sys, warnings);
  checkReservation(r, sys, warnings);
  checkOomAndPids(r, sys, warnings);
}

function checkSwappiness(r: Resources, sys: SysInfo, warnings: string[]): void {
  if (r.memorySwappiness === null) return;
  if (!sys.memorySwappiness) {
    warnings.push('Your kernel does not support memory swappiness capabilities or the cgroup is not mounted. Memory swappiness discarded.');
    r.memorySwappiness = null;
  } else if (r.memorySwappiness < 0 || r.memorySwappiness > 100) {
    throw invalid(`Invalid value: ${r.memorySwappiness}, valid memory swappiness range is 0-100`);
  }
}

function checkReservation(r: Resources, sys: SysInfo, warnings: string[]): void {
  if (r.memoryReservation > 0n && !sys.memoryReservation) {
    warnings.push('Your kernel does not support memory soft limit capabilities or the cgroup is not mounted. Limitation discarded.');
    r.memoryReservation = 0n;
  }
  if (r.memoryReservation > 0n && r.memoryReservation < MIN_MEMORY) throw invalid('Minimum memory reservation allowed is 6MB');
  if (r.memory > 0n && r.memoryReservation > 0n && r.memory < r.memoryReservation) {
    throw invalid('Minimum memory limit can not be less than memory reservation limit, see usage');
  }
}

function checkOomAndPids(r: Resources, sys: SysInfo, warnings: string[]): void {
  if (r.oomKillDisable !== null && !sys.oomKillDisable) {
    if (r.oomKillDisable) warnings.push('Your kernel does not support OomKillDisable. OomKillDisable discarded.');
    r.oomKillDisable = null;
  }
  if (r.oomKillDisable === true && r.memory === 0n) {
    warnings.push('OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.');
  }
  if (r.pidsLimit !== null && !sys.pidsLimit) {
    if (r.pidsLimit > 0n) warnings.push('Your kernel does not support PIDs limit capabilities or the cgroup is not mounted. PIDs limit discarded.');
    r.pidsLimit = null;
  }
}

function checkCpu(r: Resources, sys: SysInfo, warnings: string[]): void {
  if (r.nanoCpus > 0n && r.cpuPeriod > 0n) throw invalid('Conflicting options: Nano CPUs and CPU Period cannot both be set');
  if (r.nanoCpus > 0n && r.cpuQuota > 0n) throw invalid('Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  if (r.nanoCpus > 0n && !sys.cpuCfs) {
    throw invalid('NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted');
  }
  if (r.nanoCpus < 0n || r.nanoCpus > BigInt(sys.ncpu) * 1_000_000_000n) {
    throw invalid(`range of CPUs is from 0.01 to ${sys.ncpu}.00, as there are only ${sys.ncpu} CPUs available`);
  }
  if (r.cpuShares > 0 && !sys.cpuShares) {
    warnings.push('Your kernel does not support CPU shares or the cgroup is not mounted. Shares discarded.');
    r.cpuShares = 0;
  }
  if ((r.cpuPeriod !== 0n || r.cpuQuota !== 0n) && !sys.cpuCfs) {
    warnings.push('Your kernel does not support CPU CFS scheduler. CPU period/quota discarded.');
    r.cpuPeriod = 0n;
    r.cpuQuota = 0n;
  }
  if (r.cpuPeriod !== 0n && (r.cpuPeriod < 1000n || r.cpuPeriod > 1_000_000n)) {
    throw invalid('CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  }
  if (r.cpuQuota > 0n && r.cpuQuota < 1000n) throw invalid('CPU cfs quota can not be less than 1ms (i.e. 1000)');
  if ((r.cpuRealtimePeriod !== 0n || r.cpuRealtimeRuntime !== 0n) && !sys.cpuRealtime) {
    throw invalid('kernel does not support CPU real-time scheduler');
  }
  if (r.cpuRealtimePeriod !== 0n && r.cpuRealtimeRuntime > r.cpuRealtimePeriod) {
    throw invalid('cpu real-time runtime cannot be higher than cpu real-time period');
  }
}

function checkCpuset(r: Resources, sys: SysInfo, warnings: string[]): void {
  if ((r.cpusetCpus !== '' || r.cpusetMems !== '') && !sys.cpuset) {
    warnings.push('Your kernel does not support cpuset or the cgroup is not mounted. Cpuset discarded.');
    r.cpusetCpus = '';
    r.cpusetMems = '';
  }
  const cpus = parseNumberList(r.cpusetCpus);
  if (cpus === undefined) throw invalid(`Invalid value ${r.cpusetCpus} for cpuset cpus`);
  if (!within(cpus, sys.cpus)) throw invalid(`Requested CPUs are not available - requested ${r.cpusetCpus}, available: ${sys.cpus}`);
  const mems = parseNumberList(r.cpusetMems);
  if (mems === undefined) throw invalid(`Invalid value ${r.cpusetMems} for cpuset mems`);
  if (!within(mems, sys.mems)) throw invalid(`Requested memory nodes are not available - requested ${r.cpusetMems}, available: ${sys.mems}`);
}

/** Above any machine's; keeps a list like `0-4000000000` from being spelled out. */
const MAX_CPU = 8192;

/** `0-2,5` → [0,1,2,5]; undefined if it is no list. */
export function parseNumberList(text: string): number[] | undefined {
  if (text === '') return [];
  const numbers: number[] = [];
  for (const part of text.split(',')) {
    const match = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part);
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    if (last < first || last > MAX_CPU) return undefined;
    for (let number = first; number <= last; number += 1) numbers.push(number);
  }
  return numbers;
}

function within(wanted: readonly number[], available: string): boolean {
  if (wanted.length === 0) return true;
  const set = new Set(parseNumberList(available) ?? []);
  return wanted.every((number) => set.has(number));
}

function checkBlockIo(r: Resources, sys: SysInfo, warnings: string[]): void {
  if (r.blkioWeight > 0 && !sys.blkioWeight) {
    warnings.push('Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded.');
    r.blkioWeight = 0;
  }
  if (r.blkioWeight > 0 && (r.blkioWeight < 10 || r.blkioWeight > 1000)) throw invalid('Range of blkio weight is from 10 to 1000');
  if (r.blkioWeightDevice.length > 0 && !sys.blkioWeightDevice) {
    warnings.push('Your kernel does not support Block I/O weight_device or the cgroup is not mounted. Weight-device discarded.');
    r.blkioWeightDevice = [];
  }
  if (r.blkioDeviceReadBps.length > 0 && !sys.blkioReadBpsDevice) {
    warnings.push('Your kernel does not support BPS Block I/O read limit or the cgroup is not mounted. Block I/O BPS read limit discarded.');
    r.blkioDeviceReadBps = [];
  }
  if (r.blkioDeviceWriteBps.length > 0 && !sys.blkioWriteBpsDevice) {
    warnings.push('Your kernel does not support BPS Block I/O write limit or the cgroup is not mounted. Block I/O BPS write limit discarded.');
    r.blkioDeviceWriteBps = [];
  }
  if (r.blkioDeviceReadIOps.length > 0 && !sys.blkioReadIopsDevice) {
    warnings.push('Your kernel does not support IOPS Block read limit or the cgroup is not mounted. Block I/O IOPS read limit discarded.');
    r.blkioDeviceReadIOps = [];
  }
  if (r.blkioDeviceWriteIOps.length > 0 && !sys.blkioWriteIopsDevice) {
    warnings.push('Your kernel does not support IOPS Block write limit or the cgroup is not mounted. Block I/O IOPS write limit discarded.');
    r.blkioDeviceWriteIOps = [];
  }
}
