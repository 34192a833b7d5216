/** An image of many layers, as an archive and in a registry, made without the help of either engine. */
import { createHash, randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { makeBusyboxArchive, makeTar } from '../scripts/mkimage.ts';
import type { Entry } from '../scripts/mkimage.ts';
import { startRegistry } from '../test/fixtures/registry.ts';
import { scratch } from './files.ts';

export interface LayerPlan {
  readonly layers: number;
  readonly filesPerLayer: number;
  readonly bytesPerFile: number;
}

/** Layers whose files are half noise and half text, as programs are: gzip makes them about half as large. */
function layersOf({ layers, filesPerLayer, bytesPerFile }: LayerPlan): Entry[][] {
  return Array.from({ length: layers }, (_, layer): Entry[] => [
    { name: `layer${layer}`, type: 'd' },
    ...Array.from({ length: filesPerLayer }, (__, file): Entry => {
      const noise = randomBytes(Math.ceil(bytesPerFile / 2));
      return { name: `layer${layer}/file${file}`, type: 'f', content: Buffer.concat([noise, Buffer.alloc(bytesPerFile - noise.length, `words of layer ${layer}, file ${file}; `)]) };
    }),
  ]);
}

const archives = new Map<string, Promise<string>>();

/** The path of an archive for `docker load`, with the image `reference`: busybox and the layers over it. Made once per reference. */
export function layeredImage(reference: string, plan: LayerPlan): Promise<string> {
  const made = archives.get(reference) ?? write(reference, plan);
  archives.set(reference, made);
  return made;
}

async function write(reference: string, plan: LayerPlan): Promise<string> {
  const file = path.join(scratch('image'), 'image.tar');
  writeFileSync(file, await makeBusyboxArchive({ reference, extraLayers: layersOf(plan) }));
  return file;
}

const digest = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
let seeded: Promise<string> | undefined;

/**
 * The root of a registry that holds `big:1`: layers without a base, compressed by zlib. Both engines pull the same bytes.
 * Made once; serve it with `startRegistry({ root })`.
 */
export function seededRegistry(plan: LayerPlan): Promise<string> {
  seeded ??= seed(plan);
  return seeded;
}

async function seed(plan: LayerPlan): Promise<string> {
  const root = scratch('registry');
  await using registry = await startRegistry({ root });
  const base = `http://${registry.host}/v2/big`;
  const put = async (bytes: Uint8Array): Promise<string> => {
    const begun = await call('POST', `${base}/blobs/uploads/`);
    const location = new URL(begun.headers.get('location') ?? '', base);
    location.searchParams.set('digest', digest(bytes));
    await call('PUT', location.href, bytes, 'application/octet-stream');
    return digest(bytes);
  };
  const diffIds: string[] = [];
  const layers: object[] = [];
  for (const entries of layersOf(plan)) {
    const plain = makeTar(entries);
    const packed = await promisify(gzip)(plain);
    diffIds.push(digest(plain));
    layers.push({ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', size: packed.length, digest: await put(packed) });
  }
  const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }));
  const mediaType = 'application/vnd.docker.distribution.manifest.v2+json';
  const manifest = { schemaVersion: 2, mediaType, config: { mediaType: 'application/vnd.docker.container.image.v1+json', size: config.length, digest: await put(config) }, layers };
  await call('PUT', `${base}/manifests/1`, Buffer.from(JSON.stringify(manifest)), mediaType);
  return root;
}

async function call(method: string, url: string, body?: Uint8Array, type?: string): Promise<Response> {
  const answer = await fetch(url, {
    method,
    ...(body === undefined ? {} : { body: new Uint8Array(body), headers: { 'Content-Type': type ?? '' } }),
    signal: AbortSignal.timeout(60_000),
  });
  if (!answer.ok) throw new Error(`${method} ${url}: ${answer.status} ${await answer.text()}`);
  return answer;
}
