/** What `docker info` counts and says, before it is in Docker's words. */
import type { SysInfo } from './container/sysInfo.ts';
import type { HostInfo } from './ports/host.ts';
import type { EngineSettings } from './settings.ts';

export interface EngineInfo {
  containers: { all: number; running: number; paused: number; stopped: number };
  images: number;
  /** Storage driver, and what it says of itself. */
  driver: string;
  driverStatus: [string, string][];
  host: HostInfo;
  sys: SysInfo;
  settings: EngineSettings;
  nowNs: bigint;
  /** Limits the kernel lacks, options that wait, containers that are broken. */
  warnings: string[];
}
