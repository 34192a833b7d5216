/** Gathers the facts of a host, with or without a daemon. Nothing is changed, and what cannot be known is a value. */
import { statfs } from 'node:fs/promises';
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import path from 'node:path';
import { messageOf } from '../base/errors.ts';
import type { Config } from '../core/options/table.ts';
import type { NetConfig } from '../core/network/config.ts';
import { dataVersionFile, parseDataVersion } from '../store/dataVersion.ts';
import { peekRecord } from '../store/peek.ts';
import { createShims } from '../shims/shims.ts';
import { detectCgroups } from '../sys/cgroup.ts';
import { parseRelease, readHostFacts } from '../sys/hostFacts.ts';
import { findExecutable } from '../sys/hostInfo.ts';
import { lockHolder } from '../sys/lockHolder.ts';
import { mountOf, mountTable } from '../sys/mountTable.ts';
import { run } from '../sys/spawn.ts';
import { collectContainers } from './collectContainers.ts';
import { isConfined, unitFacts } from './collectUnit.ts';
import { isAlive } from './facts.ts';
import type { ConfigFacts, Facts, HostFacts, KernelSummary, PendingRoot, ProgramFacts, RootFacts, ShimProgramFacts } from './facts.ts';
import { networkChanges } from './networkChanges.ts';
import { optionChanges } from './optionChanges.ts';

const PROGRAM_TIMEOUT_MS = 5000;

/** What the composition root knows and this room may not ask for itself. */
export interface Subject {
  /** Its roots are those in use, without symlinks. */
  readonly config: Config;
  /** Why the configuration file cannot be used, or empty; then `config` has the defaults and the flags. */
  readonly configError: string;
  readonly flagsOf: ConfigFacts['flagsOf'];
  /** Empty: the program was not found. */
  readonly shimPath: string;
  readonly netConfig: NetConfig;
  /** Roots that the options name and that have to wait for those in use, which are `config`'s. */
  readonly pendingRoots: readonly PendingRoot[];
}

export async function collect(subject: Subject): Promise<Facts> {
  const { config } = subject;
  const roots = { dataRoot: config.dataRoot, execRoot: config.execRoot };
  const [gathered, dataRoot, execRoot, unit, nft, runtime, shim] = await Promise.all([
    collectContainers(roots, createShims({ shim: subject.shimPath })),
    rootFacts(roots.dataRoot),
    rootFacts(roots.execRoot),
    unitFacts(roots.execRoot),
    programFacts('nft'),
    runtimeFacts(config),
    shimFacts(subject.shimPath),
  ]);
  const { containers, ...found } = gathered;
  const daemonPid = holderOf(roots.dataRoot);
  return {
    containers,
    host: {
      ...found,
      privileged: process.geteuid?.() === 0,
      daemonPid,
      daemonConfined: isConfined(daemonPid),
      dataFormat: await dataFormat(roots.dataRoot),
      resolverPid: holderOf(path.join(roots.execRoot, 'dns')),
      config: {
        file: config.configFile,
        error: subject.configError,
        liveRestore: config.liveRestore,
        pipeSize: config.logPipeSize,
        storageDriver: config.storageDriver,
        filters: config.iptables || config.ip6tables,
        flagsOf: subject.flagsOf,
      },
      dataRoot,
      execRoot,
      pendingRoots: subject.pendingRoots,
      unit,
      kernel: kernelSummary(),
      nft,
      runtime,
      shim,
      networkChanges: await networkChanges(roots.dataRoot, subject.netConfig),
      optionChanges: await optionChanges(config, containers.filter(isAlive)),
      defaultNetworkUsed: containers.some((container) => isAlive(container) && container.networks.includes('bridge')),
    },
  };
}

/** The process that has a folder's `lock`: a daemon its roots, the resolver its own. 0 if none has, or it cannot be known. */
export function holderOf(folder: string): number {
  try {
    return lockHolder(path.join(folder, 'lock')) ?? 0;
  } catch {
    return 0;
  }
}

async function dataFormat(dataRoot: string): Promise<HostFacts['dataFormat']> {
  const read = await peekRecord(dataVersionFile(dataRoot), { schema: Infinity, parse: parseDataVersion });
  if (read.kind === 'ok') return { condition: { kind: 'ok' }, schema: read.value.schema, release: read.value.release };
  return { condition: read, schema: 0, release: '' };
}

async function rootFacts(root: string): Promise<RootFacts> {
  let there = root;
  while (!existsSync(there) && there !== path.dirname(there)) there = path.dirname(there);
  const { bavail, blocks, bsize, ffree, files } = await statfs(there, { bigint: true });
  const mount = mountOf(there, mountTable());
  return {
    path: root,
    exists: there === root,
    type: mount?.type ?? '',
    readOnly: mount?.readOnly ?? false,
    freeBytes: bavail * bsize,
    totalBytes: blocks * bsize,
    freeInodes: ffree,
    totalInodes: files,
  };
}

async function programFacts(name: string): Promise<ProgramFacts> {
  const found = name === '' ? undefined : findExecutable(name);
  if (found === undefined) return { path: '', version: '', error: '' };
  try {
    const { code, stdout, stderr } = await run([found, '--version'], { timeoutMs: PROGRAM_TIMEOUT_MS });
    const version = stdout.split('\n')[0]?.trim() ?? '';
    return { path: found, version, error: code === 0 ? '' : stderr.trim() || `it ended with ${code}` };
  } catch (error) {
    return { path: found, version: '', error: messageOf(error) };
  }
}

async function runtimeFacts(config: Config): Promise<ProgramFacts & { name: string }> {
  const name = config.defaultRuntime;
  const wanted = config.runtimes[name]?.path ?? (name === 'runc' ? 'runc' : '');
  const facts = await programFacts(wanted);
  return { ...facts, name, version: /version (\S+)/.exec(facts.version)?.[1] ?? facts.version };
}

async function shimFacts(shimPath: string): Promise<ShimProgramFacts> {
  const facts = await programFacts(shimPath);
  const said = /^moored-shim (\S+) contract (\S+)$/.exec(facts.version);
  return { ...facts, version: said?.[1] ?? facts.version, contract: said?.[2] ?? '' };
}

const PIDFD_SINCE = { major: 5, minor: 3 };

function kernelSummary(): KernelSummary {
  const { major, minor } = parseRelease(release());
  return {
    release: release(),
    overlay: /\boverlay$/m.test(textOf('/proc/filesystems')),
    seccomp: readHostFacts().seccomp,
    pidfd: major > PIDFD_SINCE.major || (major === PIDFD_SINCE.major && minor >= PIDFD_SINCE.minor),
    cgroupVersion: detectCgroups().version,
    pipeMaxSize: Number(textOf('/proc/sys/fs/pipe-max-size')),
  };
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
