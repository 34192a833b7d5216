/** What Docker refuses in a container's configuration, in its order and words. Pure; limits stand in validateResources.ts. */
import { invalid, messageOf } from '../../base/errors.ts';
import { normalizeCapabilities } from '../oci/capabilities.ts';
import { checkSlice } from '../oci/cgroupsPath.ts';
import { parseDeviceRule } from '../oci/devices.ts';
import { parseExtraHost } from '../oci/etcFiles.ts';
import { parseSecurityOpt } from '../oci/securityOpt.ts';
import type { ContainerConfig, HealthConfig, HostConfig, RestartPolicy, RestartPolicyName } from './config.ts';
import { containerOfMode, isContainerMode, isHostMode, isValidCgroupnsMode, isValidIpcMode, isValidPidMode, isValidUsernsMode, isValidUtsMode } from './modes.ts';
import { validateTmpfsDestination } from './mountCheck.ts';
import { parsePort, parsePortKey } from './portSpec.ts';
import { parseSignal } from './signals.ts';

const NAME = /^\/?[a-zA-Z0-9][a-zA-Z0-9_.-]+$/;

/** The name without its slash; invalid `Invalid container name (x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`. */
export function checkContainerName(name: string): string {
  if (!NAME.test(name)) throw invalid(`Invalid container name (${name}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`);
  return name.replace(/^\//, '');
}

/** Options that contradict each other, before anything is looked up. */
export function validateModes(config: ContainerConfig, host: HostConfig): void {
  const shared = isContainerMode(host.networkMode);
  if (shared && containerOfMode(host.networkMode) === '') throw invalid('invalid container format container:<name|id>');
  const conflicts: [boolean, string][] = [
    [shared && config.hostname !== '', 'hostname and the network mode'],
    [shared && host.links.length > 0, LINKS_OF_SHARED],
    [shared && host.dns.length > 0, 'dns and the network mode'],
    [shared && host.extraHosts.length > 0, 'custom host-to-IP mapping and the network mode'],
    [shared && (Object.keys(host.portBindings).length > 0 || host.publishAllPorts), 'port publishing and the container type network mode'],
    [shared && config.exposedPorts.length > 0, 'port exposing and the container type network mode'],
    [isHostMode(host.utsMode) && config.hostname !== '', 'hostname and the UTS mode'],
    [isHostMode(host.networkMode) && host.links.length > 0, LINKS_OF_HOST],
  ];
  const found = conflicts.find(([holds]) => holds);
  if (found !== undefined) throw invalid(`conflicting options: ${found[1]}`);
}

const LINKS_OF_SHARED = "container type network can't be used with links. This would result in undefined behavior";
const LINKS_OF_HOST = "host type networking can't be used with links. This would result in undefined behavior";

/** The container's own part. */
export function validateConfig(config: ContainerConfig): void {
  if (config.workingDir !== '' && !config.workingDir.startsWith('/')) {
    throw invalid(`the working directory '${config.workingDir}' is invalid, it needs to be an absolute path`);
  }
  if (config.stopSignal !== '') parseSignal(config.stopSignal);
  for (const variable of config.env) {
    if (variable === '' || variable.startsWith('=')) throw invalid(`invalid environment variable: ${variable}`);
    if (variable.includes('\0')) throw invalid('invalid environment variable: contains a null byte');
  }
  if (config.healthcheck !== undefined) validateHealthcheck(config.healthcheck);
  for (const port of config.exposedPorts) parsePortKey(port);
}

const MINIMUM_NS = 1_000_000n;

function validateHealthcheck(health: HealthConfig): void {
  const durations: [string, bigint][] = [['Interval', health.intervalNs], ['Timeout', health.timeoutNs]];
  for (const [name, value] of durations) notTooShort(name, value);
  if (health.retries < 0) throw invalid('Retries in Healthcheck cannot be negative');
  notTooShort('StartPeriod', health.startPeriodNs);
  notTooShort('StartInterval', health.startIntervalNs);
}

function notTooShort(name: string, value: bigint): void {
  if (value !== 0n && value < MINIMUM_NS) throw invalid(`${name} in Healthcheck cannot be less than 1ms`);
}

/** The host's part, apart from limits. */
export function validateHostConfig(host: HostConfig): void {
  if (host.autoRemove && host.restartPolicy.name !== 'no') throw invalid("can't create 'AutoRemove' container with restart policy");
  for (const entry of host.extraHosts) parseExtraHost(entry);
  validatePortBindings(host);
  validateRestartPolicy(host.restartPolicy);
  validateCapabilities('CapAdd', host.capAdd);
  validateCapabilities('CapDrop', host.capDrop);
  if (host.isolation !== '' && host.isolation.toLowerCase() !== 'default') throw invalid(`invalid isolation '${host.isolation}' on linux`);
  if (Object.hasOwn(host.annotations, '')) throw invalid('invalid Annotations: the empty string is not permitted as an annotation key');
}

function validatePortBindings({ portBindings }: HostConfig): void {
  for (const [port, bindings] of Object.entries(portBindings)) {
    parsePortKey(port);
    for (const { hostPort } of bindings) if (hostPort !== '') parsePort(hostPort);
  }
}

const POLICIES: readonly RestartPolicyName[] = ['no', 'always', 'on-failure', 'unless-stopped'];

/** A policy's name as a client sent it; empty is `no`. */
export function restartPolicyName(text: string): RestartPolicyName {
  const name = POLICIES.find((policy) => policy === (text === '' ? 'no' : text));
  if (name !== undefined) return name;
  throw invalid(`invalid restart policy: unknown policy '${text}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`);
}

/** invalid `invalid restart policy: …`. */
export function validateRestartPolicy({ name, maximumRetryCount }: RestartPolicy): void {
  if (name === 'on-failure') {
    if (maximumRetryCount < 0) throw invalid('invalid restart policy: maximum retry count cannot be negative');
  } else if (maximumRetryCount !== 0) {
    const negative = maximumRetryCount < 0 ? ' and cannot be negative' : '';
    throw invalid(`invalid restart policy: maximum retry count can only be used with 'on-failure'${negative}`);
  }
}

function validateCapabilities(field: string, names: readonly string[]): void {
  try {
    normalizeCapabilities(names);
  } catch (error) {
    throw invalid(`invalid ${field}: ${messageOf(error)}`, error);
  }
}

export interface PlatformChecks {
  readonly runtimes: readonly string[];
  readonly cgroupDriver: 'cgroupfs' | 'systemd';
}

/** What depends on the platform. `host` has its defaults already. */
export function validatePlatform(host: HostConfig, checks: PlatformChecks): void {
  if (!isValidIpcMode(host.ipcMode)) throw invalid(`invalid IPC mode: ${host.ipcMode}`);
  if (!isValidPidMode(host.pidMode)) throw invalid(`invalid PID mode: ${host.pidMode}`);
  if (host.shmSize < 0n) throw invalid('SHM size can not be less than 0');
  if (!isValidUtsMode(host.utsMode)) throw invalid(`invalid UTS mode: ${host.utsMode}`);
  if (!isValidUsernsMode(host.usernsMode)) throw invalid(`invalid user namespace mode: ${host.usernsMode}`);
  if (host.oomScoreAdj < -1000 || host.oomScoreAdj > 1000) {
    throw invalid(`Invalid value ${host.oomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  }
  if (checks.cgroupDriver === 'systemd' && host.cgroupParent !== '') checkSlice(host.cgroupParent);
  if (!checks.runtimes.includes(host.runtime)) throw invalid(`unknown or invalid runtime name: ${host.runtime}`);
  for (const path of Object.keys(host.tmpfs)) validateTmpfsDestination(path);
  if (!isValidCgroupnsMode(host.cgroupnsMode)) throw invalid(`invalid cgroup namespace mode: ${host.cgroupnsMode}`);
  parseSecurityOpt(host.securityOpt, false);
  for (const rule of host.deviceCgroupRules) parseDeviceRule(rule);
  for (const limit of host.ulimits) {
    if (limit.hard >= 0 && (limit.soft > limit.hard || limit.soft < 0)) {
      throw invalid(`ulimit soft limit must be less than or equal to hard limit: soft (${limit.soft}) > hard (${limit.hard})`);
    }
  }
  for (const request of host.deviceRequests) {
    const capabilities = request.capabilities.map((all) => `[${all.join(' ')}]`).join(' ');
    throw invalid(`could not select device driver "${request.driver}" with capabilities: [${capabilities}]`);
  }
}
