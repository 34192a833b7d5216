/** What the rooms take of the configuration, each in its own words. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { invalid, messageOf } from '../base/errors.ts';
import type { NetConfig } from '../core/network/config.ts';
import { parseSeccompProfile } from '../core/oci/seccomp.ts';
import type { Config } from '../core/options/table.ts';
import type { EngineSettings } from '../core/settings.ts';
import { DEFAULT_REGISTRY_OPTIONS } from '../image/registry/registries.ts';
import type { RegistryOptions } from '../image/registry/registries.ts';
import { findExecutable } from '../sys/hostInfo.ts';

/** `native.cgroupdriver=systemd`; cgroupfs otherwise. */
const cgroupDriver = (config: Config): EngineSettings['cgroupDriver'] => (config.execOpts.includes('native.cgroupdriver=systemd') ? 'systemd' : 'cgroupfs');

export function engineSettings(config: Config, storageDriver: string): EngineSettings {
  return {
    liveRestore: config.liveRestore,
    defaultStopTimeout: config.defaultStopTimeout,
    shutdownTimeout: config.shutdownTimeout,
    logDriver: config.logDriver,
    logOpts: { ...config.logOpts },
    pipeSize: config.logPipeSize,
    defaultRuntime: config.defaultRuntime,
    runtimes: runtimesOf(config),
    storageDriver,
    cgroupParent: config.cgroupParent,
    cgroupDriver: cgroupDriver(config),
    defaultShmSize: BigInt(config.defaultShmSize),
    defaultUlimits: Object.entries(config.defaultUlimits).map(([name, limit]) => ({ name, soft: Number(limit.soft), hard: Number(limit.hard) })),
    defaultIpcMode: config.defaultIpcMode,
    defaultCgroupnsMode: config.defaultCgroupnsMode,
    init: config.init,
    initPath: config.initPath,
    noNewPrivileges: config.noNewPrivileges,
    seccompProfile: config.seccompProfile === '' ? 'builtin' : config.seccompProfile,
    seccomp: seccompOf(config.seccompProfile),
    dns: [...config.dns],
    dnsOptions: [...config.dnsOpts],
    dnsSearch: [...config.dnsSearch],
    hostGatewayIps: [...config.hostGatewayIps],
    labels: [...config.labels],
    debug: config.debug,
    experimental: config.experimental,
    dataRoot: config.dataRoot,
    execRoot: config.execRoot,
    insecureRegistries: [...config.insecureRegistries],
    registryMirrors: [...config.registryMirrors],
    httpProxy: config.httpProxy,
    httpsProxy: config.httpsProxy,
    noProxy: config.noProxy,
  };
}

/** The default profile, read once: a profile that is not there or is none keeps the daemon from starting. */
function seccompOf(option: string): EngineSettings['seccomp'] {
  if (option === '' || option === 'builtin') return 'builtin';
  if (option === 'unconfined') return 'unconfined';
  try {
    return parseSeccompProfile(readFileSync(option, 'utf8'));
  } catch (error) {
    throw invalid(`opening seccomp profile (${option}) failed: ${messageOf(error)}`, error);
  }
}

/** Paths are absolute: a shim runs its runtime for years, whatever PATH is by then. */
function runtimesOf(config: Config): EngineSettings['runtimes'] {
  const named: EngineSettings['runtimes'] = { runc: { path: findExecutable('runc') ?? '/usr/sbin/runc', args: [] } };
  for (const [name, runtime] of Object.entries(config.runtimes)) named[name] = { path: findExecutable(runtime.path) ?? runtime.path, args: [...(runtime.runtimeArgs ?? [])] };
  return named;
}

export function netConfig(config: Config): NetConfig {
  return {
    bridge: config.bridge,
    bip: config.bip,
    bip6: config.bip6,
    fixedCidr: config.fixedCidr,
    fixedCidr6: config.fixedCidrV6,
    defaultGateway4: config.defaultGateway,
    defaultGateway6: config.defaultGatewayV6,
    mtu: config.mtu,
    icc: config.icc,
    ipMasq: config.ipMasq,
    ipv6: config.ipv6,
    ipForward: config.ipForward,
    ipForwardNoDrop: config.ipForwardNoDrop,
    iptables: config.iptables,
    ip6tables: config.ip6tables,
    allowDirectRouting: config.allowDirectRouting,
    userlandProxy: config.userlandProxy,
    defaultHostIp: config.ip === '0.0.0.0' ? '' : config.ip,
    defaultAddressPools: config.defaultAddressPools.map(({ base, size }) => ({ base, size })),
    defaultNetworkOptions: config.defaultNetworkOpts,
  };
}

/** Forty bits that stay the same for this engine (RFC 4193 wants them random; the engine's id is). */
export const ulaBitsOf = (engineId: string): bigint => BigInt(`0x${createHash('sha256').update(engineId).digest('hex').slice(0, 10)}`);

export const registryOptions = (config: Config, version: string): RegistryOptions => ({
  ...DEFAULT_REGISTRY_OPTIONS,
  mirrors: config.registryMirrors,
  insecure: config.insecureRegistries,
  maxConcurrentDownloads: config.maxConcurrentDownloads,
  maxConcurrentUploads: config.maxConcurrentUploads,
  maxDownloadAttempts: config.maxDownloadAttempts,
  proxy: { http: config.httpProxy, https: config.httpsProxy, no: config.noProxy },
  userAgent: `docker/${version} moored`,
});
