/**
 * `docker save`, in the form of Docker 25 and later: an OCI layout that also has the manifest.json and repositories of
 * older ones. Layers are plain tars named by their diff ids. The same images give the same bytes.
 */
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { internal } from '../../base/errors.ts';
import { parseRfc3339 } from '../../base/clock.ts';
import { byteString, tarHeader } from '../../base/tar/header.ts';
import { TAR_END, encodeHeader, tarPadding } from '../../base/tar/writer.ts';
import { chainIds, sha256 } from '../../core/image/chain.ts';
import type { Image } from '../../core/image/image.ts';
import { MEDIA } from '../../core/image/manifest.ts';
import type { Descriptor } from '../../core/image/manifest.ts';
import { familiarName, familiarString, parseId, parseReference, wholeString } from '../../core/image/reference.ts';
import type { Reference } from '../../core/image/reference.ts';
import { emit } from '../context.ts';
import type { ImageContext } from '../context.ts';
import { LayerFile } from '../layerFile.ts';
import { resolveImage } from '../resolve.ts';

interface SavedImage {
  readonly image: Image;
  /** The tags that were asked for. */
  readonly names: Reference[];
}

/** An archive of these images; a name without tag means all its tags. Errors of names are thrown before the first byte. */
export async function saveArchive(context: ImageContext, names: readonly string[], signal: AbortSignal): Promise<Readable> {
  const images = chooseImages(context, names);
  const lease = context.keeper.lease();
  for (const { image } of images) for (const chainId of chainIds(image.diffIds)) lease.hold(chainId);
  const archive = Readable.from(writeArchive(context, images, signal), { objectMode: false, highWaterMark: 1024 * 1024 });
  archive.once('close', () => {
    lease.release().catch((error: unknown) => context.logger.error('layers could not be released after a save', { error }));
  });
  return archive;
}

function chooseImages(context: ImageContext, names: readonly string[]): SavedImage[] {
  const chosen = new Map<string, SavedImage>();
  const add = (image: Image, reference?: Reference): void => {
    const saved = chosen.get(image.id) ?? { image, names: [] };
    chosen.set(image.id, saved);
    if (reference !== undefined && !saved.names.some((other) => wholeString(other) === wholeString(reference))) saved.names.push(reference);
  };
  for (const name of names) {
    const tags = allTags(context, name);
    for (const { reference, image } of tags) add(image, reference);
    if (tags.length > 0) continue;
    const image = resolveImage(context.store, name);
    const reference = parseId(name) === undefined ? parseReference(name) : undefined;
    add(image, reference !== undefined && reference.tag !== '' && context.store.references.get(reference) !== undefined ? reference : undefined);
  }
  return [...chosen.values()];
}

function allTags(context: ImageContext, name: string): { reference: Reference; image: Image }[] {
  if (parseId(name) !== undefined) return [];
  const reference = parseReference(name);
  if (reference.tag !== '' || reference.digest !== '') return [];
  return context.store.references.inRepository(reference).flatMap((named) => {
    const image = named.reference.digest === '' ? context.store.get(named.id) : undefined;
    return image === undefined ? [] : [{ reference: named.reference, image }];
  });
}

async function* writeArchive(context: ImageContext, images: readonly SavedImage[], signal: AbortSignal): AsyncGenerator<Buffer> {
  yield directory('blobs');
  yield directory('blobs/sha256');
  const written = new Set<string>();
  const layerBlobs = new Map<string, Descriptor>();
  const described: DescribedImage[] = [];
  for (const saved of images) {
    const mtimeNs = parseRfc3339(saved.image.created) ?? 0n;
    const blob = function* (bytes: Buffer): Generator<Buffer> {
      const digest = sha256(bytes);
      if (!written.has(digest)) yield* file(blobName(digest), bytes, mtimeNs);
      written.add(digest);
    };
    for (const [index, chainId] of chainIds(saved.image.diffIds).entries()) {
      const diffId = saved.image.diffIds[index] ?? '';
      if (layerBlobs.has(diffId)) continue;
      signal.throwIfAborted();
      await using layer = await LayerFile.write(await context.layers.tar(chainId), context.store.temporary, signal);
      if (layer.digest !== diffId) throw internal(`layer ${diffId} cannot be reproduced: its files give ${layer.digest}`);
      layerBlobs.set(diffId, { mediaType: MEDIA.ociLayer, digest: diffId, size: layer.size });
      yield fileHeader(blobName(diffId), layer.size, mtimeNs);
      for await (const chunk of createReadStream(layer.path, { highWaterMark: 256 * 1024 })) yield chunk as Buffer;
      yield tarPadding(layer.size);
    }
    const config = await context.store.configBytes(saved.image.id);
    yield* blob(config);
    const layers = saved.image.diffIds.flatMap((diffId) => layerBlobs.get(diffId) ?? []);
    const manifest = Buffer.from(JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA.ociManifest,
      config: { mediaType: MEDIA.ociConfig, digest: saved.image.id, size: config.length },
      layers,
    }));
    yield* blob(manifest);
    described.push({ ...saved, layers, manifest });
  }
  yield* indexFiles(described);
  yield TAR_END;
  for (const { image } of images) emit(context, 'save', { id: image.id, name: image.id });
}

interface DescribedImage extends SavedImage {
  readonly layers: readonly Descriptor[];
  readonly manifest: Buffer;
}

/** The files that say what the blobs are, for readers of each age. */
function* indexFiles(images: readonly DescribedImage[]): Generator<Buffer> {
  const json = (name: string, value: unknown): Generator<Buffer> => file(name, Buffer.from(JSON.stringify(value)), 0n);
  yield* json('index.json', { schemaVersion: 2, mediaType: MEDIA.ociIndex, manifests: images.flatMap(indexEntries) });
  yield* json('manifest.json', images.map(({ image, names, layers }) => ({
    Config: blobName(image.id),
    RepoTags: names.length === 0 ? null : names.map(familiarString),
    Layers: layers.map(({ digest }) => blobName(digest)),
    LayerSources: Object.fromEntries(layers.map((layer) => [layer.digest, layer])),
  })));
  yield* json('oci-layout', { imageLayoutVersion: '1.0.0' });
  const repositories: Record<string, Record<string, string>> = {};
  for (const { names, layers } of images) {
    for (const name of names) {
      (repositories[familiarName(name)] ??= {})[name.tag] = (layers.at(-1)?.digest ?? '').replace('sha256:', '');
    }
  }
  if (Object.keys(repositories).length > 0) yield* json('repositories', repositories);
}

function indexEntries({ names, manifest }: DescribedImage): unknown[] {
  const entry = { mediaType: MEDIA.ociManifest, digest: sha256(manifest), size: manifest.length };
  if (names.length === 0) return [entry];
  return names.map((name) => ({
    ...entry,
    annotations: { 'io.containerd.image.name': wholeString(name), 'org.opencontainers.image.ref.name': name.tag },
  }));
}

const blobName = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

const directory = (name: string): Buffer => encodeHeader(tarHeader({ name: byteString(name), type: 'directory', mode: 0o755 }));

const fileHeader = (name: string, size: number, mtimeNs: bigint): Buffer =>
  // Whole seconds: a fraction would need a pax record for nothing.
  encodeHeader(tarHeader({ name: byteString(name), size, mtimeNs: mtimeNs < 0n ? 0n : mtimeNs - (mtimeNs % 1_000_000_000n) }));

function* file(name: string, bytes: Buffer, mtimeNs: bigint): Generator<Buffer> {
  yield fileHeader(name, bytes.length, mtimeNs);
  yield bytes;
  yield tarPadding(bytes.length);
}
