/** `GET /info`, `GET /version` and `GET /system/df` at API 1.51. */
import { rfc3339Nano } from '../base/clock.ts';
import { LOG_DRIVERS } from '../core/log/drivers.ts';
import type { EngineInfo } from '../core/engineInfo.ts';
import type { HostInfo } from '../core/ports/host.ts';
import type { EngineSettings } from '../core/settings.ts';
import { MAX_API_VERSION, MIN_API_VERSION } from './version.ts';

export interface VersionFacts {
  version: string;
  commit: string;
  node: string;
  host: HostInfo;
  goArch: string;
}

export interface RuntimeFacts {
  name: string;
  version: string;
  commit: string;
}

export function versionView(facts: VersionFacts, runtime: RuntimeFacts): unknown {
  const { host } = facts;
  const details = {
    ApiVersion: MAX_API_VERSION,
    Arch: facts.goArch,
    BuildTime: '',
    Experimental: 'false',
    GitCommit: facts.commit,
    GoVersion: facts.node,
    KernelVersion: host.kernelVersion,
    MinAPIVersion: MIN_API_VERSION,
    Os: 'linux',
  };
  return {
    Platform: { Name: 'moored' },
    Components: [
      { Name: 'Engine', Version: facts.version, Details: details },
      { Name: runtime.name, Version: runtime.version, Details: { GitCommit: runtime.commit } },
    ],
    Version: facts.version,
    ApiVersion: MAX_API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: facts.commit,
    GoVersion: facts.node,
    Os: 'linux',
    Arch: facts.goArch,
    KernelVersion: host.kernelVersion,
    BuildTime: '',
  };
}

export interface InfoFacts extends EngineInfo {
  id: string;
  version: string;
  /** The default runtime. */
  runtime: RuntimeFacts;
  /** Clients of `GET /events`, and open descriptors. */
  listeners: number;
  descriptors: number;
  securityOptions: string[];
}

export function infoView(facts: InfoFacts): unknown {
  const { host, sys, settings } = facts;
  return {
    ID: facts.id,
    Containers: facts.containers.all,
    ContainersRunning: facts.containers.running,
    ContainersPaused: facts.containers.paused,
    ContainersStopped: facts.containers.stopped,
    Images: facts.images,
    Driver: facts.driver,
    DriverStatus: facts.driverStatus,
    Plugins: { Volume: ['local'], Network: ['bridge', 'host', 'null'], Authorization: null, Log: LOG_DRIVERS },
    MemoryLimit: sys.memoryLimit,
    SwapLimit: sys.swapLimit,
    CpuCfsPeriod: sys.cpuCfs,
    CpuCfsQuota: sys.cpuCfs,
    CPUShares: sys.cpuShares,
    CPUSet: sys.cpuset,
    PidsLimit: sys.pidsLimit,
    IPv4Forwarding: true,
    Debug: settings.debug,
    NFd: facts.descriptors,
    OomKillDisable: sys.oomKillDisable,
    NGoroutines: 0,
    SystemTime: rfc3339Nano(facts.nowNs),
    LoggingDriver: settings.logDriver,
    CgroupDriver: settings.cgroupDriver,
    CgroupVersion: String(sys.cgroupVersion),
    NEventsListener: facts.listeners,
    KernelVersion: host.kernelVersion,
    OperatingSystem: host.operatingSystem,
    OSVersion: host.osVersion,
    OSType: 'linux',
    Architecture: host.architecture,
    IndexServerAddress: 'https://index.docker.io/v1/',
    RegistryConfig: registryConfig(settings),
    NCPU: host.cpus,
    MemTotal: host.memoryBytes,
    GenericResources: null,
    DockerRootDir: settings.dataRoot,
    HttpProxy: settings.httpProxy,
    HttpsProxy: settings.httpsProxy,
    NoProxy: settings.noProxy,
    Name: host.hostname,
    Labels: settings.labels,
    ExperimentalBuild: settings.experimental,
    ServerVersion: facts.version,
    Runtimes: Object.fromEntries(Object.entries(settings.runtimes).map(([name, { path, args }]) => [name, { path, ...(args.length === 0 ? {} : { runtimeArgs: args }) }])),
    DefaultRuntime: settings.defaultRuntime,
    Swarm: { NodeID: '', NodeAddr: '', LocalNodeState: 'inactive', ControlAvailable: false, Error: '', RemoteManagers: null },
    LiveRestoreEnabled: settings.liveRestore,
    Isolation: '',
    InitBinary: 'docker-init',
    ContainerdCommit: { ID: '' },
    // Debian's runc tells no commit; dockerd then shows the version.
    RuncCommit: { ID: facts.runtime.commit || facts.runtime.version },
    InitCommit: { ID: '' },
    SecurityOptions: facts.securityOptions,
    CDISpecDirs: [],
    Warnings: facts.warnings,
  };
}

function registryConfig(settings: EngineSettings): unknown {
  const cidrs = settings.insecureRegistries.filter((each) => each.includes('/'));
  const hosts = settings.insecureRegistries.filter((each) => !each.includes('/'));
  return {
    InsecureRegistryCIDRs: [...new Set([...cidrs, '127.0.0.0/8', '::1/128'])],
    IndexConfigs: {
      'docker.io': { Name: 'docker.io', Mirrors: settings.registryMirrors, Secure: true, Official: true },
      ...Object.fromEntries(hosts.map((host) => [host, { Name: host, Mirrors: [], Secure: false, Official: false }])),
    },
    Mirrors: settings.registryMirrors,
  };
}
