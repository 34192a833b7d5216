/** What containers do to networks and volumes, as `docker events` tells it. */
import { newId } from '../base/ids.ts';
import { ANONYMOUS_LABEL } from '../core/container/mounts.ts';
import type { MountPoint } from '../core/container/mounts.ts';
import type { EndpointRecord } from '../core/ports/network.ts';
import type { VolumeRecord } from '../core/ports/volumes.ts';
import type { Container } from './container.ts';
import type { OwnEvent } from '../core/ports/telling.ts';
import { publish } from './context.ts';
import type { EngineContext } from './context.ts';

type Endpoint = Pick<EndpointRecord, 'networkId' | 'networkName'>;

export const publishNetwork = (ctx: EngineContext, container: Container, what: { action: 'connect' | 'disconnect'; endpoint: Endpoint }): void =>
  publish(ctx, endpointEvent(ctx, container, what));

export function endpointEvent(ctx: EngineContext, container: Container, what: { action: 'connect' | 'disconnect'; endpoint: Endpoint }): OwnEvent {
  const network = ctx.network.list().find(({ id }) => id === what.endpoint.networkId);
  return {
    type: 'network',
    action: what.action,
    actorId: what.endpoint.networkId,
    attributes: { container: container.id, name: what.endpoint.networkName, type: network?.driver ?? 'bridge' },
  };
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

/** Makes a volume, or gives the one that there is, which is not told. */
export async function createVolume(ctx: EngineContext, request: Parameters<EngineContext['volumes']['create']>[0]): Promise<VolumeRecord> {
  const named = request.name === '' ? { ...request, name: newId(), labels: { ...request.labels, ...ANONYMOUS_LABEL } } : request;
  if (ctx.volumes.list().some(({ name }) => name === named.name)) return ctx.volumes.create(named);
  return ctx.events.telling(volumeEvent(named, 'create'), { of: 'volume', name: named.name, there: true }, () => ctx.volumes.create(named));
}

export const removeVolume = (ctx: EngineContext, record: VolumeRecord): Promise<void> =>
  ctx.events.telling(volumeEvent(record, 'destroy'), { of: 'volume', name: record.name, there: false }, () => ctx.volumes.remove(record.name));

const volumeEvent = ({ name, driver }: { name: string; driver: string }, action: 'create' | 'destroy'): OwnEvent =>
  ({ type: 'volume', action, actorId: name, attributes: { driver: driver === '' ? 'local' : driver } });
