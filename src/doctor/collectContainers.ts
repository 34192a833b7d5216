/** What there is of each container: its records, its shim, its process, what it holds. Nothing is changed and nothing throws. */
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, messageOf } from '../base/errors.ts';
import { mapLimit } from '../base/mutex.ts';
import { CONTAINER_SCHEMA } from '../core/container/record.ts';
import type { ContainerRecord } from '../core/container/record.ts';
import type { PublishedPort, Sandbox } from '../core/ports/network.ts';
import type { Liveness, Read, ShimPort, ShimStatus } from '../core/ports/shim.ts';
import { readSpecPipeSize } from '../shims/spec.ts';
import { parseContainer, parseView } from '../store/containerStore.ts';
import { peekRecord } from '../store/peek.ts';
import type { Peek } from '../store/peek.ts';
import { boundSockets } from '../sys/foreignSockets.ts';
import { mountTable } from '../sys/mountTable.ts';
import { isNetns } from '../sys/netns.ts';
import { isAlive } from './facts.ts';
import { logTargetFacts } from './collectLogTarget.ts';
import type { Condition, ContainerFacts, HostFacts, PortFacts } from './facts.ts';

const ID = /^[0-9a-f]{64}$/;
const AT_ONCE = 16;

export interface Roots {
  readonly dataRoot: string;
  readonly execRoot: string;
}

export interface Gathered extends Pick<HostFacts, 'strays' | 'quarantined' | 'listError'> {
  readonly containers: ContainerFacts[];
}

/** Looks at every container of both roots. */
export async function collectContainers(roots: Roots, shims: ShimPort): Promise<Gathered> {
  const recorded = await namesIn(path.join(roots.dataRoot, 'containers'));
  const present = await namesIn(path.join(roots.execRoot, 'containers'));
  const ids = recorded.names.filter((name) => ID.test(name));
  const known = new Set(ids);
  const mounted = new Set(mountTable().map(({ mountPoint }) => mountPoint));
  const containers = await mapLimit(ids, AT_ONCE, (id) => collectContainer(id, { roots, shims, mounted }));
  const strays = await mapLimit(present.names.filter((name) => ID.test(name) && !known.has(name)), AT_ONCE, async (id) => {
    const { shim, init } = await shims.liveness(path.join(roots.execRoot, 'containers', id));
    return { id, alive: shim !== 'gone' || init === 'alive' };
  });
  return { containers, strays, quarantined: await quarantinedBelow(roots.dataRoot, ids), listError: recorded.error === '' ? present.error : recorded.error };
}

/** A folder that is not there is empty. */
async function namesIn(folder: string): Promise<{ names: string[]; error: string }> {
  try {
    return { names: await readdir(folder), error: '' };
  } catch (error) {
    return { names: [], error: errnoOf(error) === 'ENOENT' ? '' : messageOf(error) };
  }
}

async function quarantinedBelow(dataRoot: string, ids: readonly string[]): Promise<string[]> {
  const folders = ['networks', 'volumes', ...ids.map((id) => path.join('containers', id))];
  const found = await mapLimit(folders, AT_ONCE, async (folder) => (await namesIn(path.join(dataRoot, folder))).names.filter((name) => /\.corrupt(\.\d+)?$/.test(name)).map((name) => path.join(folder, name)));
  return found.flat().toSorted();
}

interface Surroundings {
  readonly roots: Roots;
  readonly shims: ShimPort;
  /** Every mount point. */
  readonly mounted: ReadonlySet<string>;
}

async function collectContainer(id: string, { roots, shims, mounted }: Surroundings): Promise<ContainerFacts> {
  const dataDir = path.join(roots.dataRoot, 'containers', id);
  const execDir = path.join(roots.execRoot, 'containers', id);
  const [record, view, liveness] = await Promise.all([
    peekRecord(path.join(dataDir, 'config.json'), { schema: CONTAINER_SCHEMA, parse: (value) => parseContainer(value, id) }),
    peekRecord(path.join(dataDir, 'view.json'), { schema: 1, parse: parseView }),
    shims.liveness(execDir),
  ]);
  const shimStatus = liveness.status.kind === 'ok' ? liveness.status.value : undefined;
  const base = {
    id,
    name: record.kind === 'ok' ? record.value.name : '',
    desired: record.kind === 'ok' ? record.value.desired : undefined,
    storageDriver: record.kind === 'ok' ? record.value.storageDriver : '',
    createdNs: record.kind === 'ok' ? record.value.createdNs : 0n,
    launchedNs: record.kind === 'ok' ? (record.value.launchedNs ?? shimStatus?.startedAt ?? 0n) : 0n,
    record: conditionOf(record),
    view: conditionOf(view),
    status: conditionOfRead(liveness.status),
    shimStatus,
    shim: await shimOf(liveness, shimStatus),
    contract: liveness.contract,
    init: liveness.init,
    logTarget: record.kind === 'ok' ? await logTargetFacts(dataDir, record.value) : undefined,
  } satisfies Partial<ContainerFacts>;
  return { ...base, ...(isAlive(base) ? await holdings(execDir, { shimStatus, record, mounted }) : NOTHING_HELD) };
}

type Holdings = Pick<ContainerFacts, 'sandbox' | 'networks' | 'shimService' | 'pipeAsked' | 'netnsPinned' | 'rootfs' | 'ports'>;

const NO_PORTS: PortFacts = { wanted: [], missing: [], error: '' };
const NOTHING_HELD: Holdings = { sandbox: { kind: 'missing' }, networks: [], shimService: '', pipeAsked: undefined, netnsPinned: undefined, rootfs: undefined, ports: NO_PORTS };

interface Known {
  readonly shimStatus: ShimStatus | undefined;
  readonly record: Peek<ContainerRecord>;
  readonly mounted: ReadonlySet<string>;
}

/** What a container that lives needs the kernel and its shim to hold for it. */
async function holdings(execDir: string, { shimStatus, record, mounted }: Known): Promise<Holdings> {
  const read = await peekRecord(path.join(execDir, 'sandbox.json'), { schema: 1, parse: parseSandbox });
  const sandbox = read.kind === 'ok' ? read.value : undefined;
  const shimPid = shimStatus?.shimPid ?? 0;
  return {
    sandbox: conditionOf(read),
    networks: sandbox?.endpoints.map(({ networkName }) => networkName) ?? [],
    shimService: await serviceOf(shimPid),
    pipeAsked: await readSpecPipeSize(execDir),
    netnsPinned: sandbox === undefined ? undefined : isNetns(sandbox.netnsPath),
    rootfs: await rootfsOf(execDir, { record, mounted }),
    ports: { ...(await portsOf(sandbox?.ports ?? [], shimPid)), lost: (sandbox?.lost ?? []).map(({ proto, hostIp, hostPort }) => nameOf(proto, hostIp, hostPort)) },
  };
}

const conditionOf = (read: Peek<unknown>): Condition => (read.kind === 'ok' ? { kind: 'ok' } : read);

function conditionOfRead(read: Read<unknown>): Condition {
  switch (read.kind) {
    case 'ok':
    case 'missing':
      return { kind: read.kind };
    case 'problem':
      return { kind: read.problem === 'newer' || read.problem === 'unreadable' ? read.problem : 'damaged', reason: read.message };
  }
}

/** A shim that a signal stopped is told from one that hangs: the first is easily helped. */
async function shimOf({ shim }: Liveness, status: ShimStatus | undefined): Promise<ContainerFacts['shim']> {
  if (shim !== 'silent' || status === undefined) return shim;
  const stat = await textOf(`/proc/${status.shimPid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T') ? 'stopped' : shim;
}

/** The service (or login session) in whose cgroup a process lies, if any of its cgroups does. */
async function serviceOf(pid: number): Promise<string> {
  if (pid === 0) return '';
  return /\/([^/\n]+\.service|session-[^/\n]+\.scope)(?:\/|$)/m.exec(await textOf(`/proc/${pid}/cgroup`))?.[1] ?? '';
}

async function rootfsOf(execDir: string, { record, mounted }: Pick<Known, 'record' | 'mounted'>): Promise<ContainerFacts['rootfs']> {
  const found = /"root":\{"path":("(?:[^"\\]|\\.)*")/.exec(await textOf(path.join(execDir, 'config.json')))?.[1];
  if (found === undefined) return undefined;
  const rootfs: unknown = JSON.parse(found);
  if (typeof rootfs !== 'string') return undefined;
  const isPlain = record.kind === 'ok' && record.value.storageDriver === 'vfs';
  return { path: rootfs, mounted: isPlain ? existsSync(rootfs) : mounted.has(rootfs) };
}

async function portsOf(ports: readonly PublishedPort[], shimPid: number): Promise<PortFacts> {
  // Without kernel support an SCTP port is translated but not reserved.
  const wanted = ports.filter(({ proto, hostPort }) => proto !== 'sctp' && hostPort !== 0).map(({ proto, hostIp, hostPort }) => nameOf(proto, hostIp, hostPort));
  if (wanted.length === 0 || shimPid === 0) return { wanted, missing: wanted, error: '' };
  try {
    const held = new Set((await boundSockets(shimPid)).map(({ proto, address, port }) => nameOf(proto, address, port)));
    return { wanted, missing: wanted.filter((name) => !held.has(name)), error: '' };
  } catch (error) {
    // The shim has ended: then nothing is held.
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ESRCH') return { wanted, missing: wanted, error: '' };
    return { wanted, missing: [], error: messageOf(error) };
  }
}

const nameOf = (proto: string, address: string, port: number): string => `${proto} ${address.includes(':') ? `[${address}]` : address}:${port}`;

function parseSandbox(value: Record<string, unknown>): Sandbox & { schema: 1 } {
  if (typeof value['netnsPath'] !== 'string' || !Array.isArray(value['endpoints']) || !Array.isArray(value['ports'])) throw new Error('it is not a sandbox');
  return value as unknown as Sandbox & { schema: 1 };
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch {
    return '';
  }
}
