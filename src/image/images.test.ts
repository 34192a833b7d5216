import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { test } from 'node:test';
import { busyboxArchive, layeredArchive } from '../../test/fixtures/images.ts';
import { openImages } from '../../test/fixtures/imageStore.ts';
import type { ImageFixture } from '../../test/fixtures/imageStore.ts';

const NO_USERS = { force: false, noPrune: false, usedBy: [] };
const names = async ({ images }: ImageFixture): Promise<string[]> => (await images.list()).flatMap(({ repoTags }) => repoTags).toSorted();

/** Everything below a folder, to see that nothing was left. */
const everything = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile()).map((entry) => entry.name);

test('loads, resolves, runs on a mounted root and survives a restart', { timeout: 60_000 }, async () => {
  const first = await openImages();
  assert.deepEqual(await first.load(await busyboxArchive()), ['Loaded image: busybox:latest\n']);
  await first.load(await layeredArchive());
  assert.deepEqual(await names(first), ['busybox:latest', 'busybox:layered']);

  await using fixture = await first.reopen();
  const { images, layers } = fixture;
  const image = await images.resolve('busybox');
  for (const name of ['busybox:latest', 'docker.io/library/busybox', image.id, image.id.slice(7), image.id.slice(7, 19), image.id.slice(0, 14)]) {
    assert.equal((await images.resolve(name)).id, image.id, name);
  }
  assert.deepEqual(image.config.cmd, ['sh']);
  assert.ok(image.size > 1_000_000 && image.size === image.layerSizes[0]);

  const layered = await images.resolve('busybox:layered');
  assert.equal(layered.diffIds[0], image.diffIds[0]);
  await layers.createRw('c'.repeat(64), images.topLayer(layered), { storageOpt: {} });
  const root = await layers.mountRw('c'.repeat(64));
  assert.equal(await readFile(join(root, 'etc/motd'), 'utf8'), 'second layer\n');
  assert.equal(await readFile(join(root, 'etc/nsswitch.conf'), 'utf8'), 'hosts: files\n');
  await assert.rejects(readFile(join(root, 'etc/shadow')), { code: 'ENOENT' });
  assert.ok((await readdir(join(root, 'bin'))).includes('sh'));
});

test('says what is not there, and what is no name', { timeout: 60_000 }, async () => {
  await using fixture = await openImages();
  await assert.rejects(fixture.images.resolve('alpine'), { kind: 'not-found', message: 'No such image: alpine:latest' });
  await assert.rejects(fixture.images.resolve('docker.io/library/alpine:3'), { message: 'No such image: alpine:3' });
  await assert.rejects(fixture.images.resolve('a'.repeat(64)), { message: `No such image: sha256:${'a'.repeat(64)}` });
  await assert.rejects(fixture.images.resolve('UPPER'), { kind: 'invalid' });
  await assert.rejects(fixture.images.resolve(''), { kind: 'invalid', message: 'invalid reference format' });
});

test('a save loads again as the same images, and the same bytes', { timeout: 60_000 }, async () => {
  await using one = await openImages();
  await one.load(await busyboxArchive());
  await one.load(await layeredArchive());
  const { images } = one;
  await images.tag('busybox', 'registry.example:5000/team/box', 'v1');
  const save = async () => buffer(await images.save(['busybox', 'registry.example:5000/team/box:v1'], AbortSignal.timeout(30_000)));
  const archive = await save();
  assert.ok(archive.equals(await save()));
  assert.deepEqual(await readdir(join(one.root, 'images/tmp')), []);

  await using two = await openImages();
  await two.load(Readable.from([archive], { objectMode: false }));
  assert.deepEqual(await names(two), ['busybox:latest', 'busybox:layered', 'registry.example:5000/team/box:v1']);
  assert.equal((await two.images.resolve('busybox')).id, (await images.resolve('busybox')).id);
  await assert.rejects(images.save(['busybox', 'nothing'], AbortSignal.timeout(1000)), { kind: 'not-found' });
});

test('tags move, and the image without a name stays', { timeout: 60_000 }, async () => {
  await using fixture = await openImages();
  await fixture.load(await busyboxArchive());
  await fixture.load(await layeredArchive());
  const before = await fixture.images.resolve('busybox');
  await fixture.images.tag('busybox:layered', 'busybox', 'latest');
  assert.deepEqual((await fixture.images.get(before.id))?.repoTags, []);
  const [told] = await fixture.load(await busyboxArchive());
  assert.match(told ?? '', /^The image busybox:latest already exists, renaming the old one with ID sha256:[a-f0-9]{64} to empty string\n$/);
  await assert.rejects(fixture.images.tag('busybox', 'x', 'no good'), { kind: 'invalid', message: 'invalid tag format' });
  await assert.rejects(fixture.images.tag('busybox', `x@sha256:${'a'.repeat(64)}`, ''), { message: 'refusing to create a tag with a digest reference' });
});

test('removes by name and by id, with its layers, and nothing that others need', { timeout: 60_000 }, async () => {
  await using fixture = await openImages();
  const { images, layers } = fixture;
  await fixture.load(await busyboxArchive());
  await fixture.load(await layeredArchive());
  const { id } = await images.resolve('busybox:latest');
  const layered = await images.resolve('busybox:layered');
  await images.tag('busybox', 'other', '');

  assert.deepEqual(await images.remove('other', NO_USERS), [{ untagged: 'other:latest' }]);
  assert.deepEqual(await images.remove('busybox', NO_USERS), [{ untagged: 'busybox:latest' }, { deleted: id }]);
  assert.equal((await layers.list()).length, 2);
  const top = images.topLayer(layered);
  assert.deepEqual(await images.remove(layered.id.slice(7, 19), NO_USERS), [
    { untagged: 'busybox:layered' }, { deleted: layered.id }, { deleted: top }, { deleted: layered.diffIds[0] },
  ]);
  assert.deepEqual(await layers.list(), []);
  assert.deepEqual(await everything(join(fixture.root, 'images')), ['repositories.json']);
  await assert.rejects(images.remove('busybox', NO_USERS), { kind: 'not-found', message: 'No such image: busybox:latest' });
});

test('refuses to remove what is used, in Docker\'s words', { timeout: 60_000 }, async () => {
  await using fixture = await openImages();
  const { images } = fixture;
  await fixture.load(await busyboxArchive());
  const { id } = await images.resolve('busybox');
  const short = id.slice(7, 19);
  const user = 'abcdef012345'.padEnd(64, '0');
  const stopped = { force: false, noPrune: false, usedBy: [{ id: user, imageId: id, running: false }] };
  const running = { ...stopped, usedBy: [{ id: user, imageId: id, running: true }] };
  await assert.rejects(images.remove('busybox', running), {
    kind: 'conflict',
    message: `conflict: unable to remove repository reference "busybox" (must force) - container abcdef012345 is using its referenced image ${short}`,
  });
  await assert.rejects(images.remove(id, stopped), { message: `conflict: unable to delete ${short} (must be forced) - image is being used by stopped container abcdef012345` });
  await assert.rejects(images.remove(id, { ...running, force: true }), { message: `conflict: unable to delete ${short} (cannot be forced) - image is being used by running container abcdef012345` });
  await images.tag('busybox', 'other', '');
  await assert.rejects(images.remove(short, NO_USERS), { message: `conflict: unable to delete ${short} (must be forced) - image is referenced in multiple repositories` });
  assert.deepEqual(await images.remove('other', { ...running, force: true }), [{ untagged: 'other:latest' }]);
  assert.deepEqual(await images.remove('busybox', { ...running, force: true }), [{ untagged: 'busybox:latest' }]);
  assert.equal((await images.get(id))?.id, id);
});

test('an image removed by force leaves its layers to the container that uses it', { timeout: 60_000 }, async () => {
  const first = await openImages();
  await first.load(await busyboxArchive());
  const image = await first.images.resolve('busybox');
  const usedBy = [{ id: 'c'.repeat(64), imageId: image.id, running: false }];
  assert.deepEqual(await first.images.remove('busybox', { force: true, noPrune: false, usedBy }), [{ untagged: 'busybox:latest' }, { deleted: image.id }]);
  await assert.rejects(first.images.resolve(image.id), { kind: 'not-found' });

  await using fixture = await first.reopen();
  assert.deepEqual(await fixture.images.list(), []);
  assert.equal((await fixture.layers.list()).length, 1);
  await fixture.images.collect(new Set([image.id]));
  assert.equal((await fixture.layers.list()).length, 1);
  await fixture.images.collect(new Set());
  assert.deepEqual(await fixture.layers.list(), []);
});

test('import and commit make images; children hold their parents', { timeout: 60_000 }, async () => {
  await using fixture = await openImages();
  const { images, layers } = fixture;
  await fixture.load(await layeredArchive());
  const base = await images.resolve('busybox:layered');
  const rootfs = await layers.tar(base.diffIds[0] ?? '');
  const told: string[] = [];
  const id = await images.import(rootfs, {
    repo: 'imported', tag: 'v2', message: 'from a tar', changes: ['CMD ["sh", "-c", "true"]', 'ENV A=1 B="two words"\nLABEL x=y', 'EXPOSE 80'], platform: '',
    progress: (progress) => void told.push(progress.kind === 'status' ? progress.status : ''), signal: AbortSignal.timeout(30_000),
  });
  assert.deepEqual(told, [id]);
  const imported = await images.resolve('imported:v2');
  assert.deepEqual({ id: imported.id, cmd: imported.config.cmd, env: imported.config.env, labels: imported.config.labels, ports: imported.config.exposedPorts, comment: imported.comment }, {
    id, cmd: ['sh', '-c', 'true'], env: ['A=1', 'B=two words'], labels: { x: 'y' }, ports: ['80/tcp'], comment: 'from a tar',
  });
  assert.deepEqual(imported.diffIds, base.diffIds.slice(0, 1));

  const commit = { parent: imported, config: imported.config, author: 'me', comment: 'c', createdBy: 'sh', containerId: 'x' };
  const empty = await images.commit({ ...commit, diff: Readable.from([Buffer.alloc(1024)], { objectMode: false }), reference: '' });
  assert.deepEqual({ diffIds: empty.diffIds, last: empty.history.at(-1)?.emptyLayer, parent: empty.parent }, { diffIds: imported.diffIds, last: true, parent: id });
  const child = await images.commit({ ...commit, diff: await layers.tar(images.topLayer(base) ?? ''), reference: 'committed' });
  assert.deepEqual(child.repoTags, ['committed:latest']);
  assert.deepEqual(child.diffIds, base.diffIds);
  await assert.rejects(images.remove(id, { ...NO_USERS, force: true }), { message: `conflict: unable to delete ${id.slice(7, 19)} (cannot be forced) - image has dependent child images` });
  assert.deepEqual(await images.remove('imported:v2', NO_USERS), [{ untagged: 'imported:v2' }]);
  await images.remove('committed', NO_USERS);
  const { deleted } = await images.prune({ all: false, matches: () => true, usedBy: [] });
  assert.deepEqual(deleted, [{ deleted: empty.id }, { deleted: id }]);
  assert.deepEqual(await names(fixture), ['busybox:layered']);
});

test('what cannot be read is left alone, and nothing is taken for garbage meanwhile', { timeout: 60_000 }, async () => {
  const first = await openImages();
  await first.load(await busyboxArchive());
  const { id } = await first.images.resolve('busybox');
  await writeFile(join(first.root, 'images/records', `${id.slice(7)}.json`), '{"schema": 99}');
  await using fixture = await first.reopen();
  assert.deepEqual(await fixture.images.list(), []);
  assert.equal((await fixture.layers.list()).length, 1);
});
