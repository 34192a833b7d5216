/** What a shim is told of its container: at a start, and when it takes the place of one that died. */
import type { HostConfig } from '../core/container/config.ts';
import { lineAttributes } from '../core/log/attributes.ts';
import type { LogSubject } from '../core/log/attributes.ts';
import { logDriverKind } from '../core/log/drivers.ts';
import { logFileOptions } from '../core/log/fileOptions.ts';
import type { ResolverSockets } from '../core/ports/names.ts';
import type { PortSocket } from '../core/ports/network.ts';
import type { ContainerShimSpec, ShimLogSpec } from '../core/ports/shim.ts';
import { cgroupPathOf } from './bundle.ts';
import type { Container } from './container.ts';
import { runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';
import { stopSignalOf, stopTimeoutMs } from './stop.ts';

/** What was opened for the shim to hold. */
export interface ShimHolds {
  sockets: readonly PortSocket[];
  /** On user-defined networks. */
  resolver?: ResolverSockets | undefined;
  /** The bundle has a health probe. */
  probe: boolean;
  /** How often it was restarted by then. */
  restartCount: number;
}

export async function shimSpec(ctx: EngineContext, container: Container, run: ShimHolds): Promise<ContainerShimSpec> {
  const { config, hostConfig } = container.record;
  const settings = ctx.settings();
  const target = runtimeTarget(ctx, container);
  const paths = ctx.store.paths(container.id);
  const cgroup = ctx.cgroups.directories(cgroupPathOf(ctx, container));
  const [rows, cols] = hostConfig.consoleSize;
  return {
    id: container.id,
    runtime: target.runtime,
    runtimeRoot: target.runtimeRoot,
    runtimeArgs: target.runtimeArgs ?? [],
    systemdCgroup: target.systemdCgroup ?? false,
    terminal: config.tty,
    ...(rows > 0 && cols > 0 ? { consoleSize: { rows, cols } } : {}),
    stdin: config.openStdin,
    stdinOnce: config.stdinOnce,
    pipeSize: settings.pipeSize,
    exitPath: paths.exit,
    journalPath: paths.journal,
    log: logSpec(hostConfig, { path: paths.log, subject: await logSubject(ctx, container) }),
    cgroup: { version: ctx.cgroups.version, memoryDir: cgroup.memory, procsDir: cgroup.procs },
    restart: hostConfig.restartPolicy,
    restartCount: run.restartCount,
    liveRestore: settings.liveRestore,
    stopSignal: stopSignalOf(container),
    stopTimeoutMs: stopTimeoutMs(ctx, container),
    ports: run.sockets.map((socket) => (socket.use === 'reserve' ? { kind: 'reserve', fd: socket.fd } : { kind: socket.use, fd: socket.fd, address: socket.address, port: socket.port })),
    ...(run.resolver === undefined ? {} : { holds: run.resolver.fds }),
    resolverFolder: ctx.names.revivedIn,
    ...(container.sandbox === null ? {} : { netns: { path: container.sandbox.netnsPath, keepLinks: container.sandbox.endpoints.map(({ link }) => link).filter((link) => link !== '') } }),
    ...(run.probe && config.healthcheck !== undefined ? { health: healthSpec(config.healthcheck) } : {}),
    shimCgroups: await ctx.cgroups.shimFolders(),
  };
}

const DEFAULT_HEALTH = { intervalMs: 30_000, timeoutMs: 30_000, startIntervalMs: 5000, retries: 3 };

/** Zero means Docker's default (engine-api A12). */
function healthSpec(health: NonNullable<Container['record']['config']['healthcheck']>): NonNullable<ContainerShimSpec['health']> {
  const ms = (ns: bigint, absent: number): number => (ns === 0n ? absent : Math.max(1, Number(ns / 1_000_000n)));
  return {
    processFile: 'health.json',
    intervalMs: ms(health.intervalNs, DEFAULT_HEALTH.intervalMs),
    timeoutMs: ms(health.timeoutNs, DEFAULT_HEALTH.timeoutMs),
    startPeriodMs: ms(health.startPeriodNs, 0),
    startIntervalMs: ms(health.startIntervalNs, DEFAULT_HEALTH.startIntervalMs),
    retries: health.retries === 0 ? DEFAULT_HEALTH.retries : health.retries,
  };
}

/** What a container's log messages say of it. */
export async function logSubject(ctx: EngineContext, { record }: Container): Promise<LogSubject> {
  const { hostname } = await ctx.host.info();
  const { labels, env, image } = record.config;
  return { id: record.id, name: record.name, imageId: record.imageId, imageName: image, hostname, command: [record.path, ...record.args], labels, env, createdNs: record.createdNs };
}

function logSpec(hostConfig: HostConfig, log: { path: string; subject: LogSubject }): ShimLogSpec {
  const { type, config } = hostConfig.logConfig;
  const kind = logDriverKind(type);
  if (kind === 'none') return { kind: 'none' };
  // A target is told by its forwarder; its spool has no need of them.
  const attrs = kind === 'target' ? undefined : lineAttributes(config, log.subject);
  return {
    kind: 'json-file',
    path: log.path,
    ...logFileOptions(type, config),
    ...(attrs === undefined ? {} : { attrs }),
  };
}
