/** Manifests of a repository. */
import { unavailable } from '../../base/errors.ts';
import { sha256 } from '../../core/image/chain.ts';
import { ACCEPTED_MANIFESTS, MAX_MANIFEST_BYTES, decodeManifest } from '../../core/image/manifest.ts';
import type { Manifest, ManifestIndex } from '../../core/image/manifest.ts';
import { isSha256, parseReference, withTag } from '../../core/image/reference.ts';
import { parseJson } from '../../base/json.ts';
import { stringsAt } from '../../core/image/jsonFields.ts';
import type { Session } from './session.ts';
import { parseUrl, readBody } from './transport.ts';

export interface FetchedManifest {
  readonly digest: string;
  readonly size: number;
  readonly manifest: Manifest | ManifestIndex;
}

/** The manifest of a tag or digest. Its bytes are checked against the digest, asked for or promised. */
export async function fetchManifest(session: Session, path: string, tagOrDigest: string): Promise<FetchedManifest> {
  const response = await session.request({
    method: 'GET',
    path: `/v2/${path}/manifests/${tagOrDigest}`,
    headers: { Accept: ACCEPTED_MANIFESTS.join(', ') },
    expect: [200],
  });
  const bytes = await readBody(response, MAX_MANIFEST_BYTES, 'manifest');
  const digest = sha256(bytes);
  const promised = response.header('docker-content-digest');
  const wanted = isSha256(tagOrDigest) ? tagOrDigest : isSha256(promised) ? promised : digest;
  if (digest !== wanted) throw unavailable(`manifest verification failed for digest ${wanted}`);
  return { digest, size: bytes.length, manifest: decodeManifest(bytes, response.header('content-type')) };
}

const MAX_TAGS = 10_000;
const MAX_LIST_BYTES = 4 * 1024 * 1024;

/** All tags of a repository. */
export async function listTags(session: Session, path: string): Promise<string[]> {
  const tags: string[] = [];
  let page: string | undefined = `/v2/${path}/tags/list`;
  while (page !== undefined) {
    const response = await session.request({ method: 'GET', path: page, expect: [200] });
    const link = /<([^>]*)>\s*;\s*rel="?next"?/.exec(response.header('link'))?.[1];
    const root = parseJson((await readBody(response, MAX_LIST_BYTES, 'list of tags')).toString('utf8'));
    const found = root instanceof Map ? stringsAt(root, 'tags') ?? [] : [];
    tags.push(...found.map((tag) => withTag(parseReference('x'), tag).tag));
    if (tags.length > MAX_TAGS) throw unavailable(`repository ${path} has more than ${MAX_TAGS} tags`);
    // A page without tags that names a next one would never end.
    page = found.length === 0 || link === undefined ? undefined : parseUrl(link, response.url)?.href;
  }
  return tags;
}
