/** What containers do to networks and volumes, as `docker events` tells it. */
import type { MountPoint } from '../core/container/mounts.ts';
import type { EndpointRecord } from '../core/ports/network.ts';
import type { VolumeRecord } from '../core/ports/volumes.ts';
import type { Container } from './container.ts';
import { publish } from './context.ts';
import type { EngineContext } from './context.ts';

export function publishNetwork(ctx: EngineContext, container: Container, what: { action: 'connect' | 'disconnect'; endpoint: EndpointRecord }): void {
  const network = ctx.network.list().find(({ id }) => id === what.endpoint.networkId);
  publish(ctx, {
    type: 'network',
    action: what.action,
    actorId: what.endpoint.networkId,
    attributes: { container: container.id, name: what.endpoint.networkName, type: network?.driver ?? 'bridge' },
  });
}

export function publishMount(ctx: EngineContext, container: Container, mount: MountPoint): void {
  publish(ctx, {
    type: 'volume',
    action: 'mount',
    actorId: mount.name,
    attributes: { container: container.id, destination: mount.destination, driver: mount.driver, propagation: mount.propagation, 'read/write': String(mount.rw) },
  });
}

export const publishUnmount = (ctx: EngineContext, container: Container, mount: MountPoint): void =>
  publish(ctx, { type: 'volume', action: 'unmount', actorId: mount.name, attributes: { container: container.id, driver: mount.driver } });

export const publishVolume = (ctx: EngineContext, record: VolumeRecord, action: 'create' | 'destroy'): void =>
  publish(ctx, { type: 'volume', action, actorId: record.name, attributes: { driver: record.driver } });
