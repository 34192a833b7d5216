/**
 * From what a client asks to what a container is: validated, merged with the image, filled with defaults. Pure; the
 * engine looks up the image and the container whose namespaces are to be shared, and then records the result.
 */
import { invalid, messageOf } from '../../base/errors.ts';
import type { EngineSettings } from '../settings.ts';
import { DEFAULT_MASKED_PATHS, DEFAULT_READONLY_PATHS } from '../oci/spec.ts';
import type { ContainerConfig, EndpointRequest, HostConfig } from './config.ts';
import { validateEndpoint } from './endpoint.ts';
import { mergeImageConfig } from './merge.ts';
import { containerOfMode, isContainerMode, isHostMode } from './modes.ts';
import { cleanPath } from './mountCheck.ts';
import type { SysInfo } from './sysInfo.ts';
import { validateConfig, validateHostConfig, validateModes, validatePlatform } from './validate.ts';
import { checkResources } from './validateResources.ts';

export interface CreateInput {
  readonly id: string;
  readonly config: ContainerConfig;
  readonly host: HostConfig;
  /** By network name or id. */
  readonly networks: Readonly<Record<string, EndpointRequest>>;
  readonly image: ContainerConfig | null;
  readonly settings: Pick<EngineSettings,
    | 'logDriver' | 'logOpts' | 'defaultRuntime' | 'runtimes' | 'cgroupDriver' | 'defaultShmSize' | 'defaultIpcMode' | 'defaultCgroupnsMode'>;
  readonly sys: SysInfo;
  /** The host's own name, for containers in its network. */
  readonly hostname: string;
  /** Full id of a container by name or id; undefined if there is none. */
  readonly containerId: (nameOrId: string) => string | undefined;
}

export interface CreatePlan {
  readonly config: ContainerConfig;
  readonly host: HostConfig;
  /** The entry of the network mode included, except where the network is another container's. */
  readonly networks: Record<string, EndpointRequest>;
  readonly path: string;
  readonly args: string[];
  readonly warnings: string[];
}

/** Throws `invalid` with Docker's texts. */
export function planCreate(input: CreateInput): CreatePlan {
  const warnings: string[] = [];
  const asked = withModes(input);
  validateModes(input.config, asked);
  validateConfig(input.config);
  validateHostConfig(asked);
  const limited = checkResources(asked, input.sys, { warnings, update: false });
  const host = withDefaults(limited, input);
  validatePlatform(host, { runtimes: Object.keys(input.settings.runtimes), cgroupDriver: input.settings.cgroupDriver });
  if (isHostMode(host.networkMode) && Object.keys(host.portBindings).length > 0) {
    warnings.push('Published ports are discarded when using host network mode');
  }
  if (host.cgroupnsMode === 'private' && !input.sys.cgroupNamespaces) {
    warnings.push('Your kernel does not support cgroup namespaces.  Cgroup namespace setting discarded.');
    host.cgroupnsMode = 'host';
  }
  const networks = networksOf(host.networkMode, input.networks);
  for (const [name, request] of Object.entries(networks)) checkEndpoint(name, request);
  const config = finishConfig(mergeImageConfig(input.config, input.image), host, input);
  const [path = '', ...args] = [...config.entrypoint ?? [], ...config.cmd ?? []];
  return { config, host, networks, path, args, warnings };
}

function checkEndpoint(name: string, request: EndpointRequest): void {
  try {
    validateEndpoint(name, request);
  } catch (error) {
    throw invalid(`invalid config for network ${name}: ${messageOf(error)}`, error);
  }
}

/** Modes spelled out; containers by id, so that a renamed one is still found. */
function withModes({ host, containerId }: CreateInput): HostConfig {
  const byId = (mode: string): string => {
    const id = isContainerMode(mode) ? containerId(containerOfMode(mode)) : undefined;
    return id === undefined ? mode : `container:${id}`;
  };
  const networkMode = host.networkMode === '' || host.networkMode === 'default' ? 'bridge' : host.networkMode;
  return { ...host, networkMode: byId(networkMode), ipcMode: byId(host.ipcMode), pidMode: byId(host.pidMode) };
}

function withDefaults(host: HostConfig, { settings, sys }: CreateInput): HostConfig {
  return {
    ...host,
    // "Unlimited" and "not given" are the same here.
    pidsLimit: host.pidsLimit !== null && host.pidsLimit <= 0n ? null : host.pidsLimit,
    logConfig: logConfigOf(host, settings),
    memorySwap: host.memory > 0n && host.memorySwap === 0n ? host.memory * 2n : host.memorySwap,
    oomKillDisable: host.oomKillDisable === null && sys.oomKillDisable ? false : host.oomKillDisable,
    shmSize: host.shmSize === 0n ? settings.defaultShmSize : host.shmSize,
    ipcMode: host.ipcMode === '' ? settings.defaultIpcMode : host.ipcMode,
    cgroupnsMode: cgroupnsModeOf(host, settings.defaultCgroupnsMode, sys),
    runtime: host.runtime === '' ? settings.defaultRuntime : host.runtime,
    // A privileged container shows none, unless they were given.
    maskedPaths: host.maskedPaths ?? (host.privileged ? null : [...DEFAULT_MASKED_PATHS]),
    readonlyPaths: host.readonlyPaths ?? (host.privileged ? null : [...DEFAULT_READONLY_PATHS]),
  };
}

/** The driver's options are the daemon's only if the driver is. */
function logConfigOf({ logConfig }: HostConfig, settings: CreateInput['settings']): HostConfig['logConfig'] {
  const type = logConfig.type === '' ? settings.logDriver : logConfig.type;
  const defaults = type === settings.logDriver ? settings.logOpts : {};
  return { type, config: { ...defaults, ...logConfig.config } };
}

/** cgroup v2: a namespace of its own, privileged or not; v1: the host's, as it always was. */
function cgroupnsModeOf(host: HostConfig, byDaemon: string, sys: SysInfo): string {
  if (host.cgroupnsMode !== '') return host.cgroupnsMode;
  if (host.privileged && sys.cgroupVersion === 1) return 'host';
  if (byDaemon !== '') return byDaemon;
  return sys.cgroupVersion === 2 ? 'private' : 'host';
}

function networksOf(mode: string, asked: Readonly<Record<string, EndpointRequest>>): Record<string, EndpointRequest> {
  const networks: Record<string, EndpointRequest> = {};
  for (const [name, request] of Object.entries(asked)) networks[name === 'default' ? 'bridge' : name] = request;
  if (!isContainerMode(mode)) networks[mode] ??= EMPTY_ENDPOINT;
  return networks;
}

const EMPTY_ENDPOINT: EndpointRequest = {
  ipv4Address: '', ipv6Address: '', linkLocalIps: [], links: [], aliases: [], macAddress: '', driverOpts: {}, gwPriority: 0,
};

function finishConfig(config: ContainerConfig, host: HostConfig, { id, hostname }: CreateInput): ContainerConfig {
  const ownName = isHostMode(host.networkMode) || isHostMode(host.utsMode) ? hostname : id.slice(0, 12);
  return {
    ...config,
    hostname: config.hostname === '' ? ownName : config.hostname,
    workingDir: config.workingDir === '' ? '' : cleanPath(config.workingDir),
  };
}
