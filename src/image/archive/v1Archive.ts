/** Docker's archives before 1.10: a directory per layer (`json`, `layer.tar`) and a `repositories` file. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { invalid } from '../../base/errors.ts';
import { decodeDefaults, encodeImageConfig } from '../../core/image/config.ts';
import { member, objectAt, parseObject, stringMapAt, stringsAt, text } from '../../core/image/jsonFields.ts';
import { hostPlatform } from '../../core/image/platform.ts';
import { decompress } from '../../sys/decompress.ts';
import type { ArchivedImage } from './load.ts';
import type { Spool } from './spool.ts';

const MAX_JSON = 4 * 1024 * 1024;
const MAX_DEPTH = 127;

type LayerJson = ReturnType<typeof parseObject>;

/** The images that the repositories file names. */
export async function readV1Archive(spool: Spool): Promise<ArchivedImage[]> {
  const repositories = parseObject(await spool.bytes('repositories', MAX_JSON), 'repositories file');
  const names = new Map<string, string[]>();
  for (const repository of repositories.keys()) {
    for (const [tag, id] of Object.entries(stringMapAt(repositories, repository))) {
      names.set(id, [...(names.get(id) ?? []), `${repository}:${tag}`]);
    }
  }
  const images: ArchivedImage[] = [];
  for (const [id, tags] of names) images.push({ ...(await readImage(spool, id)), names: tags });
  return images;
}

async function readImage(spool: Spool, top: string): Promise<Omit<ArchivedImage, 'names'>> {
  const stack = await readStack(spool, top);
  const layers = stack.map(({ id }) => spool.file(`${id}/layer.tar`));
  const last = stack.at(-1)?.json;
  if (last === undefined) throw invalid('invalid archive: an image without layers');
  const diffIds: string[] = [];
  for (const { path } of layers) diffIds.push(await diffIdOf(path));
  const config = encodeImageConfig({
    architecture: text(last, 'architecture') || hostPlatform().architecture,
    os: text(last, 'os') || 'linux',
    variant: '',
    created: text(last, 'created'),
    author: text(last, 'author'),
    comment: text(last, 'comment'),
    config: decodeDefaults(objectAt(last, 'config')),
    diffIds,
    history: stack.map(({ json }) => ({
      created: text(json, 'created'),
      createdBy: (stringsAt(objectAt(json, 'container_config'), 'Cmd') ?? []).join(' '),
      author: text(json, 'author'),
      comment: text(json, 'comment'),
      emptyLayer: false,
    })),
  });
  return { config, layers };
}

/** The layers of an image, lowest first. */
async function readStack(spool: Spool, top: string): Promise<{ id: string; json: LayerJson }[]> {
  const stack: { id: string; json: LayerJson }[] = [];
  for (let id = top; id !== '';) {
    if (!/^[a-f0-9]{64}$/.test(id)) throw invalid(`invalid archive: ${JSON.stringify(id)} is no layer id`);
    // Also what ends a circle of parents.
    if (stack.length > MAX_DEPTH) throw invalid('invalid archive: max depth exceeded');
    const json = parseObject(await spool.bytes(`${id}/json`, MAX_JSON), `layer ${id}`);
    stack.unshift({ id, json });
    id = member(json, 'parent') === null ? '' : text(json, 'parent');
  }
  return stack;
}

async function diffIdOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of await decompress(createReadStream(path))) hash.update(chunk as Buffer);
  return `sha256:${hash.digest('hex')}`;
}
