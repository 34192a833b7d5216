/** `docker cp`, `docker export`, `docker commit`: a container's files, running or not. */
import type { Readable } from 'node:stream';
import { conflict, isKind, notFound } from '../base/errors.ts';
import type { ContainerConfig } from '../core/container/config.ts';
import { isRunning } from '../core/container/snapshot.ts';
import { pidOf } from '../core/container/state.ts';
import { mergeImageConfig } from '../core/container/merge.ts';
import type { FsView, PathStat } from '../core/ports/layers.ts';
import { userOf } from './bundle.ts';
import type { Container } from './container.ts';
import { layersOf, publishContainer, runtimeTarget } from './context.ts';
import type { EngineContext } from './context.ts';
import { volumeNames } from './giveBack.ts';

/** Calls `use` with the container's files in view; what had to be mounted for it is unmounted after. */
async function withView<T>(ctx: EngineContext, container: Container, use: (view: FsView) => Promise<T>): Promise<{ result: T; release: () => Promise<void> }> {
  const { record } = container;
  const pid = pidOf(container.state);
  if (container.state.kind === 'removing' || container.problem !== '') throw conflict(`container ${container.id} is dead or marked for removal`);
  if (isRunning(container) && pid > 0) {
    const result = await use({ root: `/proc/${pid}/root`, readOnlyRoot: record.hostConfig.readonlyRootfs, mounts: bindMounts(container), mounted: true });
    return { result, release: () => Promise.resolve() };
  }
  const layers = layersOf(ctx, container);
  const undo = new AsyncDisposableStack();
  try {
    const root = await layers.mountRw(container.id);
    undo.defer(async () => {
      if (!container.occupied) await layers.unmountRw(container.id);
    });
    const sources = new Map<string, string>();
    for (const name of volumeNames(container)) {
      sources.set(name, await ctx.volumes.mount(name, `${container.id}-files`));
      undo.defer(() => ctx.volumes.unmount(name, `${container.id}-files`));
    }
    const result = await use({ root, readOnlyRoot: record.hostConfig.readonlyRootfs, mounts: bindMounts(container, sources), mounted: false });
    return { result, release: () => undo.disposeAsync() };
  } catch (error) {
    await undo.disposeAsync();
    throw error;
  }
}

/** What is mounted over the root from the host; `sources` are volumes mounted just now. */
function bindMounts(container: Container, sources: ReadonlyMap<string, string> = new Map()): FsView['mounts'] {
  return container.record.mounts.flatMap((mount) => {
    if (mount.type === 'tmpfs') return [];
    const source = mount.type === 'volume' ? (sources.get(mount.name) ?? mount.source) : mount.source;
    return [{ source, target: mount.destination, readOnly: !mount.rw }];
  });
}

/** Missing paths in Docker's words. */
async function named<T>(container: Container, path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isKind(error, 'not-found')) throw notFound(`Could not find the file ${path} in container ${container.record.name}`, error);
    throw error;
  }
}

export async function statPath(ctx: EngineContext, container: Container, path: string): Promise<PathStat> {
  const { result, release } = await named(container, path, () => withView(ctx, container, (view) => ctx.archive.stat(view, path)));
  await release();
  return result;
}

/** The tar has to be read or destroyed: its end gives back what was mounted for it. */
export async function readPath(ctx: EngineContext, container: Container, path: string): Promise<{ stat: PathStat; tar: Readable }> {
  const { result, release } = await named(container, path, () => withView(ctx, container, (view) => ctx.archive.read(view, path)));
  releaseAtEnd(ctx, result.tar, release);
  publishContainer(ctx, container.subject, 'archive-path');
  return result;
}

function releaseAtEnd(ctx: EngineContext, stream: Readable, release: () => Promise<void>): void {
  stream.once('close', () => {
    release().catch((error: unknown) => ctx.logger.warn('what was mounted for a copy could not be given back', { error }));
  });
}

export interface WriteOptions {
  noOverwriteDirNonDir: boolean;
  copyUidGid: boolean;
}

export async function writePath(ctx: EngineContext, container: Container, copy: { path: string; tar: Readable; options: WriteOptions }): Promise<void> {
  const { release } = await named(container, copy.path, () => withView(ctx, container, async (view) => {
    const { user } = container.record.config;
    const owner = copy.options.copyUidGid && user !== '' ? await userOf(ctx, view.root, { user, groups: [] }) : undefined;
    await ctx.archive.write(view, copy.path, copy.tar, {
      noOverwriteDirNonDir: copy.options.noOverwriteDirNonDir,
      ...(owner === undefined ? {} : { copyUidGid: { uid: owner.uid, gid: owner.gid } }),
    });
  }));
  await release();
  publishContainer(ctx, container.subject, 'extract-to-dir');
}

export async function exportContainer(ctx: EngineContext, container: Container): Promise<Readable> {
  if (container.state.kind === 'removing' || container.problem !== '') throw conflict(`You cannot export container ${container.id} which is Dead`);
  const layers = layersOf(ctx, container);
  const tar = await ctx.archive.exportRoot(await layers.mountRw(container.id));
  releaseAtEnd(ctx, tar, async () => {
    if (!container.occupied) await layers.unmountRw(container.id);
  });
  publishContainer(ctx, container.subject, 'export');
  return tar;
}

export interface CommitRequest {
  reference: string;
  author: string;
  comment: string;
  pause: boolean;
  /** `CMD …` and the like; applied to the configuration by `change`. */
  changes: string[];
  /** The body: what is given wins over the container's. */
  config: ContainerConfig | null;
  change: (config: ContainerConfig, changes: string[]) => ContainerConfig;
}

export async function commitContainer(ctx: EngineContext, container: Container, request: CommitRequest): Promise<string> {
  if (container.state.kind === 'removing' || container.problem !== '') throw conflict(`You cannot commit container ${container.id} which is Dead`);
  const pausing = request.pause && container.state.kind === 'running';
  if (pausing) await ctx.runtime.pause(runtimeTarget(ctx, container));
  try {
    const base = request.config === null ? container.record.config : mergeImageConfig(request.config, container.record.config);
    const image = await ctx.images.commit({
      parent: (await ctx.images.get(container.record.imageId)) ?? null,
      diff: await layersOf(ctx, container).diffTar(container.id),
      config: request.change(base, request.changes),
      author: request.author,
      comment: request.comment,
      createdBy: [container.record.path, ...container.record.args].join(' '),
      reference: request.reference,
      containerId: container.id,
    });
    publishContainer(ctx, container.subject, 'commit', { comment: request.comment, imageID: image.id, imageRef: request.reference });
    return image.id;
  } finally {
    if (pausing) await ctx.runtime.resume(runtimeTarget(ctx, container));
  }
}
