/** The image routes through the real docker client, on a store without containers. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, watch, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { busyboxArchive, layeredArchive, makeTar } from '../../test/fixtures/images.ts';
import { openImages } from '../../test/fixtures/imageStore.ts';
import type { ImageFixture } from '../../test/fixtures/imageStore.ts';
import { REGISTRY_LOGIN, startRegistry } from '../../test/fixtures/registry.ts';
import { systemClock } from '../base/clock.ts';
import { silentLogger } from '../base/logger.ts';
import type { ImageUse } from '../core/ports/images.ts';
import { imageRoutes } from './images.ts';
import { pingRoutes } from './ping.ts';
import { createRouter } from './router.ts';
import { apiHandler, createApiServer } from './server.ts';
import type { ApiServer } from './server.ts';

interface Ran { code: number; stdout: string; stderr: string }

let folder: string;
let fixture: ImageFixture;
let server: ApiServer;
const uses: ImageUse[] = [];

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moored-image-api-'));
  fixture = await openImages();
  const deps = { images: fixture.images, clock: systemClock, driver: 'overlay2', uses: () => uses };
  const router = createRouter([...pingRoutes({ swarmState: () => 'inactive' }), ...imageRoutes(deps)]);
  server = createApiServer(apiHandler({ router, logger: silentLogger, version: '28.2.2', experimental: false }));
  server.http.listen(join(folder, 'docker.sock'));
  await once(server.http, 'listening');
});

after(async () => {
  await server.close();
  await fixture[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

async function docker(...args: string[]): Promise<Ran> {
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder, DOCKER_CONFIG: join(folder, 'config') };
  try {
    const { stdout, stderr } = await promisify(execFile)('docker', ['-H', `unix://${folder}/docker.sock`, ...args], { env, timeout: 60_000 });
    return { code: 0, stdout, stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as Ran;
    return { code, stdout, stderr };
  }
}

async function ok(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await docker(...args);
  assert.equal(code, 0, `docker ${args.join(' ')}: ${stderr}`);
  return stdout.trim();
}

async function fails(message: string, ...args: string[]): Promise<void> {
  const { code, stderr } = await docker(...args);
  assert.notEqual(code, 0);
  assert.match(stderr, new RegExp(RegExp.escape(message)));
}

/** A raw request: status, content type, body. */
async function raw(method: string, path: string, body?: string): Promise<{ status: number; type: string; body: string }> {
  const request = http.request({ socketPath: join(folder, 'docker.sock'), method, path, headers: body === undefined ? {} : { 'Content-Type': 'application/json' } });
  request.end(body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  let text = '';
  for await (const chunk of response.setEncoding('utf8')) text += String(chunk);
  return { status: response.statusCode ?? 0, type: response.headers['content-type'] ?? '', body: text };
}

const json = async (path: string): Promise<unknown> => JSON.parse((await raw('GET', path)).body);

test('load, list, inspect, history', { timeout: 120_000 }, async () => {
  assert.equal(await ok('load', '-i', await busyboxArchive()), 'Loaded image: busybox:latest');
  assert.equal(await ok('load', '-q', '-i', await layeredArchive()), 'Loaded image: busybox:layered');
  assert.deepEqual((await ok('images', '--format', '{{.Repository}}:{{.Tag}}')).split('\n').toSorted(), ['busybox:latest', 'busybox:layered']);
  assert.equal(await ok('images', '-q', '--filter', 'reference=*:lat*'), (await ok('images', '-q', 'busybox:latest')));
  assert.equal(await ok('images', '-q', '--filter', 'dangling=true'), '');
  assert.equal(await ok('image', 'inspect', '-f', '{{json .Config.Cmd}} {{.Os}} {{len .RootFS.Layers}}', 'busybox:layered'), '["sh"] linux 2');
  assert.match(await ok('history', '--no-trunc', '--format', '{{.ID}} {{.CreatedBy}}', 'busybox:layered'), /^sha256:[a-f0-9]{64} COPY layer 1\n<missing> COPY busybox-static \/ # from Debian$/);
  await fails('No such image: nothing:latest', 'image', 'inspect', 'nothing');
  const [summary] = (await json('/v1.51/images/json?filters={"reference":["busybox:latest"]}')) as Record<string, unknown>[];
  assert.deepEqual(Object.keys(summary ?? {}), ['Containers', 'Created', 'Id', 'Labels', 'ParentId', 'RepoDigests', 'RepoTags', 'SharedSize', 'Size']);
  assert.equal((await raw('GET', '/v1.51/images/json?filters={"nonsense":["x"]}')).body, '{"message":"invalid filter \'nonsense\'"}\n');
});

test('tag, save, import, rmi, prune', { timeout: 120_000 }, async () => {
  await ok('tag', 'busybox', 'a.example/b/c:1');
  await ok('save', '-o', join(folder, 'saved.tar'), 'busybox:layered', 'a.example/b/c:1');
  assert.equal(await ok('rmi', 'a.example/b/c:1'), 'Untagged: a.example/b/c:1');
  assert.match(await ok('load', '-i', join(folder, 'saved.tar')), /Loaded image: a\.example\/b\/c:1/);
  await writeFile(join(folder, 'root.tar'), makeTar([{ name: 'hello', type: 'f', content: 'hi' }]));
  const id = await ok('import', '-c', 'CMD ["/hello"]', '-m', 'text', join(folder, 'root.tar'), 'tiny:1');
  assert.match(id, /^sha256:[a-f0-9]{64}$/);
  assert.equal(await ok('image', 'inspect', '-f', '{{.Id}} {{json .Config.Cmd}} {{.Comment}}', 'tiny:1'), `${id} ["/hello"] text`);
  await fails('run is not a valid change command', 'import', '-c', 'RUN x', join(folder, 'root.tar'));

  const tiny = id.slice(7, 19);
  uses.push({ id: 'abcdef012345'.padEnd(64, '0'), imageId: id, running: true });
  await fails(`conflict: unable to delete ${tiny} (cannot be forced) - image is being used by running container abcdef012345`, 'rmi', '-f', tiny);
  await fails('conflict: unable to remove repository reference "tiny:1" (must force) - container abcdef012345', 'rmi', 'tiny:1');
  uses.length = 0;
  await ok('tag', 'busybox', 'tiny:1');
  assert.match(await ok('image', 'prune', '-f'), new RegExp(`deleted: ${id}\n[^]*Total reclaimed space: 2B`));
  await fails('No such image: tiny:2', 'rmi', 'tiny:2');
  await fails('invalid reference format', 'tag', 'busybox', 'x:y z');
});

test('an archive that is none, and a client that goes away', { timeout: 120_000 }, async () => {
  await writeFile(join(folder, 'bad.tar'), 'x'.repeat(2000));
  await fails('archive/tar: invalid tar header', 'load', '-i', join(folder, 'bad.tar'));
  await writeFile(join(folder, 'empty.tar'), makeTar([]));
  await fails('does not contain a manifest.json', 'load', '-i', join(folder, 'empty.tar'));
  const request = http.request({ socketPath: join(folder, 'docker.sock'), method: 'POST', path: '/images/load', headers: { 'Content-Type': 'application/x-tar' } });
  request.on('error', () => {});
  request.write((await readFile(await busyboxArchive())).subarray(0, 100_000));
  const temporary = join(fixture.root, 'images/tmp');
  const unpacking = watch(temporary, { signal: AbortSignal.timeout(10_000) });
  for await (const { filename } of unpacking) if (filename?.startsWith('archive-') === true) break;
  const cleaned = watch(temporary, { signal: AbortSignal.timeout(10_000) });
  request.destroy();
  for await (const { eventType } of cleaned) if (eventType === 'rename' && (await readdir(temporary)).length === 0) break;
});

test('pull and push with a login', { timeout: 120_000 }, async () => {
  await using registry = await startRegistry({ auth: true });
  const name = `${registry.host}/x/y`;
  await ok('tag', 'busybox:layered', `${name}:z`);
  await fails('no basic auth credentials', 'push', `${name}:z`);
  await ok('login', '-u', REGISTRY_LOGIN.username, '-p', REGISTRY_LOGIN.password, registry.host);
  assert.match(await ok('push', `${name}:z`), /z: digest: sha256:[a-f0-9]{64} size: \d+$/);
  await ok('rmi', `${name}:z`);
  assert.match(await ok('pull', `${name}:z`), /Status: Downloaded newer image for .*\/x\/y:z\n/);
  assert.match(await ok('pull', '-q', `${name}:z`), /x\/y:z$/);
  await fails('not found: manifest unknown', 'pull', `${name}:nope`);
  assert.equal((await raw('POST', `/v1.51/images/create?fromImage=${registry.host}/x/y&tag=nope`)).status, 500);
  const { code, stderr } = await docker('login', '-u', 'x', '-p', 'y', registry.host);
  assert.ok(code !== 0 && stderr.includes('unauthorized'), stderr);
});

test('what is not supported says so', { timeout: 10_000 }, async () => {
  await fails('searching registries is not supported', 'search', 'x');
});
