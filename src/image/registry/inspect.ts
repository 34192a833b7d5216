/** What a registry has under a name, without pulling it. */
import { parseObject, text } from '../../core/image/jsonFields.ts';
import { MAX_CONFIG_BYTES } from '../../core/image/config.ts';
import type { Reference } from '../../core/image/reference.ts';
import type { DistributionInspect } from '../../core/ports/images.ts';
import { fetchManifest } from './manifests.ts';
import type { Session } from './session.ts';
import { readBody } from './transport.ts';

export async function inspectRemote(session: Session, reference: Reference): Promise<DistributionInspect> {
  const { digest, size, manifest } = await fetchManifest(session, reference.path, reference.digest || reference.tag);
  const descriptor = { mediaType: manifest.mediaType, digest, size };
  if (manifest.kind === 'index') {
    return { descriptor, platforms: manifest.manifests.flatMap(({ platform }) => platform ?? []) };
  }
  const response = await session.request({ method: 'GET', path: `/v2/${reference.path}/blobs/${manifest.config.digest}`, expect: [200] });
  const config = parseObject(await readBody(response, MAX_CONFIG_BYTES, 'image config'), 'image config');
  const platform = { architecture: text(config, 'architecture'), os: text(config, 'os'), variant: text(config, 'variant') };
  return { descriptor, platforms: platform.os === '' ? [] : [platform] };
}
