import type { CgroupPlacement } from '../oci/cgroupsPath.ts';
import type { CgroupStats } from '../container/stats.ts';

/** A container's cgroup: `path` is what its OCI spec names (`linux.cgroupsPath`). */
export interface CgroupPort {
  readonly version: 1 | 2;
  readonly driver: CgroupPlacement['driver'];
  /** For the shim: where its OOM counter lies, and which folder's `cgroup.procs` tells whether it is empty. */
  directories(path: string): { memory: string; procs: string };
  /** True if its processes are frozen now, whoever froze them. */
  frozen(path: string): Promise<boolean>;
  /** The same at once, for a daemon's start. */
  frozenNow(path: string): boolean;
  /** Lets its processes run, whoever froze them; a missing one is fine. */
  thaw(path: string): Promise<void>;
  /** SIGKILL to everything in it and below; a missing one is fine. */
  killAll(path: string): Promise<void>;
  stats(path: string): Promise<CgroupStats>;
  /** Makes the cgroup in which shims live, outside the daemon's own; the folders to join. */
  shimFolders(): Promise<string[]>;
}
