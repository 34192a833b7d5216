/** What the engine needs to know of the daemon's options: a snapshot, replaced whole at a reload. */
import type { Ulimit } from './container/config.ts';
import type { SeccompProfile } from './oci/seccomp.ts';

export interface RuntimeSettings {
  path: string;
  args: string[];
}

export interface EngineSettings {
  liveRestore: boolean;
  /** Seconds; a container without its own stop timeout. */
  defaultStopTimeout: number;
  /** Seconds that a shutdown may take; -1 for ever. */
  shutdownTimeout: number;
  logDriver: string;
  logOpts: Record<string, string>;
  /** Bytes of the stdio FIFOs. */
  pipeSize: number;
  defaultRuntime: string;
  runtimes: Record<string, RuntimeSettings>;
  storageDriver: string;
  cgroupParent: string;
  cgroupDriver: 'cgroupfs' | 'systemd';
  defaultShmSize: bigint;
  defaultUlimits: Ulimit[];
  defaultIpcMode: string;
  defaultCgroupnsMode: string;
  init: boolean;
  initPath: string;
  noNewPrivileges: boolean;
  /** `builtin`, `unconfined`, or the path of a profile, as `docker info` shows it. */
  seccompProfile: string;
  /** What containers get by default. */
  seccomp: 'builtin' | 'unconfined' | SeccompProfile;
  dns: string[];
  dnsOptions: string[];
  dnsSearch: string[];
  hostGatewayIps: string[];
  labels: string[];
  debug: boolean;
  experimental: boolean;
  dataRoot: string;
  execRoot: string;
  insecureRegistries: string[];
  registryMirrors: string[];
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
}
