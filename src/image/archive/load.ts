/** `docker load`: archives of `docker save` (with manifest.json), OCI layouts, and Docker's old directory format. */
import { createReadStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { invalid, notFound } from '../../base/errors.ts';
import { failpoint } from '../../base/failpoint.ts';
import { shortId } from '../../base/ids.ts';
import { chainIds, sha256 } from '../../core/image/chain.ts';
import { decodeImageConfig } from '../../core/image/config.ts';
import { formatPlatform, hostPlatform, parsePlatform, platformRank } from '../../core/image/platform.ts';
import { familiarString, parseReference, withDefaultTag } from '../../core/image/reference.ts';
import type { Reference } from '../../core/image/reference.ts';
import type { Image } from '../../core/image/image.ts';
import type { ProgressSink } from '../../core/ports/images.ts';
import type { Proof } from '../../core/ports/telling.ts';
import { decompress } from '../../sys/decompress.ts';
import { telling } from '../context.ts';
import type { ImageContext } from '../context.ts';
import type { LayerLease } from '../layerKeeper.ts';
import { metered } from '../progress.ts';
import { readDockerArchive } from './dockerArchive.ts';
import { readOciLayout } from './ociLayout.ts';
import { Spool } from './spool.ts';
import type { SpooledFile } from './spool.ts';
import { readV1Archive } from './v1Archive.ts';

/** An image as an archive has it. */
export interface ArchivedImage {
  readonly config: Buffer;
  /** Lowest first, each plain or compressed. */
  readonly layers: readonly SpooledFile[];
  readonly names: readonly string[];
}

export interface LoadOptions {
  readonly quiet: boolean;
  readonly platform: string;
  readonly progress: ProgressSink;
  readonly signal: AbortSignal;
}

/** Loads every image of the archive. Throws `invalid` for what is none; images before the damaged one stay loaded, whole. */
export async function loadArchive(context: ImageContext, archive: Readable, options: LoadOptions): Promise<void> {
  await using spool = await Spool.read(archive, context.store.temporary, options.signal);
  for (const archived of await readImages(spool)) await loadImage(context, archived, options);
}

async function readImages(spool: Spool): Promise<ArchivedImage[]> {
  if (spool.find('manifest.json') !== undefined) return readDockerArchive(spool);
  if (spool.find('index.json') !== undefined) return readOciLayout(spool);
  if (spool.find('repositories') !== undefined) return readV1Archive(spool);
  throw invalid('invalid archive: does not contain a manifest.json, an index.json or a repositories file');
}

async function loadImage(context: ImageContext, archived: ArchivedImage, options: LoadOptions): Promise<void> {
  const references = archived.names.map(parseTag);
  checkImage(archived, options.platform);
  const lease = context.keeper.lease();
  try {
    const layerSizes = await loadLayers(archived, { ...options, lease });
    const id = sha256(archived.config);
    const [first, last] = [references[0], references.at(-1)];
    const proof: Proof = last === undefined ? { of: 'image', id, there: true } : { of: 'image name', reference: familiarString(last), image: id };
    const { labels } = decodeImageConfig(archived.config).config;
    const image = await telling(context, { action: 'load', id, name: first === undefined ? id : familiarString(first), labels, proof }, () => context.mutex.run(async () => {
      const added = await context.store.add(archived.config, { layerSizes });
      await failpoint('load.added');
      for (const reference of references) await name(context, { reference, image: added, progress: options.progress });
      await failpoint('load.named');
      return added;
    }));
    if (references.length === 0) options.progress({ kind: 'stream', text: `Loaded image ID: ${image.id}\n` });
  } finally {
    await lease.release();
  }
}

/** Refuses an image that cannot run here, or is not the one asked for, before anything is unpacked. */
function checkImage({ config, layers }: ArchivedImage, platform: string): void {
  const decoded = decodeImageConfig(config);
  if (decoded.os !== 'linux') throw invalid(`cannot load ${decoded.os} image on linux`);
  if (decoded.diffIds.length !== layers.length) {
    throw invalid(`invalid manifest, layers length mismatch: expected ${decoded.diffIds.length}, got ${layers.length}`);
  }
  if (platform === '') return;
  const wanted = parsePlatform(platform);
  const own = { ...decoded, architecture: decoded.architecture || hostPlatform().architecture };
  if (platformRank(wanted, own) !== 0) {
    throw notFound(`requested platform (${formatPlatform(wanted)}) not found: image is ${formatPlatform(own)}`);
  }
}

async function loadLayers(
  archived: ArchivedImage,
  options: LoadOptions & { lease: LayerLease },
): Promise<number[]> {
  const { diffIds } = decodeImageConfig(archived.config);
  const chain = chainIds(diffIds);
  const layerSizes: number[] = [];
  for (const [index, file] of archived.layers.entries()) {
    const [diffId, chainId] = [diffIds[index], chain[index]];
    if (diffId === undefined || chainId === undefined) throw invalid('invalid manifest, layers length mismatch');
    const open = async (): Promise<Readable> => {
      const raw = createReadStream(file.path);
      const id = shortId(diffId);
      return decompress(options.quiet ? raw : metered(raw, { id, status: 'Loading layer', total: file.size, progress: options.progress }));
    };
    layerSizes.push(await options.lease.ensure({ chainId, diffId, parent: chain[index - 1] ?? null }, open, options.signal));
  }
  return layerSizes;
}

async function name(context: ImageContext, { reference, image, progress }: { reference: Reference; image: Image; progress: ProgressSink }): Promise<void> {
  const before = await context.store.references.set(reference, image.id);
  if (before !== undefined) {
    progress({ kind: 'stream', text: `The image ${familiarString(reference)} already exists, renaming the old one with ID ${before} to empty string\n` });
  }
  progress({ kind: 'stream', text: `Loaded image: ${familiarString(reference)}\n` });
}

function parseTag(text: string): Reference {
  const reference = parseReference(text);
  if (reference.digest !== '' || withDefaultTag(reference).tag !== reference.tag) throw invalid(`invalid tag ${JSON.stringify(text)}`);
  return reference;
}
