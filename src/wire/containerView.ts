/** How a container is shown: `GET /containers/json` and `GET /containers/{id}/json` at API 1.51 (engine-api A8, A9). */
import { rfc3339Nano } from '../base/clock.ts';
import { shortId } from '../base/ids.ts';
import { healthOf, isRunning, statusOf } from '../core/container/snapshot.ts';
import type { ContainerDetails, ContainerSnapshot } from '../core/container/snapshot.ts';
import { isUserDefinedNetwork } from '../core/container/modes.ts';
import type { EndpointRequest } from '../core/container/config.ts';
import type { MountPoint } from '../core/container/mounts.ts';
import { pidOf } from '../core/container/state.ts';
import type { EndpointRecord, PublishedPort } from '../core/ports/network.ts';
import { ContainerConfigCodec, HostConfigCodec } from './containerConfig.ts';
import { humanDuration } from './humanDuration.ts';

/** The text of `docker ps`, such as `Up 3 minutes (healthy)` or `Exited (0) 2 hours ago`. */
export function statusText(snapshot: ContainerSnapshot, nowNs: bigint): string {
  const { facts } = snapshot.view;
  const since = (ns: bigint): string => humanDuration(nowNs - ns);
  const { state } = snapshot;
  switch (statusOf(snapshot)) {
    case 'running': {
      if (state.kind === 'broken') return `Up ${since(facts.startedNs)} (${state.reason})`;
      const health = healthOf(snapshot);
      const suffix = health === 'none' ? '' : health === 'starting' ? ' (health: starting)' : ` (${health})`;
      return `Up ${since(facts.startedNs)}${suffix}`;
    }
    case 'paused':
      return `Up ${since(facts.startedNs)} (Paused)`;
    case 'restarting':
      return `Restarting (${snapshot.exitCode}) ${since(facts.finishedNs)} ago`;
    case 'removing':
      return 'Removal In Progress';
    case 'dead':
      return state.kind === 'broken' ? `Dead (${state.reason})` : 'Dead';
    case 'created':
      return 'Created';
    case 'exited':
      return facts.finishedNs === 0n ? `Exited (${snapshot.exitCode})` : `Exited (${snapshot.exitCode}) ${since(facts.finishedNs)} ago`;
  }
}

export interface ListOptions {
  nowNs: bigint;
  sizes: { rw: number; rootFs: number } | null;
  networkIds: ReadonlyMap<string, string>;
  /** How the image is shown: its name, or its id if the name no longer means it. */
  image: string;
}

export function listItem(snapshot: ContainerSnapshot, options: ListOptions): unknown {
  const { record } = snapshot;
  return {
    Id: record.id,
    Names: [`/${record.name}`],
    Image: options.image,
    ImageID: record.imageId,
    Command: commandText(record.path, record.args),
    Created: Number(record.createdNs / 1_000_000_000n),
    Ports: listPorts(snapshot),
    ...(options.sizes === null ? {} : sizeFields(options.sizes)),
    Labels: record.config.labels,
    State: statusOf(snapshot),
    Status: statusText(snapshot, options.nowNs),
    HostConfig: { NetworkMode: record.hostConfig.networkMode },
    NetworkSettings: { Networks: networks(snapshot, options.networkIds) },
    Mounts: record.mounts.map(mountView),
  };
}

/** Docker leaves out a size of zero. */
const sizeFields = (sizes: { rw: number; rootFs: number }): Record<string, number> => ({
  ...(sizes.rw > 0 ? { SizeRw: sizes.rw } : {}),
  ...(sizes.rootFs > 0 ? { SizeRootFs: sizes.rootFs } : {}),
});

/** The command line as `docker ps` shows it: words with spaces in single quotes. */
export function commandText(path: string, args: readonly string[]): string {
  const shown = args.map((arg) => (arg.includes(' ') ? `'${arg}'` : arg));
  return [path, ...shown].join(' ');
}

function listPorts(snapshot: ContainerSnapshot): unknown[] {
  if (!isRunning(snapshot)) return [];
  // A routed port has none of the host's: it is shown as what it is, exposed.
  const published = (snapshot.sandbox?.ports ?? []).filter(({ hostPort }) => hostPort !== 0).map((port) => ({ IP: port.hostIp, PrivatePort: port.containerPort, PublicPort: port.hostPort, Type: port.proto }));
  const exposed = snapshot.record.config.exposedPorts.flatMap((text) => {
    const [port = '', proto = 'tcp'] = text.split('/');
    const taken = published.some((each) => each.PrivatePort === Number(port) && each.Type === proto);
    return taken ? [] : [{ PrivatePort: Number(port), Type: proto }];
  });
  return [...exposed, ...published];
}

export interface InspectOptions {
  /** Until API 1.44 the short id and the hostname stand among a container's aliases on user-defined networks. */
  readonly idAliases: boolean;
}

export function inspectView(snapshot: ContainerSnapshot, details: ContainerDetails, options: InspectOptions = { idAliases: false }): unknown {
  const { record, paths } = snapshot;
  return {
    Id: record.id,
    Created: rfc3339Nano(record.createdNs),
    Path: record.path,
    Args: record.args,
    State: stateView(snapshot, details),
    Image: record.imageId,
    ResolvConfPath: paths.resolvConf,
    HostnamePath: paths.hostname,
    HostsPath: paths.hosts,
    LogPath: record.hostConfig.logConfig.type === 'json-file' ? paths.log : '',
    Name: `/${record.name}`,
    RestartCount: snapshot.view.facts.restartCount,
    Driver: record.storageDriver,
    Platform: 'linux',
    MountLabel: '',
    ProcessLabel: '',
    AppArmorProfile: '',
    ExecIDs: snapshot.execIds.length === 0 ? null : snapshot.execIds,
    HostConfig: HostConfigCodec.encode(record.hostConfig),
    GraphDriver: { Data: null, Name: record.storageDriver },
    ...(details.sizes === null ? {} : { SizeRw: details.sizes.rw, SizeRootFs: details.sizes.rootFs }),
    Mounts: record.mounts.map(mountView),
    Config: ContainerConfigCodec.encode(record.config),
    NetworkSettings: networkSettings(snapshot, details.networkIds, options.idAliases ? [shortId(record.id), record.config.hostname] : []),
  };
}

function stateView(snapshot: ContainerSnapshot, details: ContainerDetails): unknown {
  const { state, view, record } = snapshot;
  const status = statusOf(snapshot);
  const health = healthOf(snapshot);
  const error = state.kind === 'broken' ? state.reason : (record.startFailure?.message ?? view.facts.error);
  return {
    Status: status,
    Running: isRunning(snapshot),
    Paused: status === 'paused',
    Restarting: status === 'restarting',
    OOMKilled: view.facts.oomKilled,
    Dead: status === 'dead',
    Pid: pidOf(state),
    ExitCode: isRunning(snapshot) && status !== 'restarting' ? 0 : snapshot.exitCode,
    Error: error,
    StartedAt: rfc3339Nano(view.facts.startedNs),
    FinishedAt: rfc3339Nano(view.facts.finishedNs),
    ...(health === 'none' ? {} : {
      Health: {
        Status: health,
        FailingStreak: details.healthStreak,
        Log: details.probes.map((probe) => ({ Start: rfc3339Nano(probe.start), End: rfc3339Nano(probe.end), ExitCode: probe.exitCode, Output: probe.output })),
      },
    }),
  };
}

function mountView(mount: MountPoint): unknown {
  return {
    Type: mount.type,
    ...(mount.name === '' ? {} : { Name: mount.name }),
    Source: mount.source,
    Destination: mount.destination,
    ...(mount.driver === '' ? {} : { Driver: mount.driver }),
    Mode: mount.mode,
    RW: mount.rw,
    Propagation: mount.propagation,
  };
}

function networkSettings(snapshot: ContainerSnapshot, networkIds: ReadonlyMap<string, string>, idAliases: readonly string[]): unknown {
  const { sandbox } = snapshot;
  const running = isRunning(snapshot);
  // The flat fields speak of the default bridge alone (removed in API 1.52).
  const flat = running ? sandbox?.endpoints.find((endpoint) => endpoint.networkName === 'bridge') : undefined;
  return {
    Bridge: '',
    SandboxID: running && sandbox !== null ? snapshot.record.id : '',
    SandboxKey: running && sandbox !== null ? sandbox.netnsPath : '',
    Ports: running ? inspectPorts(snapshot) : {},
    HairpinMode: false,
    LinkLocalIPv6Address: '',
    LinkLocalIPv6PrefixLen: 0,
    SecondaryIPAddresses: null,
    SecondaryIPv6Addresses: null,
    EndpointID: flat?.id ?? '',
    Gateway: flat?.gateway4 ?? '',
    GlobalIPv6Address: flat?.ipv6 ?? '',
    GlobalIPv6PrefixLen: flat?.ipv6PrefixLength ?? 0,
    IPAddress: flat?.ipv4 ?? '',
    IPPrefixLen: flat?.ipv4PrefixLength ?? 0,
    IPv6Gateway: flat?.gateway6 ?? '',
    MacAddress: flat?.macAddress ?? '',
    Networks: networks(snapshot, networkIds, idAliases),
  };
}

/** Published ports with their bindings; exposed ones that are not published have null. */
function inspectPorts(snapshot: ContainerSnapshot): Record<string, { HostIp: string; HostPort: string }[] | null> {
  const ports: Record<string, { HostIp: string; HostPort: string }[] | null> = {};
  for (const port of snapshot.record.config.exposedPorts) ports[port] = null;
  for (const port of snapshot.sandbox?.ports ?? []) (ports[portKey(port)] ??= []).push({ HostIp: port.hostIp, HostPort: port.hostPort === 0 ? '' : String(port.hostPort) });
  return ports;
}

const portKey = (port: PublishedPort): string => `${port.containerPort}/${port.proto}`;

function networks(snapshot: ContainerSnapshot, networkIds: ReadonlyMap<string, string>, idAliases: readonly string[] = []): Record<string, unknown> {
  const named = (name: string, request: EndpointRequest | undefined): EndpointRequest | undefined =>
    (request === undefined || !isUserDefinedNetwork(name) ? request : { ...request, aliases: [...new Set([...request.aliases, ...idAliases])] });
  const endpoints = isRunning(snapshot) ? (snapshot.sandbox?.endpoints ?? []) : [];
  if (endpoints.length > 0) return Object.fromEntries(endpoints.map((endpoint) => [endpoint.networkName, endpointView(named(endpoint.networkName, endpoint.request), endpoint)]));
  const { networkMode } = snapshot.record.hostConfig;
  if (networkMode.startsWith('container:')) return {};
  const names = Object.keys(snapshot.record.networks);
  const shown = names.length > 0 ? names : [networkMode === 'default' || networkMode === '' ? 'bridge' : networkMode];
  return Object.fromEntries(shown.map((name) => [name, endpointView(named(name, snapshot.record.networks[name]), undefined, networkIds.get(name))]));
}

function endpointView(request: EndpointRequest | undefined, endpoint: EndpointRecord | undefined, networkId = ''): unknown {
  const fixed = request !== undefined && (request.ipv4Address !== '' || request.ipv6Address !== '' || request.linkLocalIps.length > 0);
  return {
    IPAMConfig: fixed ? {
      ...(request.ipv4Address === '' ? {} : { IPv4Address: request.ipv4Address }),
      ...(request.ipv6Address === '' ? {} : { IPv6Address: request.ipv6Address }),
      ...(request.linkLocalIps.length === 0 ? {} : { LinkLocalIPs: request.linkLocalIps }),
    } : null,
    Links: orNull(request?.links),
    Aliases: orNull(request?.aliases),
    MacAddress: endpoint?.macAddress ?? request?.macAddress ?? '',
    DriverOpts: request === undefined || Object.keys(request.driverOpts).length === 0 ? null : request.driverOpts,
    GwPriority: request?.gwPriority ?? 0,
    NetworkID: endpoint?.networkId ?? networkId,
    EndpointID: endpoint?.id ?? '',
    Gateway: endpoint?.gateway4 ?? '',
    IPAddress: endpoint?.ipv4 ?? '',
    IPPrefixLen: endpoint?.ipv4PrefixLength ?? 0,
    IPv6Gateway: endpoint?.gateway6 ?? '',
    GlobalIPv6Address: endpoint?.ipv6 ?? '',
    GlobalIPv6PrefixLen: endpoint?.ipv6PrefixLength ?? 0,
    DNSNames: orNull(endpoint?.dnsNames),
  };
}

const orNull = (list: readonly string[] | undefined): readonly string[] | null => (list === undefined || list.length === 0 ? null : list);

