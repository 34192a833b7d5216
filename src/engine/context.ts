/** What every verb works with: the ports, the containers, the options of the moment. Made once, by the composition root. */
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import type { EngineEvent } from '../core/events.ts';
import type { CgroupPort } from '../core/ports/cgroup.ts';
import type { ContainerStorePort } from '../core/ports/containerStore.ts';
import type { EventLogPort } from '../core/ports/eventLog.ts';
import type { HostPort } from '../core/ports/host.ts';
import type { ImagePort } from '../core/ports/images.ts';
import type { ArchivePort, LayerPort } from '../core/ports/layers.ts';
import type { LogPort } from '../core/ports/logs.ts';
import type { LogForwardPort } from '../core/ports/logTargets.ts';
import type { NamesPort } from '../core/ports/names.ts';
import type { NetworkPort } from '../core/ports/network.ts';
import type { RuntimePort, RuntimeTarget } from '../core/ports/runtime.ts';
import type { OwnEvent } from '../core/ports/telling.ts';
import type { ShimPort } from '../core/ports/shim.ts';
import type { VolumePort } from '../core/ports/volumes.ts';
import { attributesOf } from '../core/container/view.ts';
import type { EventSubject } from '../core/container/view.ts';
import type { EngineSettings } from '../core/settings.ts';
import { internal } from '../base/errors.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';

export interface EngineContext {
  readonly containers: Containers;
  readonly store: ContainerStorePort;
  readonly images: ImagePort;
  /** The configured driver first; containers of another one stay with theirs. */
  readonly layers: ReadonlyMap<string, LayerPort>;
  readonly archive: ArchivePort;
  readonly network: NetworkPort;
  readonly names: NamesPort;
  readonly volumes: VolumePort;
  readonly shims: ShimPort;
  readonly runtime: RuntimePort;
  readonly logs: LogPort;
  readonly forward: LogForwardPort;
  readonly cgroups: CgroupPort;
  readonly host: HostPort;
  readonly events: EventLogPort;
  readonly clock: Clock;
  readonly logger: Logger;
  settings(): EngineSettings;
  /** Options that changed but wait for running containers (continuity S6), one line each. */
  pending(): string[];
}

/** The storage driver that holds a container's writable layer. */
export function layersOf(ctx: EngineContext, container: Container): LayerPort {
  const driver = ctx.layers.get(container.record.storageDriver);
  if (driver === undefined) throw internal(`container ${container.id} needs the storage driver ${container.record.storageDriver}, which is not to be had on this host`);
  return driver;
}

/** How the OCI runtime is called for a container. */
export function runtimeTarget(ctx: EngineContext, container: Container): RuntimeTarget {
  const settings = ctx.settings();
  const name = container.record.hostConfig.runtime === '' ? settings.defaultRuntime : container.record.hostConfig.runtime;
  // One that is not configured any more: whatever it was, runc can mostly manage what it left.
  const runtime = settings.runtimes[name] ?? settings.runtimes['runc'] ?? { path: 'runc', args: [] };
  return {
    id: container.id,
    runtime: runtime.path,
    runtimeRoot: `${settings.execRoot}/runtime-${name}`,
    runtimeArgs: runtime.args,
    systemdCgroup: isSystemdPath(container.record.cgroupsPath) ?? settings.cgroupDriver === 'systemd',
  };
}

/** The driver that a container was started with shows in its path; undefined before the first start. */
const isSystemdPath = (cgroupsPath: string | undefined): boolean | undefined => cgroupsPath?.includes(':');

/** Publishes an event that the daemon itself is the source of. */
export function publish(ctx: EngineContext, event: Omit<EngineEvent, 'timeNs'>): void {
  ctx.events.publish({ ...event, timeNs: ctx.clock.nowNs() });
}

export function publishContainer(ctx: EngineContext, subject: EventSubject, action: string, more: Record<string, string> = {}): void {
  publish(ctx, containerEvent(subject, action, more));
}

export const containerEvent = (subject: EventSubject, action: string, more: Record<string, string> = {}): OwnEvent =>
  ({ type: 'container', action, actorId: subject.id, attributes: { ...attributesOf(subject), ...more } });
