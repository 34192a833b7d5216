/** Images made here: `docker commit` (one more layer over a parent) and `docker import` (a file system as one layer). */
import type { Readable } from 'node:stream';
import { rfc3339Nano } from '../base/clock.ts';
import { failpoint } from '../base/failpoint.ts';
import { applyChanges } from '../core/image/changes.ts';
import { chainIds, sha256 } from '../core/image/chain.ts';
import { emptyDefaults, encodeImageConfig } from '../core/image/config.ts';
import type { ImageConfig } from '../core/image/config.ts';
import type { Image } from '../core/image/image.ts';
import { hostPlatform, parsePlatform } from '../core/image/platform.ts';
import type { Platform } from '../core/image/platform.ts';
import { familiarString, parseReference, withDefaultTag, withTag } from '../core/image/reference.ts';
import type { Reference } from '../core/image/reference.ts';
import type { ImagePort } from '../core/ports/images.ts';
import { decompress } from '../sys/decompress.ts';
import { telling } from './context.ts';
import type { ImageContext } from './context.ts';
import { EMPTY_LAYER, LayerFile } from './layerFile.ts';

type CommitOptions = Parameters<ImagePort['commit']>[0];
type ImportOptions = Parameters<ImagePort['import']>[1];

/** A new image of the parent's layers and the diff; a diff without entries adds no layer. */
export async function commitImage(context: ImageContext, options: CommitOptions): Promise<Image> {
  const reference = options.reference === '' ? undefined : withDefaultTag(parseReference(options.reference));
  const { parent } = options;
  const created = rfc3339Nano(context.clock.nowNs());
  await using layer = await LayerFile.write(options.diff, context.store.temporary);
  const empty = layer.digest === EMPTY_LAYER;
  const own: Platform = parent === null ? hostPlatform() : parent;
  const config: ImageConfig = {
    architecture: own.architecture,
    os: own.os,
    variant: own.variant,
    created,
    author: options.author,
    comment: options.comment,
    config: options.config,
    diffIds: [...(parent?.diffIds ?? []), ...(empty ? [] : [layer.digest])],
    history: [...(parent?.history ?? []), {
      created, createdBy: options.createdBy, author: options.author, comment: options.comment, emptyLayer: empty,
    }],
  };
  return await addImage(context, { config, layer: empty ? undefined : layer, parent: parent?.id ?? '', sizes: parent?.layerSizes ?? [], reference });
}

/** The id of an image whose only layer is the archive (plain or compressed). */
export async function importImage(context: ImageContext, archive: Readable, options: ImportOptions): Promise<string> {
  const reference = importReference(options.repo, options.tag);
  const platform = parsePlatform(options.platform);
  const defaults = applyChanges(emptyDefaults(), options.changes);
  const created = rfc3339Nano(context.clock.nowNs());
  await using layer = await LayerFile.write(await decompress(archive), context.store.temporary, options.signal);
  const config: ImageConfig = {
    architecture: platform.architecture,
    os: platform.os,
    variant: platform.variant,
    created,
    author: '',
    comment: options.message,
    config: defaults,
    diffIds: [layer.digest],
    history: [{ created, createdBy: '', author: '', comment: options.message, emptyLayer: false }],
  };
  const id = sha256(encodeImageConfig(config));
  const told = { action: 'import', id, name: reference === undefined ? id : familiarString(reference), labels: defaults.labels, proof: { of: 'image', id, there: true } } as const;
  const image = await telling(context, told, () => addImage(context, { config, layer, parent: '', sizes: [], reference, signal: options.signal }));
  options.progress({ kind: 'status', status: image.id });
  return image.id;
}

function importReference(repo: string, tag: string): Reference | undefined {
  if (repo === '') return undefined;
  const reference = parseReference(repo);
  return tag === '' ? withDefaultTag(reference) : withTag(reference, tag);
}

interface NewImage {
  readonly config: ImageConfig;
  /** The top layer, if it is new. */
  readonly layer: LayerFile | undefined;
  readonly parent: string;
  /** Of the layers below. */
  readonly sizes: readonly number[];
  readonly reference: Reference | undefined;
  readonly signal?: AbortSignal;
}

async function addImage(context: ImageContext, image: NewImage): Promise<Image> {
  const { layer, config } = image;
  const chain = chainIds(config.diffIds);
  const lease = context.keeper.lease();
  try {
    for (const chainId of chain) lease.hold(chainId);
    const layerSizes = [...image.sizes];
    const chainId = chain.at(-1);
    if (layer !== undefined && chainId !== undefined) {
      const spec = { chainId, diffId: layer.digest, parent: chain.at(-2) ?? null };
      layerSizes.push(await lease.ensure(spec, async () => layer.read(), image.signal));
    }
    return await context.mutex.run(async () => {
      const added = await context.store.add(encodeImageConfig(config), { layerSizes, parent: image.parent });
      await failpoint('image.added');
      if (image.reference === undefined) return added;
      await nameImage(context, added.id, { reference: image.reference, told: image.parent !== '' });
      return context.store.get(added.id) ?? added;
    });
  } finally {
    await lease.release();
  }
}

/** Of an import the name goes with the image, and is not told by itself. */
async function nameImage(context: ImageContext, id: string, { reference, told }: { reference: Reference; told: boolean }): Promise<void> {
  const name = familiarString(reference);
  const set = async (): Promise<void> => {
    await context.store.references.set(reference, id);
    await failpoint('image.named');
  };
  await (told ? telling(context, { action: 'tag', id, name, proof: { of: 'image name', reference: name, image: id } }, set) : set());
}
