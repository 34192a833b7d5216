/**
 * The OCI spec of a container: pure, everything that has to be looked up is in the input. Docker's defaults throughout,
 * except that limits and scores stand explicitly, so that nothing depends on what the daemon happens to run with.
 */
import { conflict, invalid } from '../../base/errors.ts';
import { isContainerMode, isHostMode, isPrivateNetwork } from '../container/modes.ts';
import { cgroupsPath } from './cgroupsPath.ts';
import type { CgroupPlacement } from './cgroupsPath.ts';
import { containerDevices } from './devices.ts';
import type { HostDevices } from './devices.ts';
import { INIT_PATH_INSIDE, containerMounts } from './mounts.ts';
import type { MountsInput, ReadyMount } from './mounts.ts';
import { containerNamespaces } from './namespaces.ts';
import type { NamespacePaths } from './namespaces.ts';
import { containerProcess } from './process.ts';
import type { ProcessInput } from './process.ts';
import { ociResources } from './resources.ts';
import { parseSeccompProfile, resolveSeccomp } from './seccomp.ts';
import type { SeccompHost, SeccompProfile } from './seccomp.ts';
import { DEFAULT_SECCOMP_PROFILE } from './seccompDefault.ts';
import { parseSecurityOpt } from './securityOpt.ts';
import type { SecurityOptions } from './securityOpt.ts';
import type { OciSeccomp, OciSpec } from './types.ts';

/** Paths that a container does not see. */
export const DEFAULT_MASKED_PATHS: readonly string[] = [
  '/proc/acpi', '/proc/asound', '/proc/interrupts', '/proc/kcore', '/proc/keys', '/proc/latency_stats',
  '/proc/sched_debug', '/proc/scsi', '/proc/timer_list', '/proc/timer_stats', '/sys/devices/virtual/powercap',
  '/sys/firmware',
];

/** Paths that it cannot write to. */
export const DEFAULT_READONLY_PATHS: readonly string[] = [
  '/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger',
];

/** What the host can do; `sys/hostFacts.ts` reads it once. */
export interface HostFacts extends SeccompHost {
  /** Mask of the daemon's capabilities: more it cannot give. */
  readonly capabilities: bigint;
  /** The highest hard limit of open files that the daemon can give: its own, or with CAP_SYS_RESOURCE the kernel's. */
  readonly maxNofile: number;
  readonly seccomp: boolean;
  /** mount_setattr (5.12); runc knows `rro` since 1.1. */
  readonly recursiveReadOnly: boolean;
  /** Whether /proc/sys has it. */
  sysctlExists(name: string): boolean;
}

export interface SpecInput extends Omit<ProcessInput, 'capabilities' | 'maxNofile'> {
  readonly id: string;
  /** Entrypoint and command together. */
  readonly args: readonly string[];
  /** Absolute path of the mounted root. */
  readonly rootfs: string;
  readonly mounts: readonly ReadyMount[];
  readonly etc: MountsInput['etc'];
  /** Directory to be /dev/shm for the ipc modes shareable, host and container; the others need none. */
  readonly shmPath?: string;
  readonly namespaces: NamespacePaths;
  readonly cgroup: CgroupPlacement;
  readonly facts: HostFacts;
  readonly devices: HostDevices;
  /** The daemon's `--init`, and where the init binary lies (undefined: there is none). */
  readonly init: { readonly byDefault: boolean; readonly path?: string };
  /** The daemon's `seccomp-profile`: `unconfined`, or a profile; absent: the default. */
  readonly seccompProfile?: 'unconfined' | SeccompProfile;
}

/** Throws `invalid` in Docker's words for what only shows now: unknown devices, sysctls of a namespace that is not the container's. */
export function ociSpec(input: SpecInput): OciSpec {
  const { config, host } = input;
  const security = parseSecurityOpt(host.securityOpt, input.noNewPrivilegesDefault);
  const initPath = initPathOf(input);
  const { mounts, rootfsPropagation } = containerMounts({
    mounts: input.mounts,
    etc: input.etc,
    shm: shmOf(input),
    readonlyRootfs: host.readonlyRootfs,
    privileged: host.privileged,
    writableCgroups: security.writableCgroups,
    recursiveReadOnly: input.facts.recursiveReadOnly,
    initPath,
  });
  const { devices, rules } = containerDevices(host, input.devices);
  const args = initPath === undefined ? input.args : [INIT_PATH_INSIDE, '--', ...input.args];
  const process = containerProcess({ ...input, capabilities: input.facts.capabilities, maxNofile: input.facts.maxNofile }, args);
  const seccomp = seccompOf(input, security, process.capabilities.bounding);
  return {
    ociVersion: '1.0.2',
    root: { path: input.rootfs, readonly: host.readonlyRootfs },
    ...(!isHostMode(host.utsMode) && {
      ...(config.hostname !== '' && { hostname: config.hostname }),
      ...(config.domainname !== '' && { domainname: config.domainname }),
    }),
    mounts,
    process,
    ...(Object.keys(host.annotations).length > 0 && { annotations: { ...host.annotations } }),
    linux: {
      namespaces: containerNamespaces(host, input.namespaces),
      devices,
      cgroupsPath: cgroupsPath(input.id, host.cgroupParent, input.cgroup),
      resources: { ...ociResources(host, input.devices), devices: rules },
      ...(rootfsPropagation !== undefined && { rootfsPropagation }),
      ...(seccomp !== undefined && { seccomp }),
      sysctl: sysctls(input),
      ...paths(input),
    },
  };
}

function paths({ host }: SpecInput): Pick<OciSpec['linux'], 'maskedPaths' | 'readonlyPaths'> {
  if (host.privileged) return { maskedPaths: [], readonlyPaths: [] };
  return {
    maskedPaths: [...(host.maskedPaths ?? DEFAULT_MASKED_PATHS)],
    readonlyPaths: [...(host.readonlyPaths ?? DEFAULT_READONLY_PATHS)],
  };
}

/** An init makes sense only where the container has no init yet: in a pid namespace of its own. */
function initPathOf({ host, init }: SpecInput): string | undefined {
  if (host.pidMode !== '' || !(host.init ?? init.byDefault)) return undefined;
  if (init.path === undefined) throw conflict('exec: "docker-init": executable file not found in $PATH');
  return init.path;
}

function shmOf({ host, shmPath }: SpecInput): MountsInput['shm'] {
  if (host.ipcMode === 'none') return { kind: 'none' };
  if (shmPath !== undefined && host.ipcMode !== 'private' && host.ipcMode !== '') return { kind: 'bind', source: shmPath };
  if (isHostMode(host.ipcMode)) return { kind: 'bind', source: '/dev/shm' };
  if (isContainerMode(host.ipcMode)) throw invalid(`no /dev/shm to share with ${host.ipcMode}`);
  return { kind: 'own', size: host.shmSize };
}

/** Sockets for ping and low ports need no privilege in a network of the container's own; the user's settings win. */
function sysctls({ host, facts }: SpecInput): Record<string, string> {
  const own = isPrivateNetwork(host.networkMode);
  const result: Record<string, string> = {};
  if (own && facts.sysctlExists('net.ipv4.ping_group_range')) result['net.ipv4.ping_group_range'] = '0 2147483647';
  if (own && facts.sysctlExists('net.ipv4.ip_unprivileged_port_start')) result['net.ipv4.ip_unprivileged_port_start'] = '0';
  for (const [name, value] of Object.entries(host.sysctls)) {
    if (name.startsWith('net.') && isHostMode(host.networkMode)) {
      throw invalid(`sysctl "${name}" not allowed in host network namespace`);
    }
    if ((name.startsWith('fs.mqueue.') || name.startsWith('kernel.')) && isHostMode(host.ipcMode)) {
      throw invalid(`sysctl "${name}" is not allowed in the hosts ipc namespace`);
    }
    result[name] = value;
  }
  return result;
}

function seccompOf(input: SpecInput, security: SecurityOptions, capabilities: readonly string[]): OciSeccomp | undefined {
  const asked = security.seccompProfile;
  if (asked === 'unconfined' || (asked === '' && input.host.privileged)) return undefined;
  if (!input.facts.seccomp) {
    if (asked === '' || asked === 'builtin') return undefined;
    throw invalid('seccomp is not enabled in your kernel, cannot run a custom seccomp profile');
  }
  const byDaemon = asked === '' ? input.seccompProfile : undefined;
  if (byDaemon === 'unconfined') return undefined;
  const profile = asked === '' || asked === 'builtin' ? byDaemon ?? DEFAULT_SECCOMP_PROFILE : parseSeccompProfile(asked);
  return resolveSeccomp(profile, input.facts, capabilities);
}
