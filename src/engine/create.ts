/**
 * `docker create`: planned purely, then made in an order that a crash at any step leaves undone or whole (continuity C1):
 * a record that says `creating`, the layer, the volumes, and last the durable record that says `created`.
 */
import { randomInt } from 'node:crypto';
import { invalid, isKind, notFound } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { newId } from '../base/ids.ts';
import { traced } from '../base/trace.ts';
import type { ContainerConfig, EndpointRequest, HostConfig } from '../core/container/config.ts';
import { planCreate } from '../core/container/create.ts';
import { resolveMounts, withVolume } from '../core/container/mounts.ts';
import type { MountPoint, VolumeRequest } from '../core/container/mounts.ts';
import { randomName } from '../core/container/names.ts';
import { CONTAINER_SCHEMA } from '../core/container/record.ts';
import type { ContainerRecord } from '../core/container/record.ts';
import { checkContainerName } from '../core/container/validate.ts';
import type { Image } from '../core/image/image.ts';
import { checkLogConfig } from '../core/log/drivers.ts';
import { Container, subjectOf } from './container.ts';
import { containerEvent } from './context.ts';
import type { EngineContext } from './context.ts';
import { checkLinks } from './hosts.ts';
import { createVolume, removeVolume } from './resourceEvents.ts';

export interface CreateRequest {
  /** Empty: one is made up. */
  name: string;
  config: ContainerConfig;
  host: HostConfig;
  networks: Record<string, EndpointRequest>;
  /** `linux/arm64`, or empty: any. */
  platform: string;
}

export async function createContainer(ctx: EngineContext, request: CreateRequest): Promise<{ id: string; warnings: string[] }> {
  if (request.config.image === '') throw invalid('no image specified');
  const image = await ctx.images.resolve(request.config.image);
  checkPlatform(image, request);
  const id = newId();
  const name = request.name === '' ? randomName({ random: randomInt, taken: (each) => ctx.containers.nameTaken(each) }) : checkContainerName(request.name);
  ctx.containers.reserveName(name, id);
  try {
    const { record, volumes, warnings } = await planRecord(ctx, request, { id, name, image });
    await make(ctx, record, volumes);
    return { id, warnings };
  } catch (error) {
    ctx.containers.releaseName(name, id);
    throw error;
  }
}

function checkPlatform(image: Image, request: CreateRequest): void {
  const [os = '', architecture = ''] = request.platform.split('/');
  if (request.platform === '') return;
  if ((os !== '' && os !== image.os) || (architecture !== '' && architecture !== image.architecture)) {
    throw notFound(`image with reference ${request.config.image} was found but does not provide the specified platform (${request.platform})`);
  }
}

async function planRecord(
  ctx: EngineContext, request: CreateRequest, made: { id: string; name: string; image: Image },
): Promise<{ record: ContainerRecord; volumes: VolumeRequest[]; warnings: string[] }> {
  const settings = ctx.settings();
  const { hostname } = await ctx.host.info();
  const plan = planCreate({
    id: made.id,
    config: request.config,
    host: request.host,
    networks: request.networks,
    image: made.image.config,
    settings,
    sys: ctx.host.sysInfo(),
    hostname,
    containerId: (nameOrId) => tryResolve(ctx, nameOrId)?.id,
  });
  checkLogConfig(plan.host.logConfig.type, plan.host.logConfig.config);
  const { mounts, volumes } = resolveMounts(plan.config, plan.host, {
    mountsOf: (nameOrId) => mountsFrom(ctx, nameOrId),
    exists: (path) => ctx.host.exists(path),
    newId,
  });
  if (mounts.some(({ type }) => type === 'image')) throw invalid('invalid mount config for type "image": image mounts are not supported');
  const record: ContainerRecord = {
    schema: CONTAINER_SCHEMA,
    id: made.id,
    name: made.name,
    createdNs: ctx.clock.nowNs(),
    desired: 'creating',
    imageId: made.image.id,
    layerParent: ctx.images.topLayer(made.image),
    storageDriver: settings.storageDriver,
    path: plan.path,
    args: plan.args,
    config: plan.config,
    hostConfig: { ...plan.host, links: checkLinks(ctx, plan.host.links, made.name) },
    mounts,
    networks: plan.networks,
    startedBefore: false,
    startFailure: null,
    removeVolumes: true,
  };
  return { record, volumes, warnings: plan.warnings };
}

/** Of `--volumes-from`. Not a 404 if it is not there, which clients would take for a missing image. */
function mountsFrom(ctx: EngineContext, nameOrId: string): MountPoint[] {
  try {
    return ctx.containers.resolve(nameOrId).record.mounts;
  } catch (error) {
    throw isKind(error, 'not-found') ? invalid(error.message, error) : error;
  }
}

function tryResolve(ctx: EngineContext, nameOrId: string): Container | undefined {
  try {
    return ctx.containers.resolve(nameOrId);
  } catch (error) {
    if (isKind(error, 'not-found') || isKind(error, 'invalid')) return undefined;
    throw error;
  }
}

/** Makes everything; whatever fails is undone, so that nothing of it is left. */
async function make(ctx: EngineContext, planned: ContainerRecord, volumes: VolumeRequest[]): Promise<void> {
  const layers = ctx.layers.get(planned.storageDriver);
  if (layers === undefined) throw invalid(`storage driver ${planned.storageDriver} is not to be had on this host`);
  await using undo = new AsyncDisposableStack();
  await traced(planned.id, 'first record', () => ctx.store.save(planned, { durable: false }));
  undo.defer(() => ctx.store.remove(planned.id));
  await failpoint('create.recorded');
  await traced(planned.id, 'writable layer', () => layers.createRw(planned.id, planned.layerParent, { storageOpt: planned.hostConfig.storageOpt }));
  undo.defer(() => layers.removeRw(planned.id));
  await failpoint('create.layer');
  const mounts = await makeVolumes(ctx, planned, { volumes, undo });
  await populateVolumes(ctx, planned, mounts);
  await failpoint('create.volumes');
  const record: ContainerRecord = { ...planned, mounts, desired: 'created', removeVolumes: false };
  await ctx.events.telling(containerEvent(subjectOf(record), 'create'), { of: 'container', id: record.id, is: 'there' }, async () => {
    await traced(planned.id, 'durable record', () => ctx.store.save(record));
    ctx.containers.add(new Container(record, { kind: 'created' }));
  });
  undo.move();
}

async function makeVolumes(ctx: EngineContext, planned: ContainerRecord, work: { volumes: VolumeRequest[]; undo: AsyncDisposableStack }): Promise<MountPoint[]> {
  const byName = new Map<string, { mountpoint: string; driver: string }>();
  for (const request of work.volumes) {
    const volume = await createVolume(ctx, request);
    byName.set(request.name, volume);
    const anonymous = planned.mounts.some((mount) => mount.name === request.name && mount.anonymous);
    if (anonymous) work.undo.defer(() => removeVolume(ctx, volume));
  }
  return planned.mounts.map((mount) => {
    const volume = mount.type === 'volume' ? byName.get(mount.name) : undefined;
    return volume === undefined ? mount : withVolume(mount, volume);
  });
}

/** An empty volume gets what the image has at its destination (Docker does so at create). */
async function populateVolumes(ctx: EngineContext, planned: ContainerRecord, mounts: MountPoint[]): Promise<void> {
  const wanted = mounts.filter((mount) => mount.type === 'volume' && mount.copyData && mount.subpath === '');
  const layers = ctx.layers.get(planned.storageDriver);
  if (wanted.length === 0 || layers === undefined) return;
  const root = await layers.mountRw(planned.id);
  try {
    for (const mount of wanted) {
      const path = await ctx.volumes.mount(mount.name, planned.id);
      try {
        await ctx.archive.populate(root, mount.destination, path);
      } finally {
        await ctx.volumes.unmount(mount.name, planned.id);
      }
    }
  } finally {
    await layers.unmountRw(planned.id);
  }
}
