/** From a container's record to what the runtime and the shim are given. What has to be looked up is looked up here; `core/oci` builds. */
import { conflict } from '../base/errors.ts';
import { stringify } from '../base/json.ts';
import { cgroupsPath } from '../core/oci/cgroupsPath.ts';
import type { ContainerConfig } from '../core/container/config.ts';
import { containerOfMode, isContainerMode } from '../core/container/modes.ts';
import type { ExecRecord } from '../core/container/record.ts';
import { isLive, pidOf } from '../core/container/state.ts';
import { hostnameFile, hostsFile, resolvConf } from '../core/oci/etcFiles.ts';
import type { NamespacePaths } from '../core/oci/namespaces.ts';
import { execProcess, probeProcess } from '../core/oci/process.ts';
import type { ProcessInput } from '../core/oci/process.ts';
import { ociSpec } from '../core/oci/spec.ts';
import type { SpecInput } from '../core/oci/spec.ts';
import { resolveUser } from '../core/oci/user.ts';
import type { ResolvedUser } from '../core/oci/user.ts';
import type { Sandbox } from '../core/ports/network.ts';
import type { Container } from './container.ts';
import { layersOf } from './context.ts';
import type { EngineContext } from './context.ts';
import { shmFolder } from './giveBack.ts';
import { hostsOf, linkedEnv } from './hosts.ts';
import { readyMounts } from './mounts.ts';
import { resolvConfOf } from './names.ts';

const MAX_PASSWD_BYTES = 4 * 1024 * 1024;

/** Files of the bundle, and whether there is a probe to run. */
export interface Bundle {
  files: Record<string, string>;
  probe: boolean;
}

/** `linux.cgroupsPath` of a container: where it was started. */
export const cgroupPathOf = (ctx: EngineContext, container: Container): string => container.record.cgroupsPath ?? nextCgroupPath(ctx, container);

/** Where the options of the moment put it at its next start. */
export const nextCgroupPath = (ctx: EngineContext, container: Container): string =>
  cgroupsPath(container.id, container.record.hostConfig.cgroupParent, { driver: ctx.cgroups.driver, parent: ctx.settings().cgroupParent });

export async function buildBundle(ctx: EngineContext, container: Container, run: { rootfs: string; sandbox: Sandbox | null }): Promise<Bundle> {
  const { record } = container;
  const settings = ctx.settings();
  const processInput = await processInputOf(ctx, container, { rootfs: run.rootfs, user: record.config.user, links: true });
  const input: SpecInput = {
    ...processInput,
    id: container.id,
    args: [record.path, ...record.args],
    rootfs: run.rootfs,
    mounts: await readyMounts(ctx, container),
    etc: etcPaths(ctx, container),
    ...shmOf(ctx, container),
    namespaces: namespacesOf(ctx, container, run.sandbox),
    cgroup: { driver: ctx.cgroups.driver, parent: settings.cgroupParent },
    facts: ctx.host.facts(),
    devices: ctx.host.devices(),
    init: initOf(ctx),
    ...(settings.seccomp === 'builtin' ? {} : { seccompProfile: settings.seccomp }),
  };
  const probe = probeProcess(processInput);
  const files: Record<string, string> = { 'config.json': stringify(ociSpec(input)) };
  if (probe !== undefined) files['health.json'] = stringify(probe);
  await writeEtcFiles(ctx, container, run.sandbox);
  if (record.hostConfig.ipcMode === 'shareable') await ctx.host.mountShm(shmFolder(ctx, container), record.hostConfig.shmSize);
  return { files, probe: probe !== undefined };
}

function initOf(ctx: EngineContext): SpecInput['init'] {
  const { init, initPath } = ctx.settings();
  const path = initPath === '' ? ctx.host.initPath() : initPath;
  return { byDefault: init, ...(path === undefined ? {} : { path }) };
}

async function processInputOf(ctx: EngineContext, container: Container, root: { rootfs: string; user: string; links: boolean }): Promise<ProcessInput> {
  const { record } = container;
  const settings = ctx.settings();
  return {
    config: { ...record.config, ...namesOf(ctx, container) },
    host: record.hostConfig,
    user: await userOf(ctx, root.rootfs, { user: root.user, groups: record.hostConfig.groupAdd }),
    linkedEnv: root.links ? linkedEnv(ctx, container) : [],
    defaultUlimits: settings.defaultUlimits,
    noNewPrivilegesDefault: settings.noNewPrivileges,
    capabilities: ctx.host.facts().capabilities,
    maxNofile: ctx.host.facts().maxNofile,
  };
}

/** A container in another's network has the other's names too. */
function namesOf(ctx: EngineContext, container: Container): Pick<ContainerConfig, 'hostname' | 'domainname'> {
  const { networkMode } = container.record.hostConfig;
  const { hostname, domainname } = (isContainerMode(networkMode) ? peer(ctx, networkMode) : container).record.config;
  return { hostname, domainname };
}

/** Who a user's name or number is inside a root. */
export async function userOf(ctx: EngineContext, rootfs: string, who: { user: string; groups: string[] }): Promise<ResolvedUser> {
  const read = async (path: string): Promise<string> => (await ctx.host.readFileInRoot(rootfs, path, MAX_PASSWD_BYTES))?.toString('utf8') ?? '';
  return resolveUser(who.user, { passwd: await read('etc/passwd'), group: await read('etc/group') }, who.groups);
}

/** The process of an exec session, as JSON. */
export async function execProcessJson(ctx: EngineContext, container: Container, exec: ExecRecord): Promise<string> {
  const rootfs = await layersOf(ctx, container).mountRw(container.id);
  const user = exec.user === '' ? container.record.config.user : exec.user;
  const input = await processInputOf(ctx, container, { rootfs, user, links: false });
  const [height, width] = exec.consoleSize;
  return stringify(execProcess(input, {
    args: exec.cmd,
    env: exec.env,
    workingDir: exec.workingDir,
    privileged: exec.privileged,
    tty: exec.tty,
    ...(height > 0 && width > 0 ? { consoleSize: { height, width } } : {}),
  }));
}

/** A container whose network is another's has the other's files. */
function etcPaths(ctx: EngineContext, container: Container): { hosts?: string; hostname?: string; resolvConf?: string } {
  const { networkMode } = container.record.hostConfig;
  const owner = isContainerMode(networkMode) ? peer(ctx, networkMode) : container;
  const { hosts, hostname, resolvConf: resolv } = ctx.store.paths(owner.id);
  return { hosts, hostname, resolvConf: resolv };
}

async function writeEtcFiles(ctx: EngineContext, container: Container, sandbox: Sandbox | null): Promise<void> {
  const { config, hostConfig } = container.record;
  if (isContainerMode(hostConfig.networkMode)) return;
  await ctx.store.writeEtc(container.id, {
    hosts: hostsFile(await hostsOf(ctx, container, sandbox)),
    hostname: hostnameFile(config.hostname),
    resolvConf: resolvConf(await resolvConfOf(ctx, container, sandbox)),
  });
}

function shmOf(ctx: EngineContext, container: Container): { shmPath?: string } {
  const { ipcMode } = container.record.hostConfig;
  if (ipcMode === 'shareable') return { shmPath: shmFolder(ctx, container) };
  if (isContainerMode(ipcMode)) return { shmPath: shmFolder(ctx, peer(ctx, ipcMode)) };
  return {};
}

function namespacesOf(ctx: EngineContext, container: Container, sandbox: Sandbox | null): NamespacePaths {
  const { networkMode, ipcMode, pidMode } = container.record.hostConfig;
  const network = isContainerMode(networkMode) ? ctx.store.paths(livePeer(ctx, networkMode).id).netns : sandbox?.netnsPath;
  return {
    ...(network === undefined ? {} : { network }),
    ...(isContainerMode(ipcMode) ? { ipc: `/proc/${pidOf(livePeer(ctx, ipcMode).state)}/ns/ipc` } : {}),
    ...(isContainerMode(pidMode) ? { pid: `/proc/${pidOf(livePeer(ctx, pidMode).state)}/ns/pid` } : {}),
  };
}

/** The container that a mode names (`container:x`). */
export function peer(ctx: EngineContext, mode: string): Container {
  return ctx.containers.resolve(containerOfMode(mode));
}

function livePeer(ctx: EngineContext, mode: string): Container {
  const other = peer(ctx, mode);
  if (!isLive(other.state) || other.state.kind === 'starting') throw conflict(`cannot join network of a non running container: ${other.id}`);
  if (other.state.kind === 'restarting') throw conflict(`Container ${other.id} is restarting, wait until the container is running`);
  return other;
}

