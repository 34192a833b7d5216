/** `docker rmi` and `docker image prune`: what may be removed, and what of it is left for others. */
import { conflict } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { shortId } from '../base/ids.ts';
import { chainIds } from '../core/image/chain.ts';
import type { Image } from '../core/image/image.ts';
import { familiarString, parseReference, withDefaultTag, wholeName } from '../core/image/reference.ts';
import type { Reference } from '../core/image/reference.ts';
import type { ImageDeletion, ImageUse } from '../core/ports/images.ts';
import { telling } from './context.ts';
import type { ImageContext } from './context.ts';
import { isIdPrefix, resolveImage } from './resolve.ts';

export interface RemoveOptions {
  readonly force: boolean;
  readonly noPrune: boolean;
  readonly usedBy: readonly ImageUse[];
}

/** Why an image stays. A hard reason cannot be forced. */
interface Reason {
  readonly hard: boolean;
  /** A container uses it. */
  readonly used: boolean;
  readonly message: string;
}

/** Untags by name; deletes when no name is left, or by id. Throws `conflict` in Docker's words. */
export async function removeImage(context: ImageContext, text: string, options: RemoveOptions): Promise<ImageDeletion[]> {
  const image = resolveImage(context.store, text);
  const deletions: ImageDeletion[] = [];
  const references = context.store.references.of(image.id);
  if (isIdPrefix(image.id, text)) {
    if (isSingle(references)) {
      check(context, image.id, { ...options, references: false });
      for (const reference of references) await untag(context, image, reference, deletions);
    }
    await removeWhole(context, image.id, { ...options, quiet: false, deletions });
    return deletions;
  }
  await untagByName(context, image, text, { ...options, references, deletions });
  if (context.store.references.of(image.id).length > 0) return deletions;
  await removeWhole(context, image.id, { ...options, quiet: true, deletions });
  return deletions;
}

/** Removes images that nobody uses and `matches` allows: those without a tag, with `all` any. */
export async function pruneImages(
  context: ImageContext,
  options: { all: boolean; matches(image: Image): boolean; usedBy: readonly ImageUse[] },
): Promise<{ deleted: ImageDeletion[]; reclaimed: number }> {
  const used = new Set(options.usedBy.map(({ imageId }) => imageId));
  const before = layerBytes(context);
  const deleted: ImageDeletion[] = [];
  for (const { id } of context.store.list()) {
    const image = context.store.get(id);
    if (image === undefined || used.has(id) || !options.matches(image)) continue;
    if (options.all ? hasChildren(context, id) : image.repoTags.length > 0 || hasChildren(context, id)) continue;
    await removeWhole(context, id, { force: true, noPrune: false, usedBy: options.usedBy, quiet: true, deletions: deleted });
  }
  const reclaimed = before - layerBytes(context);
  context.events.publish({ type: 'image', action: 'prune', actorId: '', attributes: { reclaimed: String(reclaimed) }, timeNs: context.clock.nowNs() });
  return { deleted, reclaimed };
}

/** The layers of images that were removed by force, as soon as no container needs them. */
export async function collectDetached(context: ImageContext, inUse: ReadonlySet<string>): Promise<void> {
  for (const id of context.store.detached()) {
    if (!inUse.has(id)) await context.keeper.release(await context.store.remove(id));
  }
}

async function untagByName(
  context: ImageContext,
  image: Image,
  text: string,
  options: RemoveOptions & { references: readonly Reference[]; deletions: ImageDeletion[] },
): Promise<void> {
  const user = options.usedBy.find(({ imageId }) => imageId === image.id);
  if (!options.force && isSingle(options.references) && user !== undefined) {
    throw conflict(`conflict: unable to remove repository reference ${JSON.stringify(text)} (must force) - container ${shortId(user.id)} is using its referenced image ${shortId(image.id)}`);
  }
  const removed = withDefaultTag(parseReference(text));
  await untag(context, image, removed, options.deletions);
  if (removed.digest !== '') return;
  // Digest references of a repository go with its last tag.
  const left = context.store.references.of(image.id).filter((other) => wholeName(other) === wholeName(removed));
  if (left.some(({ digest }) => digest === '')) return;
  for (const reference of left) await untag(context, image, reference, options.deletions);
}

async function untag(context: ImageContext, image: Image, reference: Reference, deletions: ImageDeletion[]): Promise<void> {
  const pinned = reference.digest === '' ? reference : { ...reference, tag: '' };
  if (context.store.references.get(pinned) === undefined) return;
  const name = familiarString(pinned);
  await telling(context, { action: 'untag', id: image.id, name: image.id, proof: { of: 'image name', reference: name, image: '' } }, async () => {
    await context.store.references.remove(pinned);
    await failpoint('untag.done');
  });
  deletions.push({ untagged: name });
}

interface RemoveWhole extends RemoveOptions {
  /** A name was removed already: that the image itself stays is no failure then. */
  readonly quiet: boolean;
  readonly deletions: ImageDeletion[];
}

async function removeWhole(context: ImageContext, id: string, options: RemoveWhole): Promise<void> {
  const image = context.store.get(id);
  if (image === undefined) return;
  const reason = reasonToStay(context, id, { ...options, references: true });
  if (reason !== undefined) {
    const dangling = context.store.references.of(id).length === 0 && !hasChildren(context, id);
    if (options.quiet && (!dangling || reason.used)) return;
    throw refusal(id, reason);
  }
  for (const reference of context.store.references.of(id)) await untag(context, image, reference, options.deletions);
  await removeUnnamed(context, image, options);
  if (!options.noPrune && image.parent !== '') {
    await removeWhole(context, image.parent, { ...options, force: false, quiet: true });
  }
}

/** A layer that a container needs stays with the image's record, which then is no image any more. */
async function removeUnnamed(context: ImageContext, image: Image, options: RemoveWhole): Promise<void> {
  const told = { action: 'delete', id: image.id, name: image.id, labels: image.config.labels, proof: { of: 'image', id: image.id, there: false } } as const;
  if (options.usedBy.some(({ imageId }) => imageId === image.id)) {
    await telling(context, told, () => context.store.detach(image.id));
    options.deletions.push({ deleted: image.id });
    return;
  }
  const chain = await telling(context, told, () => context.store.remove(image.id));
  options.deletions.push({ deleted: image.id });
  const gone = await context.keeper.release(chain);
  for (const chainId of gone) {
    options.deletions.push({ deleted: chainId });
    const diffId = image.diffIds[chain.indexOf(chainId)];
    if (diffId !== undefined) await context.distribution.remove(diffId);
  }
}

function check(context: ImageContext, id: string, options: RemoveOptions & { references: boolean }): void {
  const reason = reasonToStay(context, id, options);
  if (reason !== undefined) throw refusal(id, reason);
}

const refusal = (id: string, { hard, message }: Reason): Error =>
  conflict(`conflict: unable to delete ${shortId(id)} (${hard ? 'cannot be forced' : 'must be forced'}) - ${message}`);

function reasonToStay(context: ImageContext, id: string, options: RemoveOptions & { references: boolean }): Reason | undefined {
  const users = options.usedBy.filter(({ imageId }) => imageId === id);
  const running = users.find((user) => user.running);
  const [stopped] = users;
  if (hasChildren(context, id)) return { hard: true, used: false, message: 'image has dependent child images' };
  if (running !== undefined) return { hard: true, used: true, message: `image is being used by running container ${shortId(running.id)}` };
  if (options.force) return undefined;
  if (options.references && context.store.references.of(id).length > 0) {
    return { hard: false, used: false, message: 'image is referenced in multiple repositories' };
  }
  if (stopped !== undefined) return { hard: false, used: true, message: `image is being used by stopped container ${shortId(stopped.id)}` };
  return undefined;
}

const hasChildren = (context: ImageContext, id: string): boolean => context.store.list().some(({ parent }) => parent === id);

/** Whether the names are one tag, with the digests of its repository, or digests of one repository. */
function isSingle(references: readonly Reference[]): boolean {
  const tags = references.filter(({ digest }) => digest === '');
  return references.length > 0 && tags.length <= 1 && new Set(references.map(wholeName)).size === 1;
}

/** Bytes of all layers of all images, each counted once. */
function layerBytes(context: ImageContext): number {
  const sizes = new Map(context.store.list().flatMap(({ diffIds, layerSizes }) =>
    chainIds(diffIds).map((chainId, index): [string, number] => [chainId, layerSizes[index] ?? 0])));
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}
