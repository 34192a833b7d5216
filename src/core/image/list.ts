/** `docker images` and `docker history`: what is shown, and what counts as shared. */
import { parseRfc3339 } from '../../base/clock.ts';
import { chainIds } from './chain.ts';
import { compileGlob } from './glob.ts';
import type { Image } from './image.ts';
import { familiarName, parseReference } from './reference.ts';

export interface ImageFilter {
  /** Also images that only others stand on. */
  readonly all: boolean;
  /** Only images without a name, or only those with one. */
  readonly dangling: boolean | undefined;
  /** Patterns as of `path.Match`, against `name:tag` or `name`; any may fit. */
  readonly references: readonly string[];
  readonly createdBeforeNs: bigint | undefined;
  readonly createdAfterNs: bigint | undefined;
  matchesLabels(labels: Readonly<Record<string, string>>): boolean;
}

/** When the image was made, 0n if it does not say. */
export const createdNs = (image: Image): bigint => parseRfc3339(image.created) ?? 0n;

/** The images to show, newest first, with the names that the filter leaves. */
export function listImages(images: readonly Image[], filter: ImageFilter): Image[] {
  const parents = new Set(images.map(({ parent }) => parent));
  const named = filter.references.length === 0 ? () => true : anyOf(filter.references);
  const shown = images.flatMap((image) => {
    if (!inTime(image, filter) || !filter.matchesLabels(image.config.labels)) return [];
    const repoTags = image.repoTags.filter(named);
    const repoDigests = image.repoDigests.filter(named);
    if (repoTags.length > 0 || repoDigests.length > 0) {
      return filter.dangling === true && repoTags.length > 0 ? [] : [{ ...image, repoTags, repoDigests }];
    }
    const hidden = (!filter.all && parents.has(image.id)) || filter.dangling === false || filter.references.length > 0;
    return hidden ? [] : [{ ...image, repoTags, repoDigests }];
  });
  return shown.toSorted((left, right) => (createdNs(left) < createdNs(right) ? 1 : createdNs(left) > createdNs(right) ? -1 : 0));
}

function inTime(image: Image, { createdBeforeNs, createdAfterNs }: ImageFilter): boolean {
  const created = createdNs(image);
  return (createdBeforeNs === undefined || created < createdBeforeNs) && (createdAfterNs === undefined || created > createdAfterNs);
}

function anyOf(patterns: readonly string[]): (name: string) => boolean {
  const tests = patterns.map(compileGlob);
  return (name) => tests.some((test) => test(name) || test(familiarName(parseReference(name))));
}

/** Bytes of an image's layers that other images have too, by image id. */
export function sharedSizes(images: readonly Image[]): Map<string, number> {
  const users = new Map<string, number>();
  const stacks = images.map((image) => ({ image, chain: chainIds(image.diffIds) }));
  for (const { chain } of stacks) for (const chainId of chain) users.set(chainId, (users.get(chainId) ?? 0) + 1);
  return new Map(stacks.map(({ image, chain }) => [
    image.id,
    chain.reduce((sum, chainId, index) => sum + ((users.get(chainId) ?? 0) > 1 ? image.layerSizes[index] ?? 0 : 0), 0),
  ]));
}

export interface HistoryEntry {
  /** Of the image that ends here, or `<missing>`. */
  readonly id: string;
  readonly createdNs: bigint;
  readonly createdBy: string;
  readonly tags: readonly string[];
  readonly size: number;
  readonly comment: string;
}

/** The steps of an image, latest first. `parents` are the images it was committed from, nearest first. */
export function imageHistory(image: Image, parents: readonly Image[]): HistoryEntry[] {
  let layer = 0;
  const entries = image.history.map((step): HistoryEntry => ({
    id: '<missing>',
    createdNs: parseRfc3339(step.created) ?? 0n,
    createdBy: step.createdBy,
    tags: [],
    size: step.emptyLayer ? 0 : image.layerSizes[layer++] ?? 0,
    comment: step.comment,
  }));
  // Each commit adds one step: what a parent ends with is known by how many it has.
  for (const known of [image, ...parents]) {
    const last = known.history.length - 1;
    const entry = entries[last];
    if (entry !== undefined) entries[last] = { ...entry, id: known.id, tags: known.repoTags };
  }
  return entries.toReversed();
}
