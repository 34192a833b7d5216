/** The composition root: builds the engine and the API from the configuration, and says how they end. */
import { readdirSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import type { RequestListener } from 'node:http';
import path from 'node:path';
import { archiveRoutes } from '../api/archive.ts';
import { buildRoutes } from '../api/build.ts';
import { containerRoutes } from '../api/containers.ts';
import { containerStreamRoutes } from '../api/containerStreams.ts';
import { eventRoutes } from '../api/events.ts';
import { execRoutes } from '../api/exec.ts';
import { imageRoutes } from '../api/images.ts';
import { networkRoutes } from '../api/networks.ts';
import { pingRoutes } from '../api/ping.ts';
import { pluginRoutes } from '../api/plugins.ts';
import { createRouter } from '../api/router.ts';
import type { RouteMatch } from '../api/router.ts';
import { apiHandler } from '../api/server.ts';
import { swarmRoutes } from '../api/swarm.ts';
import { systemRoutes } from '../api/system.ts';
import { traceRoutes } from '../api/trace.ts';
import { volumeRoutes } from '../api/volumes.ts';
import { systemClock } from '../base/clock.ts';
import { invalid, isKind, messageOf } from '../base/errors.ts';
import { newId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { startStep } from '../base/trace.ts';
import { isRunning } from '../core/container/snapshot.ts';
import { otherDrivers } from '../core/container/otherDrivers.ts';
import type { Reloaded } from '../core/options/configure.ts';
import type { Elder } from '../core/options/reach.ts';
import type { Config } from '../core/options/table.ts';
import type { EngineSettings } from '../core/settings.ts';
import { Containers } from '../engine/containers.ts';
import { attachedTo, connectContainer, disconnectContainer } from '../engine/connect.ts';
import type { EngineContext } from '../engine/context.ts';
import { isKnownExec } from '../engine/exec.ts';
import { imageUses } from '../engine/query.ts';
import { collectImages } from '../engine/removal.ts';
import { clearLayers, restoreContainers } from '../engine/restore.ts';
import { applyLiveRestore, shutdownContainers } from '../engine/shutdown.ts';
import { Images } from '../image/images.ts';
import { Archive } from '../layers/archive.ts';
import { Forwarding } from '../logs/forward/forwarding.ts';
import { jsonFileLogs } from '../logs/reader.ts';
import { Names } from '../dns/names.ts';
import { Network } from '../net/network.ts';
import { Cgroups } from '../runtime/cgroups.ts';
import { ociRuntime } from '../runtime/ociRuntime.ts';
import { createShims } from '../shims/shims.ts';
import { ContainerStore } from '../store/containerStore.ts';
import { EventLog } from '../store/eventLog.ts';
import { detectCgroups } from '../sys/cgroup.ts';
import { goArch } from '../sys/hostFacts.ts';
import { Volumes } from '../volume/volumes.ts';
import { engineId } from './engineId.ts';
import { OptionWatch } from './optionNotes.ts';
import { createHost } from './host.ts';
import { openLayers } from './openLayers.ts';
import { reloadEvent } from './reloadEvent.ts';
import { resolverCommand, resolverUnit } from './resolverCommand.ts';
import { runtimeVersion } from './runtimeVersion.ts';
import { engineSettings, netConfig, registryOptions, ulaBitsOf } from './settings.ts';
import { shimPath } from './shimPath.ts';
import { COMMIT, VERSION } from './version.ts';

export interface Shutdown {
  /** The host goes down: containers are stopped whatever live restore says, and the right ones start again after boot. */
  readonly hostDown: boolean;
}

export interface Daemon {
  readonly handler: RequestListener;
  /** Applies a configuration that is known to be valid. What it throws is logged; the configuration counts all the same. */
  reload(reloaded: Reloaded): void | Promise<void>;
  /** Lets go. Clients are gone already; the process ends when this is done. */
  shutdown(how: Shutdown): Promise<void>;
}

/** What was found out of the roots. */
export interface RootsFound {
  /** Options that changed and wait, one line each. */
  readonly pending: readonly string[];
  /** The data root has another path than when its running containers were started. */
  readonly moved: boolean;
}

/** Everything that has to be there before a request is answered. */
export async function compose(given: Config, logger: Logger, { pending, moved }: RootsFound): Promise<Daemon> {
  // The runtime takes no root filesystem that is behind a symbolic link.
  const config = { ...given, dataRoot: await realpath(given.dataRoot) };
  const { dataRoot, execRoot } = config;
  const id = await engineId(dataRoot);
  const network = new Network({ directory: path.join(dataRoot, 'networks'), config: netConfig(config), logger, clock: systemClock, newId, ulaBits: ulaBitsOf(id) });
  network.look();
  startStep('program loaded');
  const layers = await openLayers(config, logger);
  startStep('layers');
  const [driver] = layers.keys();
  const primary = layers.get(driver ?? '');
  if (driver === undefined || primary === undefined) throw invalid('no storage driver can be used on this host');
  let settings: EngineSettings = engineSettings(config, driver);
  const options = await OptionWatch.open(config, { logger, clock: systemClock });
  const trees = detectCgroups();
  startStep('cgroups');
  const events = await EventLog.open(dataRoot, { clock: systemClock, logger });
  startStep('event log');
  const images = await Images.open({
    dataRoot,
    layers: primary,
    clock: systemClock,
    logger,
    registry: registryOptions(config, VERSION),
    events,
  });
  startStep('images');
  const host = createHost(trees);
  startStep('host');
  const cgroups = new Cgroups({ trees, driver: settings.cgroupDriver });
  const names = new Names({ folder: path.join(execRoot, 'dns'), command: resolverCommand(), cgroups: () => cgroups.shimFolders(), version: `${VERSION}-${COMMIT}`, unit: resolverUnit(execRoot), logger });
  const ctx: EngineContext = {
    containers: new Containers(),
    store: await ContainerStore.open(dataRoot, execRoot),
    images,
    layers,
    archive: new Archive(path.join(dataRoot, 'tmp')),
    network,
    names,
    volumes: await Volumes.open({ root: path.join(dataRoot, 'volumes'), clock: systemClock, logger }),
    shims: createShims({ shim: shimPath() }),
    runtime: ociRuntime,
    logs: jsonFileLogs,
    forward: new Forwarding(logger),
    cgroups,
    host,
    events,
    clock: systemClock,
    logger,
    settings: () => settings,
    pending: () => [...pending, ...network.pending(), ...otherDrivers(driver, ctx.containers.all().map(({ record }) => record.storageDriver)), ...options.lines(runningElders(ctx))],
  };
  startStep('volumes');
  const restored = await restoreContainers(ctx, { moved });
  for (const line of ctx.pending()) logger.warn(line);
  const tidied = tidy(ctx).catch((error: unknown) => logger.error('what an earlier daemon left half done could not be cleared away', { error: messageOf(error) }));
  void Promise.all([restored.behind(), tidied])
    .then(() => restored.later())
    .catch((error: unknown) => logger.error('restoring containers ended early', { error: messageOf(error) }));

  const router = createRouter([
    ...traceRoutes(),
    ...pingRoutes({ swarmState: () => 'inactive' }),
    ...systemRoutes({
      ctx,
      engineId: id,
      versionFacts: { version: VERSION, commit: COMMIT, node: process.version, host: await host.info(), goArch: goArch() },
      runtime: () => runtimeVersion(settings),
      listeners: () => events.listeners,
      descriptors: () => readdirSync('/proc/self/fd').length,
    }),
    ...containerRoutes(ctx),
    ...containerStreamRoutes(ctx),
    ...archiveRoutes(ctx),
    ...execRoutes(ctx),
    ...eventRoutes(ctx),
    ...volumeRoutes(ctx),
    ...pluginRoutes(),
    ...buildRoutes(),
    ...swarmRoutes(),
    ...networkRoutes({
      networks: network,
      clock: systemClock,
      attached: (networkId) => attachedTo(ctx, networkId),
      connect: async (container, record, request) => connectContainer(ctx, await ctx.containers.restored(container), { network: record, request }),
      disconnect: async (container, record, { force }) => disconnectContainer(ctx, await ctx.containers.restored(container), { network: record, force }),
      telling: events.telling.bind(events),
    }),
    ...imageRoutes({ images, clock: systemClock, driver, uses: () => imageUses(ctx) }),
  ]);
  return {
    handler: apiHandler({ router, logger, version: VERSION, experimental: config.experimental, settled: (match) => settled(ctx, match, tidied) }),
    async reload({ config: next, changed, pending: waiting }) {
      settings = engineSettings({ ...next, dataRoot: config.dataRoot }, driver);
      images.configure(registryOptions(next, VERSION));
      await options.reload({ ...next, dataRoot: config.dataRoot, execRoot: config.execRoot }, waiting);
      if (changed.includes('liveRestore')) await applyLiveRestore(ctx);
      events.publish(reloadEvent({ id, name: (await host.info()).hostname, config: next, timeNs: systemClock.nowNs() }));
    },
    async shutdown(how) {
      await shutdownContainers(ctx, how);
      names[Symbol.dispose]();
      await ctx.forward.close();
      await events.close();
    },
  };
}

/** Containers that run, with the times that say which options they were made and started with. */
const runningElders = (ctx: EngineContext): Elder[] =>
  ctx.containers.all().filter(isRunning).map(({ record, view }) => ({ createdNs: record.createdNs, launchedNs: record.launchedNs ?? view.facts.startedNs }));

/** What crashes left: blobs and layers of no image, layers of no container. */
async function tidy(ctx: EngineContext): Promise<void> {
  await ctx.images.recover();
  await clearLayers(ctx);
  await collectImages(ctx);
}

/** Before a request is handled that does more than look: the start has tidied up, and is through with the container. */
async function settled(ctx: EngineContext, { route, params }: RouteMatch, tidied: Promise<void>): Promise<void> {
  if (route.early === true) return;
  await tidied;
  const { id } = params;
  if (id === undefined) return;
  if (route.pattern.startsWith('/containers/')) await ctx.containers.restored(id).catch(unlessMissing);
  if (route.pattern.startsWith('/exec/') && !isKnownExec(ctx, id)) await Promise.all(ctx.containers.all().map((container) => container.whenRestored()));
}

/** What does not exist is the handler's to say, in the words of its route. */
function unlessMissing(error: unknown): void {
  if (!isKind(error, 'not-found')) throw error;
}
