/** `docker pull`. */
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { invalid, notFound, unavailable } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import { shortId } from '../../base/ids.ts';
import { chainIds, sha256 } from '../../core/image/chain.ts';
import { MAX_CONFIG_BYTES, decodeImageConfig } from '../../core/image/config.ts';
import { MEDIA, choosePlatform, noMatchingManifest } from '../../core/image/manifest.ts';
import type { Descriptor, Manifest } from '../../core/image/manifest.ts';
import { formatPlatform, normalizePlatform, parsePlatform, platformRank } from '../../core/image/platform.ts';
import type { Platform } from '../../core/image/platform.ts';
import { familiarName, familiarString, wholeName, withDigest, withTag } from '../../core/image/reference.ts';
import type { Reference } from '../../core/image/reference.ts';
import type { ProgressSink } from '../../core/ports/images.ts';
import { decompress } from '../../sys/decompress.ts';
import { telling } from '../context.ts';
import type { ImageContext } from '../context.ts';
import type { LayerLease } from '../layerKeeper.ts';
import { meter, metered } from '../progress.ts';
import { downloadBlob } from './download.ts';
import { fetchManifest, listTags } from './manifests.ts';
import type { Session } from './session.ts';
import type { Semaphore, SharedWork } from './shared.ts';
import { readBody } from './transport.ts';

export interface PullContext {
  readonly images: ImageContext;
  readonly downloads: Semaphore;
  readonly shared: SharedWork;
  readonly maxAttempts: number;
  readonly retryMs: number;
}

export interface PullRequest {
  readonly reference: Reference;
  readonly platform: string;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Pulls every tag of the reference's repository. */
export async function pullAllTags(context: PullContext, session: Session, request: PullRequest): Promise<void> {
  for (const tag of await listTags(session, request.reference.path)) {
    await pullOne(context, session, { ...request, reference: withTag(request.reference, tag) });
  }
}

/** Pulls the one image that the reference (with tag or digest) names. */
export async function pullOne(context: PullContext, session: Session, request: PullRequest): Promise<void> {
  const { reference, progress } = request;
  const pinned = reference.digest || reference.tag;
  progress({ kind: 'status', status: `Pulling from ${reference.path}`, id: pinned });
  const { digest, manifest, platform } = await chooseManifest(session, request);
  const config = await fetchConfig(session, reference.path, manifest.config);
  checkConfig(config, manifest, platform);

  const lease = context.images.keeper.lease();
  const name = familiarString(reference);
  const { config: { labels }, ...own } = decodeImageConfig(config);
  let newer: boolean;
  try {
    const layerSizes = await pullLayers(context, session, { ...request, config, manifest, lease });
    progress({ kind: 'status', status: `Digest: ${digest}` });
    const told = { action: 'pull', id: name, name: familiarName(reference), labels, proof: { of: 'image name', reference: name, image: sha256(config) } } as const;
    newer = await telling(context.images, told, () => addPulled(context.images, { reference, digest, config, layerSizes }));
  } finally {
    await lease.release();
  }
  progress({ kind: 'status', status: newer ? `Status: Downloaded newer image for ${name}` : `Status: Image is up to date for ${name}` });
  if (request.platform !== '') warnOfOtherPlatform(name, { own, wanted: request.platform, progress });
}

/** An image that is for one platform only is pulled whatever was asked for; what uses it will refuse. */
function warnOfOtherPlatform(name: string, { own, wanted, progress }: { own: Platform; wanted: string; progress: ProgressSink }): void {
  if (own.architecture === '' || platformRank(parsePlatform(wanted), own) !== undefined) return;
  const [has, asked] = [own, parsePlatform(wanted)].map((platform) => formatPlatform(normalizePlatform(platform)));
  progress({ kind: 'status', status: `WARNING: image with reference ${name} was found but its platform (${has}) does not match the specified platform (${asked})` });
}

/** The image's manifest, and the digest of what the reference names (of the list, if it is one). */
async function chooseManifest(session: Session, { reference, platform }: PullRequest): Promise<{ digest: string; manifest: Manifest; platform: string }> {
  const fetched = await fetchManifest(session, reference.path, reference.digest || reference.tag);
  if (fetched.manifest.kind === 'manifest') return { digest: fetched.digest, manifest: fetched.manifest, platform };
  const wanted = parsePlatform(platform);
  const chosen = choosePlatform(fetched.manifest, wanted);
  if (chosen === undefined) throw notFound(noMatchingManifest(wanted));
  const { manifest } = await fetchManifest(session, reference.path, chosen.digest);
  if (manifest.kind !== 'manifest') throw invalid('manifest list inside a manifest list is not supported');
  return { digest: fetched.digest, manifest, platform };
}

/** The last ones were written by old clients. */
const CONFIG_TYPES: ReadonlySet<string> = new Set([MEDIA.dockerConfig, MEDIA.ociConfig, '', 'application/octet-stream', 'application/json', 'text/html']);

async function fetchConfig(session: Session, path: string, descriptor: Descriptor): Promise<Buffer> {
  if (!CONFIG_TYPES.has(descriptor.mediaType)) {
    throw invalid(`invalid mediatype: encountered remote ${JSON.stringify(descriptor.mediaType)} when fetching`);
  }
  if (descriptor.size > MAX_CONFIG_BYTES) throw invalid('image config is too large');
  const response = await session.request({ method: 'GET', path: `/v2/${path}/blobs/${descriptor.digest}`, expect: [200] });
  const bytes = await readBody(response, Math.max(descriptor.size, 1), 'image config');
  if (sha256(bytes) !== descriptor.digest) throw unavailable(`image config verification failed for digest ${descriptor.digest}`);
  return bytes;
}

/** Refuses, before any layer is fetched, what cannot run here or does not fit together. */
function checkConfig(bytes: Buffer, manifest: Manifest, platform: string): void {
  const { os, diffIds } = decodeImageConfig(bytes);
  if (os !== 'linux') throw invalid(`cannot download image with operating system ${JSON.stringify(os)} when requesting ${JSON.stringify(parsePlatform(platform).os)}`);
  if (diffIds.length !== manifest.layers.length) {
    throw invalid(`layers from manifest don't match image configuration: ${manifest.layers.length} layers, ${diffIds.length} diff ids`);
  }
}

interface LayersRequest extends PullRequest {
  readonly config: Buffer;
  readonly manifest: Manifest;
  readonly lease: LayerLease;
}

/** All layers of an image, downloaded side by side and unpacked one after the other; their sizes. */
async function pullLayers(context: PullContext, session: Session, request: LayersRequest): Promise<number[]> {
  const stack = layerStack(request.config, request.manifest);
  for (const { chainId } of stack) request.lease.hold(chainId);
  const join = (index: number, watcher: { progress: ProgressSink; signal: AbortSignal }): Promise<number> => {
    const layer = stack[index];
    // Below the lowest layer there is nothing to wait for.
    if (layer === undefined) return Promise.resolve(0);
    // The layer below is waited for in the job's own right: whoever began it may leave while others stay.
    const below = (signal: AbortSignal): Promise<number> => join(index - 1, { progress: () => {}, signal });
    return context.shared.join(layer.chainId, watcher, (progress, signal) =>
      pullLayer(context, session, { repository: request.reference, layer, below, progress, signal }));
  };
  // One failure ends the others, and all have ended before anybody hears of it.
  const failed = new AbortController();
  const signal = AbortSignal.any([request.signal, failed.signal]);
  const settled = await Promise.allSettled(stack.map(async (_layer, index) => {
    try {
      return await join(index, { progress: request.progress, signal });
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  }));
  request.signal.throwIfAborted();
  failed.signal.throwIfAborted();
  return settled.map((result) => (result.status === 'fulfilled' ? result.value : 0));
}

interface PulledLayer {
  readonly chainId: string;
  readonly diffId: string;
  readonly parent: string | null;
  readonly blob: Descriptor;
}

function layerStack(config: Buffer, manifest: Manifest): PulledLayer[] {
  const { diffIds } = decodeImageConfig(config);
  const chain = chainIds(diffIds);
  return manifest.layers.map((blob, index) => ({ blob, chainId: chain[index] ?? '', diffId: diffIds[index] ?? '', parent: chain[index - 1] ?? null }));
}

interface LayerRequest {
  readonly repository: Reference;
  readonly layer: PulledLayer;
  /** Waits for the layer below. */
  below(signal: AbortSignal): Promise<number>;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

async function pullLayer(context: PullContext, session: Session, request: LayerRequest): Promise<number> {
  const { layer, repository, signal } = request;
  const { images } = context;
  const { blob } = layer;
  const id = shortId(blob.digest);
  const say = (status: string): void => request.progress({ kind: 'status', status, id, layer: true });
  const source = { digest: blob.digest, size: blob.size, mediaType: blob.mediaType, repository: wholeName(repository) };
  if (await images.layers.has(layer.chainId)) {
    say('Already exists');
    await images.distribution.add(layer.diffId, source);
    return images.layers.size(layer.chainId);
  }
  say('Pulling fs layer');
  const file = await fetchLayer(context, session, request);
  try {
    await request.below(signal);
    const open = async (): Promise<Readable> =>
      decompress(metered(createReadStream(file), { id, status: 'Extracting', total: blob.size, progress: request.progress }));
    const size = await images.keeper.ensure(layer, open, signal);
    say('Pull complete');
    await images.distribution.add(layer.diffId, source);
    return size;
  } finally {
    await rm(file, { force: true });
  }
}

async function fetchLayer(context: PullContext, session: Session, { layer: { blob }, repository, progress, signal }: LayerRequest): Promise<string> {
  const id = shortId(blob.digest);
  const say = (status: string): void => progress({ kind: 'status', status, id, layer: true });
  if (blob.mediaType === MEDIA.dockerForeignLayer) throw invalid(`layer ${blob.digest} is not distributed by the registry`);
  if (context.downloads.full) say('Waiting');
  return context.downloads.run(signal, async () => {
    let told = 0;
    const { add } = meter({ id, status: 'Downloading', total: blob.size, progress });
    const file = await downloadBlob(session, repository.path, blob, {
      folder: context.images.store.temporary,
      maxAttempts: context.maxAttempts,
      retryMs: context.retryMs,
      signal,
      onBytes: (total) => {
        add(total - told);
        told = total;
      },
      onVerify: () => say('Verifying Checksum'),
      onRetry: (seconds) => say(`Retrying in ${seconds} second${seconds === 1 ? '' : 's'}`),
    });
    say('Download complete');
    return file;
  });
}

/** Adds and names the image; true if the name now stands for another image than before. */
async function addPulled(context: ImageContext, pulled: { reference: Reference; digest: string; config: Buffer; layerSizes: number[] }): Promise<boolean> {
  return context.mutex.run(async () => {
    const { references } = context.store;
    const image = await context.store.add(pulled.config, { layerSizes: pulled.layerSizes });
    await failpoint('pull.added');
    const byDigest = withDigest(pulled.reference, pulled.digest);
    const name = pulled.reference.digest === '' ? pulled.reference : byDigest;
    const before = references.get(name);
    await setDigest(context, byDigest, image.id);
    if (pulled.reference.digest === '') await references.set(pulled.reference, image.id);
    return before !== image.id;
  });
}

/** Another platform's image of the same list takes the digest over from the one pulled before. */
async function setDigest(context: ImageContext, reference: Reference, id: string): Promise<void> {
  const before = context.store.references.get(reference);
  if (before !== undefined && before !== id) await context.store.references.remove(reference);
  await context.store.references.set(reference, id);
}
