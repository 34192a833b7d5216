/** Archives with a manifest.json (`docker save` since Docker 1.10). */
import { invalid, messageOf } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { MAX_CONFIG_BYTES } from '../../core/image/config.ts';
import { stringsAt, text } from '../../core/image/jsonFields.ts';
import { MAX_MANIFEST_BYTES } from '../../core/image/manifest.ts';
import type { ArchivedImage } from './load.ts';
import type { Spool } from './spool.ts';

/** The images that manifest.json lists. */
export async function readDockerArchive(spool: Spool): Promise<ArchivedImage[]> {
  const manifest = parseManifest(await spool.bytes('manifest.json', MAX_MANIFEST_BYTES));
  return Promise.all(manifest.map(async (entry) => ({
    config: await spool.bytes(text(entry, 'Config'), MAX_CONFIG_BYTES),
    layers: (stringsAt(entry, 'Layers') ?? []).map((name) => spool.file(name)),
    names: stringsAt(entry, 'RepoTags') ?? [],
  })));
}

function parseManifest(bytes: Buffer): Parameters<typeof text>[0][] {
  try {
    const value = parseJson(bytes.toString('utf8'));
    if (Array.isArray(value)) {
      return value.map((entry) => {
        if (entry instanceof Map) return entry;
        throw new Error('an entry is not an object');
      });
    }
  } catch (error) {
    throw invalid(`invalid archive: manifest.json: ${messageOf(error)}`, error);
  }
  throw invalid('invalid archive: manifest.json is not a list');
}
