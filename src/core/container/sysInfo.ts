/** Which limits this host's kernel and cgroups can enforce: what create validates against, and what `docker info` shows. */
export interface SysInfo {
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
  /** `0-3`; empty if there is no cpuset controller. */
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
