/** Against Debian's docker-registry. What lying and broken registries do is in hostile.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { busyboxArchive, layeredArchive } from '../../../test/fixtures/images.ts';
import { openImages } from '../../../test/fixtures/imageStore.ts';
import type { ImageFixture } from '../../../test/fixtures/imageStore.ts';
import { REGISTRY_LOGIN, startRegistry } from '../../../test/fixtures/registry.ts';
import type { Progress, RegistryAuth } from '../../core/ports/images.ts';

const signal = (): AbortSignal => AbortSignal.timeout(30_000);
const tell = (progress: Progress): string =>
  progress.kind === 'status' ? `${progress.id === undefined ? '' : `${progress.id}: `}${progress.status}` : progress.kind;

async function pull({ images }: ImageFixture, reference: string, auth: RegistryAuth | null = null): Promise<string[]> {
  const told: string[] = [];
  await images.pull({ reference, allTags: false, platform: '', auth, progress: (progress) => void told.push(tell(progress)), signal: signal() });
  return told;
}

async function push({ images }: ImageFixture, reference: string, auth: RegistryAuth | null = null): Promise<string[]> {
  const told: string[] = [];
  await images.push({ reference, allTags: false, auth, progress: (progress) => void told.push(tell(progress)), signal: signal() });
  return told;
}

/** Without the counts of bytes, which depend on how fast things went. */
const milestones = (told: readonly string[]): string[] => told.filter((line) => !/Downloading|Extracting|Waiting|Preparing|Pushing/.test(line));

test('push and pull: the same image, each step told once, nothing sent twice', { timeout: 120_000 }, async () => {
  await using registry = await startRegistry();
  await using one = await openImages();
  await one.load(await layeredArchive());
  const name = `${registry.host}/team/box`;
  await one.images.tag('busybox:layered', name, 'v1');
  const image = await one.images.resolve(`${name}:v1`);
  const shorts = image.diffIds.map((diffId) => diffId.slice(7, 19));

  const pushed = await push(one, `${name}:v1`);
  assert.equal(pushed[0], `The push refers to repository [${name}]`);
  assert.deepEqual(milestones(pushed).slice(1, 3).toSorted(), shorts.map((id) => `${id}: Pushed`).toSorted());
  const digest = /^v1: digest: (sha256:[a-f0-9]{64}) size: \d+$/.exec(pushed.at(-2) ?? '')?.[1] ?? '';
  assert.deepEqual((await one.images.resolve(`${name}:v1`)).repoDigests, [`${name}@${digest}`]);
  assert.equal(pushed.at(-1), 'aux');
  const again = milestones(await push(one, `${name}:v1`)).filter((line) => /exists|Pushed/.test(line));
  assert.deepEqual(again.toSorted(), shorts.map((id) => `${id}: Layer already exists`).toSorted());
  await one.images.tag('busybox:layered', `${registry.host}/other`, 'v2');
  const mounted = (await push(one, `${registry.host}/other:v2`)).filter((line) => line.includes('Mounted'));
  assert.deepEqual(mounted.toSorted(), shorts.map((id) => `${id}: Mounted from team/box`).toSorted());

  await using two = await openImages();
  const told = milestones(await pull(two, `${name}:v1`));
  assert.equal(told[0], 'v1: Pulling from team/box');
  assert.deepEqual(told.slice(-2), [`Digest: ${digest}`, `Status: Downloaded newer image for ${name}:v1`]);
  assert.equal(told.filter((line) => line.endsWith(': Pull complete')).length, 2);
  const pulled = await two.images.resolve(`${name}:v1`);
  assert.deepEqual({ id: pulled.id, digests: pulled.repoDigests }, { id: image.id, digests: [`${name}@${digest}`] });
  assert.deepEqual(milestones(await pull(two, `${name}:v1`)).slice(-1), [`Status: Image is up to date for ${name}:v1`]);
  assert.deepEqual(milestones(await pull(two, `${name}@${digest}`)).slice(-1), [`Status: Image is up to date for ${name}@${digest}`]);
  assert.equal((await two.images.resolve(`${name}@${digest}`)).id, image.id);
  assert.deepEqual(two.events.slice(0, 1), [`pull ${name}:v1 ${name}`]);

  const remote = await two.images.inspectRemote({ reference: `${name}:v1`, auth: null, signal: signal() });
  assert.deepEqual({ digest: remote.descriptor.digest, os: remote.platforms.map(({ os }) => os) }, { digest, os: ['linux'] });
});

test('pulls of the same image at once download each layer once', { timeout: 120_000 }, async () => {
  await using registry = await startRegistry();
  await using source = await openImages();
  await source.load(await layeredArchive());
  await source.images.tag('busybox:layered', `${registry.host}/box`, '');
  await push(source, `${registry.host}/box`);
  await using fixture = await openImages();
  const pulls = await Promise.all([1, 2, 3].map(() => pull(fixture, `${registry.host}/box`)));
  for (const told of pulls) assert.match(told.at(-1) ?? '', /^Status: /);
  assert.equal((await fixture.images.list()).length, 1);
  assert.equal(pulls.filter((told) => told.at(-1)?.includes('newer')).length, 1);

  // One of two gives up: the other goes on.
  await fixture.images.remove(`${registry.host}/box`, { force: false, noPrune: false, usedBy: [] });
  const abort = new AbortController();
  const given = fixture.images.pull({
    reference: `${registry.host}/box`, allTags: false, platform: '', auth: null, signal: abort.signal,
    progress: (progress) => { if (tell(progress).endsWith('Pulling fs layer')) abort.abort(); },
  });
  const kept = pull(fixture, `${registry.host}/box`);
  await assert.rejects(given, { name: 'AbortError' });
  await kept;
  assert.equal((await fixture.images.list()).length, 1);
});

test('all tags', { timeout: 120_000 }, async () => {
  await using registry = await startRegistry();
  await using source = await openImages();
  await source.load(await busyboxArchive());
  await source.load(await layeredArchive());
  const name = `${registry.host}/many`;
  await source.images.tag('busybox', name, 'a');
  await source.images.tag('busybox:layered', name, 'b');
  await source.images.push({ reference: name, allTags: true, auth: null, progress: () => {}, signal: signal() });
  await using fixture = await openImages();
  await fixture.images.pull({ reference: name, allTags: true, platform: '', auth: null, progress: () => {}, signal: signal() });
  assert.deepEqual((await fixture.images.list()).flatMap(({ repoTags }) => repoTags).toSorted(), [`${name}:a`, `${name}:b`]);
});

test('a registry that wants a login', { timeout: 120_000 }, async () => {
  await using registry = await startRegistry({ auth: true });
  await using fixture = await openImages();
  const { images } = fixture;
  await fixture.load(await busyboxArchive());
  const name = `${registry.host}/private`;
  await images.tag('busybox', name, '');
  const wrong = { username: 'tester', password: 'wrong' };
  await assert.rejects(push(fixture, name), { message: `Get "http://${registry.host}/v2/": no basic auth credentials` });
  await assert.rejects(push(fixture, name, wrong), { message: 'unauthorized: authentication required' });
  await push(fixture, name, REGISTRY_LOGIN);
  await pull(fixture, name, REGISTRY_LOGIN);
  await assert.rejects(pull(fixture, name, wrong), { kind: 'internal', message: 'unauthorized: authentication required' });
  const login = { ...REGISTRY_LOGIN, serverAddress: registry.host };
  assert.deepEqual(await images.authenticate(login, signal()), { status: 'Login Succeeded', identityToken: '' });
  await assert.rejects(images.authenticate({ ...wrong, serverAddress: registry.host }, signal()), { kind: 'unauthorized' });
});

test('says what the registry does not have', { timeout: 60_000 }, async () => {
  await using registry = await startRegistry();
  await using fixture = await openImages();
  const name = `${registry.host}/nothing`;
  await assert.rejects(pull(fixture, name), { kind: 'not-found', message: `manifest for ${name}:latest not found: manifest unknown: manifest unknown` });
  await assert.rejects(push(fixture, name), { kind: 'not-found', message: `An image does not exist locally with the tag: ${name}` });
  await assert.rejects(pull(fixture, '127.0.0.1:1/x'), { kind: 'unavailable', message: /^Get "http:\/\/127\.0\.0\.1:1\/v2\/": connect ECONNREFUSED/ });
});
