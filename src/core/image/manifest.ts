/** Image manifests and lists of them: Docker schema 2 and OCI. */
import { invalid, notImplemented } from '../../base/errors.ts';
import type { JsonObject } from '../../base/json.ts';
import { count, member, objectAt, objectsAt, parseObject, text } from './jsonFields.ts';
import { formatPlatform, platformRank } from './platform.ts';
import type { Platform } from './platform.ts';
import { isSha256 } from './reference.ts';

/** Content by its digest. */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface Manifest {
  readonly kind: 'manifest';
  readonly mediaType: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
}

export interface ManifestIndex {
  readonly kind: 'index';
  readonly mediaType: string;
  readonly manifests: readonly (Descriptor & { readonly platform: Platform | undefined; readonly annotations: JsonObject })[];
}

export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;
const MAX_LAYERS = 1024;

export const MEDIA = {
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerSchema1: 'application/vnd.docker.distribution.manifest.v1+json',
  dockerSchema1Signed: 'application/vnd.docker.distribution.manifest.v1+prettyjws',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerForeignLayer: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
} as const;

/** What a pull accepts, in order of liking. */
export const ACCEPTED_MANIFESTS: readonly string[] = [
  MEDIA.dockerManifest, MEDIA.dockerList, MEDIA.ociIndex, MEDIA.ociManifest,
];

const INDEX_TYPES: ReadonlySet<string> = new Set([MEDIA.dockerList, MEDIA.ociIndex]);
const MANIFEST_TYPES: ReadonlySet<string> = new Set([MEDIA.dockerManifest, MEDIA.ociManifest]);
const SCHEMA1_TYPES: ReadonlySet<string> = new Set([MEDIA.dockerSchema1, MEDIA.dockerSchema1Signed]);

/**
 * `contentType` is what came with it (a registry's header, a descriptor's media type); the document's own `mediaType`
 * counts if that says nothing. Throws `invalid` for what cannot be read, `not-implemented` for schema 1.
 */
export function decodeManifest(bytes: Uint8Array, contentType: string): Manifest | ManifestIndex {
  if (bytes.length > MAX_MANIFEST_BYTES) throw invalid('manifest is too large');
  const root = parseObject(bytes, 'manifest');
  const declared = contentType.split(';', 1)[0]?.trim() ?? '';
  const mediaType = known(declared) ? declared : guess(root);
  if (SCHEMA1_TYPES.has(mediaType)) {
    throw notImplemented('[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed. More information at https://docs.docker.com/go/deprecated-image-specs/');
  }
  if (INDEX_TYPES.has(mediaType)) return decodeIndex(root, mediaType);
  if (MANIFEST_TYPES.has(mediaType)) return decodeImage(root, mediaType);
  throw invalid(`unsupported manifest media type ${JSON.stringify(declared)}`);
}

const known = (mediaType: string): boolean =>
  INDEX_TYPES.has(mediaType) || MANIFEST_TYPES.has(mediaType) || SCHEMA1_TYPES.has(mediaType);

function guess(root: JsonObject): string {
  const own = text(root, 'mediaType');
  if (own !== '') return own;
  if (count(root, 'schemaVersion') === 1) return MEDIA.dockerSchema1;
  return member(root, 'manifests') === null ? MEDIA.ociManifest : MEDIA.ociIndex;
}

function decodeImage(root: JsonObject, mediaType: string): Manifest {
  const layers = objectsAt(root, 'layers').map(decodeDescriptor);
  if (layers.length > MAX_LAYERS) throw invalid(`image has too many layers (${layers.length})`);
  return { kind: 'manifest', mediaType, config: decodeDescriptor(objectAt(root, 'config')), layers };
}

function decodeIndex(root: JsonObject, mediaType: string): ManifestIndex {
  const manifests = objectsAt(root, 'manifests').map((entry) => {
    const platform = member(entry, 'platform');
    return {
      ...decodeDescriptor(entry),
      annotations: objectAt(entry, 'annotations'),
      platform: platform instanceof Map
        ? { os: text(platform, 'os'), architecture: text(platform, 'architecture'), variant: text(platform, 'variant') }
        : undefined,
    };
  });
  return { kind: 'index', mediaType, manifests };
}

function decodeDescriptor(object: JsonObject): Descriptor {
  const digest = text(object, 'digest');
  if (!isSha256(digest)) throw invalid(`unsupported digest ${JSON.stringify(digest)} in manifest`);
  return { mediaType: text(object, 'mediaType'), digest, size: count(object, 'size') };
}

/** The list's best entry for a platform, or undefined. */
export function choosePlatform(index: ManifestIndex, wanted: Platform): ManifestIndex['manifests'][number] | undefined {
  const ranked = index.manifests.flatMap((entry) => {
    const rank = entry.platform === undefined ? undefined : platformRank(wanted, entry.platform);
    return rank === undefined ? [] : [{ entry, rank }];
  });
  return ranked.toSorted((left, right) => left.rank - right.rank)[0]?.entry;
}

/** Docker's text for a list without an entry for the platform. */
export const noMatchingManifest = (wanted: Platform): string =>
  `no matching manifest for ${formatPlatform(wanted)} in the manifest list entries`;
