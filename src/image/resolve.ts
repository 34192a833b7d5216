/** Finding an image by what a user calls it. */
import { notFound } from '../base/errors.ts';
import type { Image } from '../core/image/image.ts';
import { familiarString, parseId, parseReference, withDefaultTag } from '../core/image/reference.ts';
import type { ImageStore } from './store.ts';

/**
 * By whole id, then by name (`latest` if it has no tag), then by a unique beginning of an id. Throws `not-found`
 * (`No such image: x:latest`), or `invalid` for what is neither.
 */
export function resolveImage(store: ImageStore, text: string): Image {
  const id = parseId(text);
  if (id !== undefined) return store.get(id) ?? missing(id);
  const reference = withDefaultTag(parseReference(text));
  const named = store.references.get(reference);
  const [found, ...others] = named === undefined ? store.search(text) : [named];
  const image = found === undefined || others.length > 0 ? undefined : store.get(found);
  return image ?? missing(familiarString(reference));
}

/** Whether the text is a beginning of the id, so that the id was meant and not a name. */
export const isIdPrefix = (id: string, text: string): boolean => id.startsWith(text) || id.slice(id.indexOf(':') + 1).startsWith(text);

function missing(name: string): never {
  throw notFound(`No such image: ${name}`);
}
