/** Facts of a host on which all is well, for tests to spoil. */
import type { ShimStatus } from '../core/ports/shim.ts';
import type { ContainerFacts, Facts, HostFacts, RootFacts, UnitFacts } from './facts.ts';

export const ID = 'a'.repeat(64);

const GIB = 1024n ** 3n;

const root = (path: string, type: string): RootFacts => ({ path, exists: true, type, readOnly: false, freeBytes: 10n * GIB, totalBytes: 20n * GIB, freeInodes: 100_000n, totalInodes: 200_000n });

export const wellUnit: UnitFacts = {
  name: 'moored.service', killMode: 'process', delegate: true, restart: 'always', confining: [], removesExecRoot: false, stopsWithHost: true, keepsSocket: true,
};

export const wellHost: HostFacts = {
  privileged: true,
  daemonPid: 42,
  daemonConfined: false,
  dataFormat: { condition: { kind: 'ok' }, schema: 1, release: '0.2.0' },
  config: { file: '/etc/docker/daemon.json', error: '', liveRestore: true, pipeSize: 1_048_576, storageDriver: 'overlay2', filters: true, flagsOf: 'daemon' },
  dataRoot: root('/var/lib/moored', 'ext4'),
  execRoot: root('/run/moored', 'tmpfs'),
  pendingRoots: [],
  optionChanges: [],
  unit: wellUnit,
  kernel: { release: '6.1.0', overlay: true, seccomp: true, pidfd: true, cgroupVersion: 2, pipeMaxSize: 1_048_576 },
  nft: { path: '/usr/sbin/nft', version: 'nftables v1.0.6', error: '' },
  runtime: { name: 'runc', path: '/usr/sbin/runc', version: '1.1.5', error: '' },
  shim: { path: '/usr/libexec/moored-shim', version: '0.1.0', contract: '1.0', error: '' },
  networkChanges: { names: [], error: '' },
  resolverPid: 43,
  defaultNetworkUsed: true,
  strays: [],
  quarantined: [],
  listError: '',
};

export const wellStatus: ShimStatus = {
  state: 'running', shimPid: 100, shimVersion: '0.1.0', contract: '1.0', pid: 101, pidStart: 5n, bootId: 'boot', run: 1, restartCount: 0,
  startedAt: 1n, finishedAt: 0n, exitCode: 0, exitSignal: 0, oom: false, health: 'none', healthStreak: 0, journalSeq: 1n, pipeSize: 1_048_576,
  logDropped: 0n, nextRestartAt: 0n, error: '', stopping: false,
};

export const wellContainer: ContainerFacts = {
  id: ID,
  name: 'web',
  desired: 'running',
  storageDriver: 'overlay2',
  createdNs: 1n,
  launchedNs: 2n,
  record: { kind: 'ok' },
  view: { kind: 'ok' },
  sandbox: { kind: 'ok' },
  networks: ['bridge'],
  status: { kind: 'ok' },
  shimStatus: wellStatus,
  shim: 'answering',
  contract: '1.0',
  init: 'alive',
  shimService: '',
  pipeAsked: 1_048_576,
  netnsPinned: true,
  rootfs: { path: '/var/lib/moored/layers/overlay2/rw/x/merged', mounted: true },
  ports: { wanted: ['tcp 0.0.0.0:80'], missing: [], error: '' },
  logTarget: undefined,
};

export const well: Facts = { host: wellHost, containers: [wellContainer] };
