/** `docker push`: layers side by side, then the config, then the manifest (schema 2) that ties them together. */
import { createReadStream } from 'node:fs';
import { Transform, pipeline } from 'node:stream';
import type { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { notFound, unavailable } from '../../base/errors.ts';
import { shortId } from '../../base/ids.ts';
import { chainIds, sha256 } from '../../core/image/chain.ts';
import type { Image } from '../../core/image/image.ts';
import { MEDIA } from '../../core/image/manifest.ts';
import type { Descriptor } from '../../core/image/manifest.ts';
import { familiarName, familiarString, parseReference, wholeName, withDigest } from '../../core/image/reference.ts';
import type { Reference } from '../../core/image/reference.ts';
import type { ProgressSink } from '../../core/ports/images.ts';
import { emit } from '../context.ts';
import type { ImageContext } from '../context.ts';
import { LayerFile } from '../layerFile.ts';
import { meter, metered } from '../progress.ts';
import type { Session } from './session.ts';
import type { Semaphore } from './shared.ts';
import { discard, parseUrl } from './transport.ts';
import type { HttpResponse } from './transport.ts';

export interface PushContext {
  readonly images: ImageContext;
  readonly uploads: Semaphore;
}

export interface PushRequest {
  readonly reference: Reference;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** The tagged references that a push means; throws `not-found` if there is none. */
export function pushedReferences(context: ImageContext, reference: Reference, allTags: boolean): Reference[] {
  if (allTags) {
    const tagged = context.store.references.inRepository(reference).map((named) => named.reference).filter(({ digest }) => digest === '');
    if (tagged.length > 0) return tagged.toSorted((left, right) => (left.tag < right.tag ? -1 : 1));
  } else if (context.store.references.get(reference) !== undefined) {
    return [reference];
  }
  throw notFound(`An image does not exist locally with the tag: ${familiarName(reference)}`);
}

/** Other repositories of the registry from which it may take a layer itself. */
export function mountScopes(context: ImageContext, references: readonly Reference[]): string[] {
  const paths = references.flatMap((reference) => imageOf(context, reference).diffIds.flatMap((diffId) => mountSources(context, diffId, reference).map(({ path }) => path)));
  return [...new Set(paths)].slice(0, MAX_MOUNT_SOURCES).map((path) => `repository:${path}:pull`);
}

const MAX_MOUNT_SOURCES = 3;

export async function pushOne(context: PushContext, session: Session, request: PushRequest): Promise<void> {
  const { reference, progress } = request;
  const image = imageOf(context.images, reference);
  const lease = context.images.keeper.lease();
  try {
    for (const chainId of chainIds(image.diffIds)) lease.hold(chainId);
    const layers = await pushLayers(context, session, { ...request, image });
    const bytes = await context.images.store.configBytes(image.id);
    const config = { mediaType: MEDIA.dockerConfig, digest: image.id, size: bytes.length };
    await pushConfig(session, reference.path, config, bytes);
    await pushManifest(context.images, session, { reference, config, layers, imageId: image.id, progress });
  } finally {
    await lease.release();
  }
  const name = familiarString(reference);
  emit(context.images, 'push', { id: name, name: familiarName(reference), labels: image.config.labels });
}

function imageOf(context: ImageContext, reference: Reference): Image {
  const image = context.store.get(context.store.references.get(reference) ?? '');
  if (image === undefined) throw notFound(`An image does not exist locally with the tag: ${familiarName(reference)}`);
  return image;
}

interface LayerPush extends PushRequest {
  readonly diffId: string;
  readonly chainId: string;
}

async function pushLayers(context: PushContext, session: Session, request: PushRequest & { image: Image }): Promise<Descriptor[]> {
  const { diffIds } = request.image;
  const chain = chainIds(diffIds);
  // As Docker shows them: the top one first.
  for (const diffId of diffIds.toReversed()) request.progress({ kind: 'status', status: 'Preparing', id: shortId(diffId), layer: true });
  const failed = new AbortController();
  const signal = AbortSignal.any([request.signal, failed.signal]);
  const settled = await Promise.allSettled(diffIds.map(async (diffId, index) => {
    const layer: LayerPush = { ...request, signal, diffId, chainId: chain[index] ?? '' };
    if (context.uploads.full) request.progress({ kind: 'status', status: 'Waiting', id: shortId(diffId), layer: true });
    try {
      return await context.uploads.run(signal, () => pushLayer(context.images, session, layer));
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  }));
  request.signal.throwIfAborted();
  failed.signal.throwIfAborted();
  return settled.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
}

async function pushLayer(context: ImageContext, session: Session, layer: LayerPush): Promise<Descriptor> {
  const { reference, diffId } = layer;
  const say = (status: string): void => layer.progress({ kind: 'status', status, id: shortId(diffId), layer: true });
  const known = await knownThere(context, session, layer);
  if (known !== undefined) {
    say('Layer already exists');
    return known;
  }
  const mounted = await mount(context, session, layer);
  if (mounted !== undefined) {
    say(`Mounted from ${mounted.from}`);
    return mounted.blob;
  }
  await using file = await compress(context, layer);
  const blob = { mediaType: MEDIA.dockerLayerGzip, digest: file.digest, size: file.size };
  if (await exists(session, reference.path, blob, layer.signal)) say('Layer already exists');
  else {
    const body = (): Readable =>
      metered(createReadStream(file.path), { id: shortId(diffId), status: 'Pushing', total: file.size, progress: layer.progress });
    await upload(session, reference.path, blob, { body, signal: layer.signal });
    say('Pushed');
  }
  await context.distribution.add(diffId, { ...blob, repository: wholeName(reference) });
  return blob;
}

/** The layer's blob if this repository has it under a digest that we know. */
async function knownThere(context: ImageContext, session: Session, { diffId, reference, signal }: LayerPush): Promise<Descriptor | undefined> {
  for (const source of context.distribution.sources(diffId).filter(({ repository }) => repository === wholeName(reference)).slice(0, 3)) {
    const blob = { mediaType: layerType(source.mediaType), digest: source.digest, size: source.size };
    if (await exists(session, reference.path, blob, signal)) return blob;
  }
  return undefined;
}

/** A schema 2 manifest names layers by Docker's types. */
const layerType = (mediaType: string): string =>
  mediaType === MEDIA.ociLayer ? MEDIA.dockerLayer : mediaType === MEDIA.ociLayerGzip || mediaType === '' ? MEDIA.dockerLayerGzip : mediaType;

function mountSources(context: ImageContext, diffId: string, target: Reference): { path: string; blob: Descriptor }[] {
  return context.distribution.sources(diffId).flatMap(({ repository, digest, size, mediaType }) => {
    const source = parseReference(repository);
    const usable = source.domain === target.domain && source.path !== target.path;
    return usable ? [{ path: source.path, blob: { mediaType: layerType(mediaType), digest, size } }] : [];
  });
}

async function mount(context: ImageContext, session: Session, { diffId, reference, signal }: LayerPush): Promise<{ from: string; blob: Descriptor } | undefined> {
  for (const { path, blob } of mountSources(context, diffId, reference).slice(0, MAX_MOUNT_SOURCES)) {
    const query = new URLSearchParams({ mount: blob.digest, from: path });
    const response = await session.request({ method: 'POST', path: `/v2/${reference.path}/blobs/uploads/?${query.toString()}`, expect: [201, 202, 401, 403, 404], signal });
    await discard(response.body);
    if (response.status === 201) {
      await context.distribution.add(diffId, { ...blob, repository: wholeName(reference) });
      return { from: path, blob };
    }
  }
  return undefined;
}

async function exists(session: Session, path: string, { digest }: Descriptor, signal: AbortSignal): Promise<boolean> {
  const response = await session.request({ method: 'HEAD', path: `/v2/${path}/blobs/${digest}`, expect: [200, 404], signal });
  await discard(response.body);
  return response.status === 200;
}

/** The layer as gzip, on disk: its digest must be known before the registry is asked for it. */
async function compress(context: ImageContext, { diffId, chainId, progress, signal }: LayerPush): Promise<LayerFile> {
  const { add } = meter({ id: shortId(diffId), status: 'Preparing', total: await context.layers.size(chainId), progress });
  const counter = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      add(chunk.length);
      done(null, chunk);
    },
  });
  const compressed = createGzip();
  pipeline(await context.layers.tar(chainId), counter, compressed, () => {});
  return LayerFile.write(compressed, context.store.temporary, signal);
}

async function upload(session: Session, path: string, blob: Descriptor, content: { body: () => Readable | Buffer; signal?: AbortSignal }): Promise<void> {
  const signal = content.signal === undefined ? {} : { signal: content.signal };
  const begun = await session.request({ method: 'POST', path: `/v2/${path}/blobs/uploads/`, headers: { 'Content-Length': '0' }, expect: [202], ...signal });
  await discard(begun.body);
  const location = uploadLocation(begun);
  location.searchParams.set('digest', blob.digest);
  const done = await session.request({
    method: 'PUT',
    path: location.href,
    headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': String(blob.size) },
    body: content.body,
    expect: [201, 204],
    ...signal,
  });
  await discard(done.body);
}

function uploadLocation(response: HttpResponse): URL {
  const url = parseUrl(response.header('location'), response.url);
  if (url === undefined) throw unavailable(`registry ${new URL(response.url).host} gave no place for an upload`);
  return url;
}

async function pushConfig(session: Session, path: string, config: Descriptor, bytes: Buffer): Promise<void> {
  const response = await session.request({ method: 'HEAD', path: `/v2/${path}/blobs/${config.digest}`, expect: [200, 404] });
  await discard(response.body);
  if (response.status === 404) await upload(session, path, config, { body: () => bytes });
}

interface ManifestPush {
  readonly reference: Reference;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly imageId: string;
  readonly progress: ProgressSink;
}

async function pushManifest(context: ImageContext, session: Session, push: ManifestPush): Promise<void> {
  const { reference, config, layers, progress } = push;
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA.dockerManifest, config, layers }, null, 3));
  const digest = sha256(manifest);
  const response = await session.request({
    method: 'PUT',
    path: `/v2/${reference.path}/manifests/${reference.tag}`,
    headers: { 'Content-Type': MEDIA.dockerManifest, 'Content-Length': String(manifest.length) },
    body: () => manifest,
    expect: [200, 201, 202],
  });
  await discard(response.body);
  await context.mutex.run(async () => {
    const byDigest = withDigest(reference, digest);
    if (context.store.references.get(byDigest) === undefined && context.store.get(push.imageId) !== undefined) {
      await context.store.references.set(byDigest, push.imageId);
    }
  });
  progress({ kind: 'status', status: `${reference.tag}: digest: ${digest} size: ${manifest.length}` });
  progress({ kind: 'aux', value: { Tag: reference.tag, Digest: digest, Size: manifest.length } });
}
