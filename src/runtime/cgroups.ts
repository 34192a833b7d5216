/** The engine's view of containers' cgroups: the kernel's files (`sys/cgroup.ts`), read by `core/container/cgroupStats.ts`. */
import { readFile, readlink } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { errnoOf } from '../base/errors.ts';
import { V1_FILES, V2_FILES, parseCgroupStats, parseNetDev, parseSystemCpu } from '../core/container/cgroupStats.ts';
import type { CgroupStats, NetworkCounters } from '../core/container/stats.ts';
import type { CgroupPort } from '../core/ports/cgroup.ts';
import { cgroupPids, controllerFolder, isFrozen, isFrozenNow, killCgroup, makeCgroup, readCgroupFile, readCgroupFiles, thawCgroup } from '../sys/cgroup.ts';
import type { CgroupTrees } from '../sys/cgroup.ts';

export interface CgroupOptions {
  readonly trees: CgroupTrees;
  readonly driver: CgroupPort['driver'];
  readonly clock?: Clock;
  readonly proc?: string;
}

/** Where shims live: beside containers, outside the service's own cgroup, which ends with the service. */
const SHIM_CGROUP = '/moored-shims';

/** Of v1: enough for a shim to be in no cgroup of the daemon's service. */
const SHIM_CONTROLLERS = ['systemd', 'cpu', 'cpuacct', 'memory', 'pids', 'blkio', 'freezer', 'devices', 'cpuset'];

export class Cgroups implements CgroupPort {
  readonly version: 1 | 2;
  readonly driver: CgroupPort['driver'];
  readonly #trees: CgroupTrees;
  readonly #clock: Clock;
  readonly #proc: string;

  constructor(options: CgroupOptions) {
    this.#trees = options.trees;
    this.version = options.trees.version;
    this.driver = options.driver;
    this.#clock = options.clock ?? systemClock;
    this.#proc = options.proc ?? '/proc';
  }

  directories(path: string): { memory: string; procs: string } {
    const memory = controllerFolder(this.#trees, 'memory', path) ?? '';
    const procs = controllerFolder(this.#trees, 'pids', path) ?? controllerFolder(this.#trees, 'freezer', path) ?? memory;
    return { memory, procs };
  }

  frozen(path: string): Promise<boolean> {
    return isFrozen(this.#trees, path);
  }

  frozenNow(path: string): boolean {
    return isFrozenNow(this.#trees, path);
  }

  async thaw(path: string): Promise<void> {
    await thawCgroup(this.#trees, path);
  }

  async killAll(path: string): Promise<void> {
    await killCgroup(this.#trees, path);
  }

  async stats(path: string): Promise<CgroupStats> {
    const [files, stat, networks] = await Promise.all([
      readCgroupFiles(this.#trees, path, this.version === 1 ? V1_FILES : V2_FILES),
      readFile(`${this.#proc}/stat`, 'utf8'),
      this.#networks(path),
    ]);
    return parseCgroupStats(this.version, files, {
      readNs: this.#clock.nowNs(),
      ...parseSystemCpu(stat),
      memoryBytes: BigInt(totalmem()),
      networks,
    });
  }

  /** As any process of the container sees them, the host's own left out; one that ends meanwhile is followed by the next. */
  async #networks(path: string): Promise<Record<string, NetworkCounters>> {
    for (const pid of (await cgroupPids(this.directories(path).procs)).slice(0, 8)) {
      try {
        const [own, host] = await Promise.all([readlink(`${this.#proc}/${pid}/ns/net`), readlink(`${this.#proc}/self/ns/net`)]);
        if (own === host) return {};
        return parseNetDev(await readFile(`${this.#proc}/${pid}/net/dev`, 'utf8'));
      } catch (error) {
        if (!['ENOENT', 'ESRCH', 'EINVAL'].includes(errnoOf(error) ?? '')) throw error;
      }
    }
    return {};
  }

  /** A shim is moved by itself; a v2 cgroup with controllers for its children could not take it, so none are enabled. */
  async shimFolders(): Promise<string[]> {
    const folders = await makeCgroup(this.#trees, SHIM_CGROUP, SHIM_CONTROLLERS);
    const usable = await Promise.all(folders.map(async (folder) => ({ folder, there: (await readCgroupFile(join(folder, 'cgroup.type'))).trim() !== 'domain invalid' })));
    return usable.filter(({ there }) => there).map(({ folder }) => folder);
  }
}
