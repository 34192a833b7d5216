/** OCI image layouts: index.json and blobs by digest. */
import { invalid } from '../../base/errors.ts';
import { sha256 } from '../../core/image/chain.ts';
import { MAX_CONFIG_BYTES } from '../../core/image/config.ts';
import { text } from '../../core/image/jsonFields.ts';
import { MAX_MANIFEST_BYTES, choosePlatform, decodeManifest } from '../../core/image/manifest.ts';
import type { Descriptor, Manifest, ManifestIndex } from '../../core/image/manifest.ts';
import { hostPlatform } from '../../core/image/platform.ts';
import type { ArchivedImage } from './load.ts';
import type { Spool } from './spool.ts';

const MAX_NESTING = 4;

/** The images of an index; of an image for several platforms the one for this machine. */
export async function readOciLayout(spool: Spool): Promise<ArchivedImage[]> {
  const index = decodeManifest(await spool.bytes('index.json', MAX_MANIFEST_BYTES), '');
  if (index.kind !== 'index') throw invalid('invalid archive: index.json is not an index');
  const images = new Map<string, { config: Buffer; layers: Manifest['layers']; names: string[] }>();
  for (const entry of index.manifests) {
    const manifest = await readManifest(spool, entry, 0);
    if (manifest === undefined) continue;
    const known = images.get(manifest.config.digest);
    const names = nameOf(entry);
    if (known !== undefined) known.names.push(...names);
    else images.set(manifest.config.digest, { config: await readBlob(spool, manifest.config, MAX_CONFIG_BYTES), layers: manifest.layers, names });
  }
  if (images.size === 0) throw invalid('invalid archive: index.json has no image for this platform');
  return [...images.values()].map(({ config, layers, names }) => ({
    config,
    layers: layers.map(({ digest }) => spool.file(blobName(digest))),
    names: [...new Set(names)],
  }));
}

/** Undefined for what is no image, like an attestation, or not for this machine. */
async function readManifest(spool: Spool, descriptor: Descriptor, nesting: number): Promise<Manifest | undefined> {
  if (nesting > MAX_NESTING) throw invalid('invalid archive: indexes are nested too deeply');
  const decoded = decodeManifest(await readBlob(spool, descriptor, MAX_MANIFEST_BYTES), descriptor.mediaType);
  if (decoded.kind === 'manifest') return decoded;
  const chosen = choosePlatform(decoded, hostPlatform());
  return chosen === undefined ? undefined : readManifest(spool, chosen, nesting + 1);
}

async function readBlob(spool: Spool, { digest }: Descriptor, limit: number): Promise<Buffer> {
  const bytes = await spool.bytes(blobName(digest), limit);
  if (sha256(bytes) !== digest) throw invalid(`invalid archive: blob ${digest} does not have its digest`);
  return bytes;
}

const blobName = (digest: string): string => `blobs/${digest.replace(':', '/')}`;

/** Containerd writes the whole name; others write it, or only the tag, into the reference name. */
function nameOf({ annotations }: ManifestIndex['manifests'][number]): string[] {
  const whole = text(annotations, 'io.containerd.image.name');
  if (whole !== '') return [whole];
  const reference = text(annotations, 'org.opencontainers.image.ref.name');
  return /[/:]/.test(reference) ? [reference] : [];
}
