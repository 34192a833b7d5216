/** Volumes: list, inspect, create, remove, prune. */
import { conflict, isKind } from '../base/errors.ts';
import type { VolumeRecord } from '../core/ports/volumes.ts';
import { publish } from '../engine/context.ts';
import type { EngineContext } from '../engine/context.ts';
import { usersOfVolume } from '../engine/removal.ts';
import { createVolume, removeVolume } from '../engine/resourceEvents.ts';
import type { Filters } from '../wire/filters.ts';
import { VolumeCreateBody, volumeView } from '../wire/volume.ts';
import type { ApiRequest } from './request.ts';
import type { Route } from './router.ts';

const LIST_FILTERS = ['dangling', 'driver', 'label', 'label!', 'name'] as const;
const PRUNE_FILTERS = ['all', 'label', 'label!'] as const;

export function volumeRoutes(ctx: EngineContext): Route[] {
  return [
    {
      method: 'GET', pattern: '/volumes',
      handler: (request, response) => {
        const filters = request.query.filters(LIST_FILTERS);
        response.value({ Volumes: ctx.volumes.list().filter((record) => isListed(ctx, record, filters)).map((record) => volumeView(record)), Warnings: null });
      },
    },
    {
      method: 'GET', pattern: '/volumes/{name}',
      handler: (request, response) => response.value(volumeView(ctx.volumes.get(request.param('name')))),
    },
    {
      method: 'POST', pattern: '/volumes/create',
      handler: async (request, response) => response.value(volumeView(await create(ctx, request)), 201),
    },
    {
      method: 'DELETE', pattern: '/volumes/{name}',
      handler: async (request, response) => {
        await remove(ctx, request.param('name'), request.query.bool('force'));
        response.empty(204);
      },
    },
    {
      method: 'POST', pattern: '/volumes/prune',
      handler: async (request, response) => response.value(await prune(ctx, request)),
    },
  ];
}

function isListed(ctx: EngineContext, record: VolumeRecord, filters: Filters): boolean {
  const dangling = filters.has('dangling') ? filters.bool('dangling', true) : undefined;
  return (
    filters.matches('name', (part) => record.name.includes(part)) &&
    filters.matches('driver', (driver) => record.driver === driver) &&
    filters.matchesLabels(record.labels) &&
    (dangling === undefined || dangling === (usersOfVolume(ctx, record.name).length === 0))
  );
}

async function create(ctx: EngineContext, request: ApiRequest): Promise<VolumeRecord> {
  const { name, driver, driverOpts, labels } = await request.json(VolumeCreateBody);
  return createVolume(ctx, { name, driver, labels: { ...labels }, options: { ...driverOpts } });
}

/** With force, one that is not there is removed already. */
async function remove(ctx: EngineContext, name: string, force: boolean): Promise<void> {
  try {
    const record = ctx.volumes.get(name);
    const users = usersOfVolume(ctx, name).map(({ id }) => id);
    if (users.length > 0) throw conflict(`remove ${name}: volume is in use - [${users.join(', ')}]`);
    await removeVolume(ctx, record);
  } catch (error) {
    if (!(force && isKind(error, 'not-found'))) throw error;
  }
}

/** Since API 1.42 only what nobody named, unless all are asked for. */
async function prune(ctx: EngineContext, request: ApiRequest): Promise<{ VolumesDeleted: string[] | null; SpaceReclaimed: number }> {
  const filters = request.query.filters(PRUNE_FILTERS);
  const all = filters.bool('all', !request.apiVersion.atLeast('1.42'));
  const deleted: string[] = [];
  let reclaimed = 0;
  for (const record of ctx.volumes.list()) {
    if (request.signal.aborted) break;
    if (!(all || record.anonymous) || !filters.matchesLabels(record.labels) || usersOfVolume(ctx, record.name).length > 0) continue;
    try {
      const size = await ctx.volumes.usage(record.name);
      await remove(ctx, record.name, false);
      deleted.push(record.name);
      reclaimed += size;
    } catch (error) {
      // Somebody took or removed it meanwhile.
      if (!isKind(error, 'conflict') && !isKind(error, 'not-found')) throw error;
    }
  }
  publish(ctx, { type: 'volume', action: 'prune', actorId: '', attributes: { reclaimed: String(reclaimed) } });
  return { VolumesDeleted: deleted.length === 0 ? null : deleted, SpaceReclaimed: reclaimed };
}
