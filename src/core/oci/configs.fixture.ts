/** Empty configurations for tests: what a body of `{}` decodes to. */
import type { ContainerConfig, HostConfig } from '../container/config.ts';

export const testConfig = (): ContainerConfig => ({
  hostname: '', domainname: '', user: '', attachStdin: false, attachStdout: false, attachStderr: false, exposedPorts: [], tty: false,
  openStdin: false, stdinOnce: false, env: [], cmd: null, entrypoint: null, image: 'busybox', volumes: [], workingDir: '',
  networkDisabled: false, onBuild: [], labels: {}, stopSignal: '', shell: [],
});

export const testHostConfig = (): HostConfig => ({
  binds: [], containerIdFile: '', logConfig: { type: 'json-file', config: {} }, networkMode: 'bridge', portBindings: {},
  restartPolicy: { name: 'no', maximumRetryCount: 0 }, autoRemove: false, volumeDriver: '', volumesFrom: [], consoleSize: [0, 0],
  annotations: {}, capAdd: [], capDrop: [], cgroupnsMode: '', dns: [], dnsOptions: [], dnsSearch: [], extraHosts: [], groupAdd: [],
  ipcMode: 'private', cgroup: '', links: [], oomScoreAdj: 0, pidMode: '', privileged: false, publishAllPorts: false,
  readonlyRootfs: false, securityOpt: [], storageOpt: {}, tmpfs: {}, utsMode: '', usernsMode: '', shmSize: 67108864n, sysctls: {},
  runtime: 'runc', isolation: '', maskedPaths: null, readonlyPaths: null, mounts: [], init: null,
  cpuShares: 0, memory: 0n, nanoCpus: 0n, cgroupParent: '', blkioWeight: 0, blkioWeightDevice: [], blkioDeviceReadBps: [],
  blkioDeviceWriteBps: [], blkioDeviceReadIOps: [], blkioDeviceWriteIOps: [], cpuPeriod: 0n, cpuQuota: 0n, cpuRealtimePeriod: 0n,
  cpuRealtimeRuntime: 0n, cpusetCpus: '', cpusetMems: '', devices: [], deviceCgroupRules: [], deviceRequests: [],
  memoryReservation: 0n, memorySwap: 0n, memorySwappiness: null, oomKillDisable: null, pidsLimit: null, ulimits: [],
});
