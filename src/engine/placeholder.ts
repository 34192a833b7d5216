/** The record of a container whose own cannot be used: enough to list it, stop it and remove it (design law 5). */
import type { ContainerConfig, HostConfig } from '../core/container/config.ts';
import type { ContainerRecord } from '../core/container/record.ts';

export const EMPTY_CONFIG: ContainerConfig = {
  hostname: '', domainname: '', user: '', attachStdin: false, attachStdout: false, attachStderr: false, exposedPorts: [], tty: false, openStdin: false,
  stdinOnce: false, env: [], cmd: null, entrypoint: null, image: '', volumes: [], workingDir: '', networkDisabled: false, onBuild: [], labels: {},
  stopSignal: '', shell: [],
};

export const EMPTY_HOST_CONFIG: HostConfig = {
  binds: [], containerIdFile: '', logConfig: { type: 'json-file', config: {} }, networkMode: 'bridge', portBindings: {}, restartPolicy: { name: 'no', maximumRetryCount: 0 },
  autoRemove: false, volumeDriver: '', volumesFrom: [], consoleSize: [0, 0], annotations: {}, capAdd: [], capDrop: [], cgroupnsMode: '', dns: [], dnsOptions: [],
  dnsSearch: [], extraHosts: [], groupAdd: [], ipcMode: '', cgroup: '', links: [], oomScoreAdj: 0, pidMode: '', privileged: false, publishAllPorts: false,
  readonlyRootfs: false, securityOpt: [], storageOpt: {}, tmpfs: {}, utsMode: '', usernsMode: '', shmSize: 0n, sysctls: {}, runtime: '', isolation: '',
  maskedPaths: null, readonlyPaths: null, mounts: [], init: null, cpuShares: 0, memory: 0n, nanoCpus: 0n, cgroupParent: '', blkioWeight: 0, blkioWeightDevice: [],
  blkioDeviceReadBps: [], blkioDeviceWriteBps: [], blkioDeviceReadIOps: [], blkioDeviceWriteIOps: [], cpuPeriod: 0n, cpuQuota: 0n, cpuRealtimePeriod: 0n,
  cpuRealtimeRuntime: 0n, cpusetCpus: '', cpusetMems: '', devices: [], deviceCgroupRules: [], deviceRequests: [], memoryReservation: 0n, memorySwap: 0n,
  memorySwappiness: null, oomKillDisable: null, pidsLimit: null, ulimits: [],
};

/** Its short id is its name: its own is not known. */
export const placeholderRecord = (id: string): ContainerRecord => ({
  schema: 1, id, name: id.slice(0, 12), createdNs: 0n, desired: 'stopped', imageId: '', layerParent: null, storageDriver: '', path: '', args: [], config: EMPTY_CONFIG,
  hostConfig: EMPTY_HOST_CONFIG, mounts: [], networks: {}, startedBefore: true, startFailure: null, removeVolumes: false,
});
