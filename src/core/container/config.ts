/**
 * What a user asks of a container: Docker's `Config` and `HostConfig` in our own spelling. `wire/containerConfig.ts`
 * translates; the record on disk is this shape. Lists are never null here; an absent optional means "not given".
 * Sizes are bytes, durations nanoseconds (bigint) where Docker has them so, seconds where Docker has seconds.
 */

export interface HealthConfig {
  /** `[]` inherit, `['NONE']`, `['CMD', …]` or `['CMD-SHELL', text]`. */
  test: string[];
  intervalNs: bigint;
  timeoutNs: bigint;
  startPeriodNs: bigint;
  startIntervalNs: bigint;
  retries: number;
}

/** The part that an image can give defaults for. */
export interface ContainerConfig {
  hostname: string;
  domainname: string;
  user: string;
  attachStdin: boolean;
  attachStdout: boolean;
  attachStderr: boolean;
  /** `80/tcp` → true. */
  exposedPorts: string[];
  tty: boolean;
  openStdin: boolean;
  stdinOnce: boolean;
  env: string[];
  /** null: not given (an image's may be taken). */
  cmd: string[] | null;
  entrypoint: string[] | null;
  healthcheck?: HealthConfig;
  /** The reference as the user gave it. */
  image: string;
  /** Anonymous volumes: destinations. */
  volumes: string[];
  workingDir: string;
  networkDisabled: boolean;
  onBuild: string[];
  labels: Record<string, string>;
  /** Empty: SIGTERM. */
  stopSignal: string;
  /** Seconds; absent: the daemon's default; -1 for ever. */
  stopTimeout?: number;
  shell: string[];
}

export type RestartPolicyName = 'no' | 'always' | 'unless-stopped' | 'on-failure';

export interface RestartPolicy {
  name: RestartPolicyName;
  maximumRetryCount: number;
}

export interface PortBinding {
  hostIp: string;
  /** Empty: ephemeral. May be a range `8000-8010`. */
  hostPort: string;
}

export interface DeviceMapping {
  pathOnHost: string;
  pathInContainer: string;
  cgroupPermissions: string;
}

export interface DeviceRequest {
  driver: string;
  count: number;
  deviceIds: string[];
  capabilities: string[][];
  options: Record<string, string>;
}

export interface WeightDevice { path: string; weight: number }
export interface ThrottleDevice { path: string; rate: bigint }
export interface Ulimit { name: string; soft: number; hard: number }

export type MountType = 'bind' | 'volume' | 'tmpfs' | 'image' | 'npipe' | 'cluster';

/** `--mount`. */
export interface MountRequest {
  type: MountType;
  source: string;
  target: string;
  readOnly: boolean;
  consistency: string;
  bind?: { propagation: string; nonRecursive: boolean; createMountpoint: boolean; readOnlyNonRecursive: boolean; readOnlyForceRecursive: boolean };
  volume?: { noCopy: boolean; labels: Record<string, string>; subpath: string; driver?: { name: string; options: Record<string, string> } };
  image?: { subpath: string };
  tmpfs?: { sizeBytes: bigint; mode: number; options: string[][] };
}

export interface Resources {
  cpuShares: number;
  memory: bigint;
  nanoCpus: bigint;
  cgroupParent: string;
  blkioWeight: number;
  blkioWeightDevice: WeightDevice[];
  blkioDeviceReadBps: ThrottleDevice[];
  blkioDeviceWriteBps: ThrottleDevice[];
  blkioDeviceReadIOps: ThrottleDevice[];
  blkioDeviceWriteIOps: ThrottleDevice[];
  cpuPeriod: bigint;
  cpuQuota: bigint;
  cpuRealtimePeriod: bigint;
  cpuRealtimeRuntime: bigint;
  cpusetCpus: string;
  cpusetMems: string;
  devices: DeviceMapping[];
  deviceCgroupRules: string[];
  deviceRequests: DeviceRequest[];
  memoryReservation: bigint;
  /** -1 unlimited, 0 not given. */
  memorySwap: bigint;
  memorySwappiness: number | null;
  oomKillDisable: boolean | null;
  /** 0 or -1 unlimited; null not given. */
  pidsLimit: bigint | null;
  ulimits: Ulimit[];
}

export interface HostConfig extends Resources {
  /** `-v`: `source:target[:mode]`. */
  binds: string[];
  containerIdFile: string;
  logConfig: { type: string; config: Record<string, string> };
  /** `default`, `bridge`, `none`, `host`, `container:<id|name>` or a network's name or id. */
  networkMode: string;
  /** `80/tcp` → bindings. */
  portBindings: Record<string, PortBinding[]>;
  restartPolicy: RestartPolicy;
  autoRemove: boolean;
  volumeDriver: string;
  volumesFrom: string[];
  /** rows, columns. */
  consoleSize: [number, number];
  annotations: Record<string, string>;
  capAdd: string[];
  capDrop: string[];
  /** '', 'host', 'private'. */
  cgroupnsMode: string;
  dns: string[];
  dnsOptions: string[];
  dnsSearch: string[];
  extraHosts: string[];
  groupAdd: string[];
  /** '', none, private, shareable, host, container:<id>. */
  ipcMode: string;
  cgroup: string;
  links: string[];
  oomScoreAdj: number;
  pidMode: string;
  privileged: boolean;
  publishAllPorts: boolean;
  readonlyRootfs: boolean;
  securityOpt: string[];
  storageOpt: Record<string, string>;
  tmpfs: Record<string, string>;
  utsMode: string;
  usernsMode: string;
  shmSize: bigint;
  sysctls: Record<string, string>;
  runtime: string;
  isolation: string;
  /** null: Docker's default list. */
  maskedPaths: string[] | null;
  readonlyPaths: string[] | null;
  mounts: MountRequest[];
  /** null: the daemon's default. */
  init: boolean | null;
}

/** What a user asks of one network for a container (`NetworkingConfig.EndpointsConfig`, `docker network connect`). */
export interface EndpointRequest {
  ipv4Address: string;
  ipv6Address: string;
  linkLocalIps: string[];
  links: string[];
  aliases: string[];
  macAddress: string;
  driverOpts: Record<string, string>;
  gwPriority: number;
}
