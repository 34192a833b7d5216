/** Archives of every form, and archives that mean harm: a clear refusal, and nothing left. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, before, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import fc from 'fast-check';
import { busyboxArchive, makeTar } from '../../../test/fixtures/images.ts';
import type { Entry } from '../../../test/fixtures/images.ts';
import { openImages } from '../../../test/fixtures/imageStore.ts';
import type { ImageFixture } from '../../../test/fixtures/imageStore.ts';
import { filterThrough } from '../../sys/filter.ts';

const hex = (bytes: string | Buffer): string => createHash('sha256').update(bytes).digest('hex');
const stream = (bytes: Buffer): Readable => Readable.from([bytes], { objectMode: false });
const file = (name: string, content: string | Buffer): Entry => ({ name, type: 'f', content });

const LAYER = makeTar([file('hello', 'hi')]);
const SECOND = makeTar([file('again', 'hi')]);

interface Parts {
  layers: Buffer[];
  config: Record<string, unknown>;
  manifest: unknown;
  files: Entry[];
}

/** An archive of one small image, with what a test wants otherwise. */
function archive(change: Partial<Parts> = {}): Buffer {
  const layers = change.layers ?? [LAYER];
  const config = JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${hex(layer)}`) }, ...change.config });
  const manifest = change.manifest ?? [{ Config: 'config.json', RepoTags: ['small:1'], Layers: layers.map((_, index) => `${index}.tar`) }];
  return makeTar([
    ...(change.files ?? layers.map((layer, index) => file(`${index}.tar`, layer))),
    file('config.json', config),
    file('manifest.json', JSON.stringify(manifest)),
  ]);
}

let fixture: ImageFixture;
before(async () => { fixture = await openImages(); });
after(() => fixture[Symbol.asyncDispose]());

/** Nothing of a refused archive stays: no image, no layer, no file. */
async function refused(bytes: Buffer, message: RegExp | string): Promise<void> {
  await assert.rejects(fixture.load(stream(bytes)), typeof message === 'string' ? { message } : message);
  await nothingLeft();
}

async function nothingLeft(): Promise<void> {
  assert.deepEqual(await readdir(join(fixture.root, 'images/tmp')), []);
  assert.deepEqual(await readdir(join(fixture.root, 'images/records')), []);
  assert.deepEqual(await readdir(join(fixture.root, 'images/blobs/sha256')), []);
  assert.deepEqual(await fixture.layers.list(), []);
}

async function loads(bytes: Buffer, expected: readonly string[]): Promise<void> {
  assert.deepEqual(await fixture.load(stream(bytes)), expected);
  for (const { id } of await fixture.images.list()) await fixture.images.remove(id, { force: true, noPrune: false, usedBy: [] });
  await nothingLeft();
}

test('compressed archives, compressed layers', { timeout: 60_000 }, async () => {
  const plain = archive();
  const forms: Record<string, Buffer> = {
    gzip: gzipSync(plain),
    zstd: zstdCompressSync(plain),
    xz: await buffer(filterThrough(['xz', '-c'], stream(plain))),
    bzip2: await buffer(filterThrough(['bzip2', '-c'], stream(plain))),
    layers: archive({ layers: [LAYER, SECOND], files: [file('0.tar', gzipSync(LAYER)), file('1.tar', zstdCompressSync(SECOND))] }),
  };
  for (const [form, bytes] of Object.entries(forms)) {
    await loads(bytes, ['Loaded image: small:1\n']).catch((error: unknown) => assert.fail(`${form}: ${String(error)}`));
  }
});

test('an OCI layout, with an index inside for other machines too', { timeout: 60_000 }, async () => {
  const config = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [`sha256:${hex(LAYER)}`] } });
  const blob = (content: string | Buffer): Entry => file(`blobs/sha256/${hex(content)}`, content);
  const descriptor = (mediaType: string, content: string | Buffer, more: object = {}) => ({ mediaType, digest: `sha256:${hex(content)}`, size: content.length, ...more });
  const zipped = gzipSync(LAYER);
  const manifest = JSON.stringify({
    schemaVersion: 2,
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: [descriptor('application/vnd.oci.image.layer.v1.tar+gzip', zipped)],
  });
  const manifestType = 'application/vnd.oci.image.manifest.v1+json';
  const attestation = JSON.stringify({ schemaVersion: 2, config: descriptor('x', 'y'), layers: [] });
  const inner = JSON.stringify({ schemaVersion: 2, manifests: [
    descriptor(manifestType, attestation, { platform: { os: 'unknown', architecture: 'unknown' } }),
    descriptor(manifestType, manifest, { platform: { os: 'linux', architecture: { x64: 'amd64', arm64: 'arm64' }[process.arch as 'x64'] } }),
  ] });
  const index = (name: object) => JSON.stringify({ schemaVersion: 2, manifests: [descriptor('application/vnd.oci.image.index.v1+json', inner, { annotations: name })] });
  const blobs = [blob(config), blob(zipped), blob(manifest), blob(inner)];
  const layout = file('oci-layout', '{"imageLayoutVersion":"1.0.0"}');
  await loads(makeTar([layout, ...blobs, file('index.json', index({ 'io.containerd.image.name': 'docker.io/library/small:2' }))]), ['Loaded image: small:2\n']);
  await loads(makeTar([layout, ...blobs, file('index.json', index({ 'org.opencontainers.image.ref.name': 'latest' }))]), [`Loaded image ID: sha256:${hex(config)}\n`]);
  await refused(makeTar([layout, ...blobs.slice(0, 3), file(`blobs/sha256/${hex(inner)}`, `${inner} `), file('index.json', index({}))]), /does not have its digest/);
});

test("Docker's old directories", { timeout: 60_000 }, async () => {
  const [low, top] = ['1'.repeat(64), '2'.repeat(64)];
  const old = (parent: object, more: Entry[] = []) => makeTar([
    file(`${low}/VERSION`, '1.0'), file(`${low}/json`, JSON.stringify({ id: low, os: 'linux', ...parent })), file(`${low}/layer.tar`, LAYER),
    file(`${top}/VERSION`, '1.0'), file(`${top}/json`, JSON.stringify({ id: top, parent: low, os: 'linux', config: { Cmd: ['/hello'] } })),
    // A layer that is the same as another one was written as a link to it.
    { name: `${top}/layer.tar`, type: 'l', target: `../${low}/layer.tar` },
    file('repositories', JSON.stringify({ small: { old: top } })),
    ...more,
  ]);
  await loads(old({}), ['Loaded image: small:old\n']);
  await refused(old({ parent: top }), 'invalid archive: max depth exceeded');
  await refused(old({ parent: '../../etc' }), 'invalid archive: "../../etc" is no layer id');
  await refused(old({ parent: '3'.repeat(64) }), `invalid archive: "${'3'.repeat(64)}/json" is missing`);
});

test('names that lead out of the archive lead nowhere', { timeout: 60_000 }, async () => {
  const manifest = (layer: string) => [{ Config: 'config.json', RepoTags: null, Layers: [layer] }];
  await refused(archive({ manifest: manifest('../../../../etc/passwd') }), 'invalid archive: "../../../../etc/passwd" is missing');
  await refused(archive({ manifest: manifest('/etc/passwd') }), 'invalid archive: "/etc/passwd" is missing');
  await refused(archive({ files: [{ name: '0.tar', type: 'l', target: '/etc/passwd' }] }), 'invalid archive: "0.tar" is missing');
  await refused(archive({ files: [{ name: '0.tar', type: 'h', target: '../../../etc/passwd' }] }), 'invalid archive: "0.tar" is missing');
  await refused(archive({ files: [{ name: '0.tar', type: 'l', target: '1.tar' }, { name: '1.tar', type: 'l', target: '0.tar' }] }), 'invalid archive: "0.tar" is missing');
  await refused(archive({ files: [{ name: '0.tar', type: 'd' }] }), 'invalid archive: "0.tar" is missing');
  // Inside the archive such names are only names.
  await loads(archive({ manifest: manifest('/../0.tar'), files: [file('../../0.tar', LAYER)] }), [`Loaded image ID: sha256:${hex(JSON.stringify({ architecture: 'amd64', os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: [`sha256:${hex(LAYER)}`] } }))}\n`]);
});

test('content that is not what it is said to be', { timeout: 60_000 }, async () => {
  await refused(archive({ files: [file('0.tar', SECOND)] }), /diff ?id/i);
  await refused(archive({ layers: [LAYER, SECOND], files: [file('0.tar', LAYER), file('1.tar', LAYER)] }), /diff ?id/i);
  await refused(archive({ files: [file('0.tar', 'no tar at all')] }), /tar|EOF|diff/i);
  await refused(archive({ files: [file('0.tar', gzipSync(LAYER).subarray(0, 60))] }), /unexpected end|EOF|diff/i);
  await refused(archive({ config: { rootfs: undefined } }), 'invalid image JSON, no RootFS key');
  await refused(archive({ config: { rootfs: { diff_ids: ['sha256:abc'] } } }), 'invalid diff id "sha256:abc" in image config');
  await refused(archive({ config: { rootfs: { diff_ids: [] } } }), 'invalid manifest, layers length mismatch: expected 0, got 1');
  await refused(archive({ config: { os: 'windows' } }), 'cannot load windows image on linux');
  await refused(archive({ config: { config: { Env: [1] } } }), 'invalid value of "Env": a list of strings expected');
  await refused(archive({ manifest: { Config: 'x' } }), 'invalid archive: manifest.json is not a list');
  await refused(archive({ manifest: [{ Config: 'config.json', RepoTags: ['UPPER:1'], Layers: ['0.tar'] }] }), /must be lowercase/);
  await refused(archive({ manifest: [{ Config: 'config.json', RepoTags: ['untagged'], Layers: ['0.tar'] }] }), 'invalid tag "untagged"');
});

test('a platform that the image is not for', { timeout: 60_000 }, async () => {
  const options = { quiet: true, platform: 'linux/s390x', progress: () => {}, signal: AbortSignal.timeout(10_000) };
  await assert.rejects(fixture.images.load(stream(archive()), options), { kind: 'not-found' });
  await nothingLeft();
});

test('truncated anywhere', { timeout: 120_000 }, async () => {
  const whole = archive({ layers: [LAYER, SECOND] });
  // The two zero blocks at the end may be missing.
  await fc.assert(fc.asyncProperty(fc.integer({ min: 0, max: whole.length - 1025 }), async (length) => {
    await assert.rejects(fixture.load(stream(whole.subarray(0, length))));
    await nothingLeft();
  }), { numRuns: 40 });
});

test('any byte changed: refused, or the same kind of image, and never anything left of a refusal', { timeout: 120_000 }, async () => {
  const whole = archive();
  await fc.assert(fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, difference) => {
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ difference;
    const loaded = await fixture.load(stream(bytes)).catch(() => undefined);
    if (loaded !== undefined) for (const { id } of await fixture.images.list()) await fixture.images.remove(id, { force: true, noPrune: false, usedBy: [] });
    await nothingLeft();
  }), { numRuns: 60 });
});

test('a client that goes away, or hangs up in the middle', { timeout: 60_000 }, async () => {
  const whole = await readFile(await busyboxArchive());
  const abort = new AbortController();
  const slow = new Readable({ read() {} });
  slow.push(whole.subarray(0, 300_000));
  const loading = fixture.load(slow, abort.signal);
  setImmediate(() => abort.abort());
  await assert.rejects(loading, { name: 'AbortError' });
  await nothingLeft();
  const broken = new Readable({ read() {} });
  broken.push(whole.subarray(0, 300_000));
  setImmediate(() => broken.destroy(new Error('connection reset')));
  await assert.rejects(fixture.load(broken));
  await nothingLeft();
});

test('an entry that is larger than the disk', { timeout: 60_000 }, async () => {
  const block = makeTar([file('huge', '')]).subarray(0, 512);
  // Base-256: 2^50 bytes.
  block.fill(0, 124, 136);
  block[124] = 0x80;
  block[136 - 7] = 0x04;
  block.write('        ', 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  await refused(Buffer.concat([block, Buffer.alloc(4096)]), /no space left on device/);
});
