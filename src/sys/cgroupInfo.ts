/** Which limits this host can enforce: controllers, and the files that they have. */
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { CgroupTrees } from './cgroup.ts';

/** Flat, as `docker info` and the checks of create want it. */
export interface LimitSupport {
  readonly cgroupVersion: 1 | 2;
  readonly memoryLimit: boolean;
  readonly swapLimit: boolean;
  readonly memoryReservation: boolean;
  readonly memorySwappiness: boolean;
  readonly oomKillDisable: boolean;
  readonly cpuShares: boolean;
  readonly cpuCfs: boolean;
  readonly cpuRealtime: boolean;
  readonly cpuset: boolean;
  readonly cpus: string;
  readonly mems: string;
  readonly pidsLimit: boolean;
  readonly blkioWeight: boolean;
  readonly blkioWeightDevice: boolean;
  readonly blkioReadBpsDevice: boolean;
  readonly blkioWriteBpsDevice: boolean;
  readonly blkioReadIopsDevice: boolean;
  readonly blkioWriteIopsDevice: boolean;
  readonly cgroupNamespaces: boolean;
  readonly ncpu: number;
}

export function readLimitSupport(trees: CgroupTrees, proc = '/proc'): LimitSupport {
  const common = { cgroupVersion: trees.version, cgroupNamespaces: existsSync(`${proc}/self/ns/cgroup`), ncpu: cpus().length };
  return trees.version === 1 ? { ...common, ...ofV1(trees.controllers) } : { ...common, ...ofV2(trees.root, trees.controllers, `${proc}/self/cgroup`) };
}

type Support = Omit<LimitSupport, 'cgroupVersion' | 'cgroupNamespaces' | 'ncpu'>;

function ofV1(controllers: ReadonlyMap<string, string>): Support {
  const has = (controller: string, file: string): boolean => {
    const root = controllers.get(controller);
    return root !== undefined && existsSync(join(root, file));
  };
  const cpuset = controllers.get('cpuset');
  return {
    memoryLimit: controllers.has('memory'),
    swapLimit: has('memory', 'memory.memsw.limit_in_bytes'),
    memoryReservation: has('memory', 'memory.soft_limit_in_bytes'),
    memorySwappiness: has('memory', 'memory.swappiness'),
    oomKillDisable: has('memory', 'memory.oom_control'),
    cpuShares: has('cpu', 'cpu.shares'),
    cpuCfs: has('cpu', 'cpu.cfs_quota_us'),
    cpuRealtime: has('cpu', 'cpu.rt_period_us'),
    cpuset: cpuset !== undefined,
    cpus: cpuset === undefined ? '' : firstLine(join(cpuset, 'cpuset.cpus')),
    mems: cpuset === undefined ? '' : firstLine(join(cpuset, 'cpuset.mems')),
    pidsLimit: controllers.has('pids'),
    blkioWeight: has('blkio', 'blkio.weight') || has('blkio', 'blkio.bfq.weight'),
    blkioWeightDevice: has('blkio', 'blkio.weight_device') || has('blkio', 'blkio.bfq.weight_device'),
    blkioReadBpsDevice: has('blkio', 'blkio.throttle.read_bps_device'),
    blkioWriteBpsDevice: has('blkio', 'blkio.throttle.write_bps_device'),
    blkioReadIopsDevice: has('blkio', 'blkio.throttle.read_iops_device'),
    blkioWriteIopsDevice: has('blkio', 'blkio.throttle.write_iops_device'),
  };
}

function ofV2(root: string, controllers: ReadonlySet<string>, self: string): Support {
  const memory = controllers.has('memory');
  const cpu = controllers.has('cpu');
  const cpuset = controllers.has('cpuset');
  const io = controllers.has('io');
  return {
    memoryLimit: memory,
    swapLimit: memory && hasSwapFile(root, self),
    memoryReservation: memory,
    // v2 has neither.
    memorySwappiness: false,
    oomKillDisable: false,
    cpuShares: cpu,
    cpuCfs: cpu,
    cpuRealtime: false,
    cpuset,
    cpus: cpuset ? firstLine(join(root, 'cpuset.cpus.effective')) : '',
    mems: cpuset ? firstLine(join(root, 'cpuset.mems.effective')) : '',
    pidsLimit: controllers.has('pids'),
    blkioWeight: io,
    blkioWeightDevice: io,
    blkioReadBpsDevice: io,
    blkioWriteBpsDevice: io,
    blkioReadIopsDevice: io,
    blkioWriteIopsDevice: io,
  };
}

/** The root has none of it: one's own cgroup, or any below the root, has. */
function hasSwapFile(root: string, self: string): boolean {
  const own = /^0::(\/.*)$/m.exec(text(self))?.[1] ?? '/';
  const below = existsSync(root) ? readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map(({ name }) => name) : [];
  return [own, ...below].some((path) => existsSync(join(root, path, 'memory.swap.max')));
}

const firstLine = (path: string): string => text(path).split('\n')[0] ?? '';

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
