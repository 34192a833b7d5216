/** Registries that lie, break, hang or ask for tokens: a small one of our own that does as each test says. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { makeTar } from '../../../test/fixtures/images.ts';
import { openImages } from '../../../test/fixtures/imageStore.ts';
import type { ImageFixture } from '../../../test/fixtures/imageStore.ts';
import type { RegistryAuth } from '../../core/ports/images.ts';

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void;

const digestOf = (bytes: string | Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
// Does not compress: the blob is longer than what a connection buffers.
const NOISE = Buffer.concat(Array.from({ length: 10_000 }, (_, index) => createHash('sha512').update(String(index)).digest()));
const TAR = makeTar([{ name: 'noise', type: 'f', content: NOISE }]);
const LAYER = gzipSync(TAR);
const CONFIG = JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [digestOf(TAR)] } });
const TYPE = 'application/vnd.docker.distribution.manifest.v2+json';
const manifestOf = (layer: object = {}, config: string = CONFIG): string => JSON.stringify({
  schemaVersion: 2,
  mediaType: TYPE,
  config: { mediaType: 'application/vnd.docker.container.image.v1+json', digest: digestOf(config), size: config.length },
  layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', digest: digestOf(LAYER), size: LAYER.length, ...layer }],
});

let fixture: ImageFixture;
let server: http.Server;
let other: http.Server;
let routes = new Map<string, Handler>();
let otherRoutes = new Map<string, Handler>();
let seen: { path: string; authorization: string; range: string }[] = [];

const listen = async (table: () => Map<string, Handler>): Promise<http.Server> => {
  const made = http.createServer((request, response) => {
    const path = (request.url ?? '').split('?')[0] ?? '';
    seen.push({ path: request.url ?? '', authorization: request.headers.authorization ?? '', range: request.headers.range ?? '' });
    const handler = table().get(path);
    if (handler !== undefined) handler(request, response);
    else response.writeHead(404).end();
  });
  made.listen(0, '127.0.0.1');
  await once(made, 'listening');
  return made;
};
const hostOf = (one: http.Server): string => `127.0.0.1:${(one.address() as AddressInfo).port}`;

before(async () => {
  server = await listen(() => routes);
  other = await listen(() => otherRoutes);
  fixture = await openImages({ retryMs: 1, maxDownloadAttempts: 3, timeoutMs: { connect: 2000, idle: 500 }, mirrors: [`http://${hostOf(server)}/mirror/`, `http://${hostOf(other)}`] });
});
after(async () => {
  for (const one of [server, other]) {
    one.closeAllConnections();
    one.close();
  }
  await fixture[Symbol.asyncDispose]();
});

const send = (body: string | Buffer, type = 'application/octet-stream'): Handler => (_request, response) => {
  response.writeHead(200, { 'Content-Type': type, 'Content-Length': body.length }).end(body);
};

/** An honest registry with the image `box:latest`, changed as a test wants. */
function registry(change: Record<string, Handler> = {}, manifest = manifestOf()): Map<string, Handler> {
  return new Map<string, Handler>([
    ['/v2/', (_request, response) => void response.writeHead(200).end('{}')],
    ['/v2/box/manifests/latest', send(manifest, TYPE)],
    [`/v2/box/blobs/${digestOf(CONFIG)}`, send(CONFIG)],
    [`/v2/box/blobs/${digestOf(LAYER)}`, send(LAYER)],
    ...Object.entries(change),
  ]);
}

const BLOB = `/v2/box/blobs/${digestOf(LAYER)}`;
const MANIFEST = '/v2/box/manifests/latest';

beforeEach(() => {
  routes = registry();
  otherRoutes = new Map();
  seen = [];
});

async function pull(auth: RegistryAuth | null = null, reference = `${hostOf(server)}/box`, platform = ''): Promise<string[]> {
  const told: string[] = [];
  await fixture.images.pull({
    reference, allTags: false, platform, auth, signal: AbortSignal.timeout(10_000),
    progress: (progress) => void told.push(progress.kind === 'status' ? progress.status : progress.kind),
  });
  return told;
}

/** The image is there, whole; then it is removed. */
async function works(auth: RegistryAuth | null = null, reference?: string): Promise<string[]> {
  const told = await pull(auth, reference);
  assert.equal((await fixture.images.list())[0]?.id, digestOf(CONFIG));
  await fixture.images.remove(digestOf(CONFIG), { force: true, noPrune: false, usedBy: [] });
  await nothingLeft();
  return told;
}

async function fails(expected: RegExp | { kind?: string; message?: string | RegExp }, platform = ''): Promise<void> {
  await assert.rejects(pull(null, undefined, platform), expected);
  await nothingLeft();
}

async function nothingLeft(): Promise<void> {
  assert.deepEqual(await readdir(join(fixture.root, 'images/tmp')), []);
  assert.deepEqual(await fixture.images.list(), []);
  assert.deepEqual(await fixture.layers.list(), []);
}

/** Half of the blob, then the connection breaks; what is asked for by Range comes as it should. */
const breakingBlob = (limit: number, honourRange: boolean): Handler => {
  let times = 0;
  return (request, response) => {
    const from = honourRange ? Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
    response.writeHead(from > 0 ? 206 : 200, { 'Content-Length': LAYER.length - from, ...(from > 0 ? { 'Content-Range': `bytes ${from}-${LAYER.length - 1}/${LAYER.length}` } : {}) });
    times += 1;
    if (times > limit) response.end(LAYER.subarray(from));
    else response.write(LAYER.subarray(from, from + 100_000), () => response.destroy());
  };
};

test('a broken connection is resumed where it broke', { timeout: 20_000 }, async () => {
  routes = registry({ [BLOB]: breakingBlob(2, true) });
  const told = await works();
  assert.ok(told.includes('Retrying in 1 second'));
  assert.match(seen.find(({ range }) => range !== '')?.range ?? '', /^bytes=\d+-$/);
});

test('a registry that knows no ranges is read again from the start', { timeout: 20_000 }, async () => {
  routes = registry({ [BLOB]: breakingBlob(2, false) });
  await works();
});

test('a connection that always breaks is given up', { timeout: 20_000 }, async () => {
  routes = registry({ [BLOB]: breakingBlob(99, true) });
  await fails({ message: /terminated|closed|aborted|EOF|reset/ });
  assert.equal(seen.filter(({ path }) => path === BLOB).length, 3);
});

test('a server error is tried again, a refusal is not', { timeout: 20_000 }, async () => {
  let times = 0;
  routes = registry({ [BLOB]: (request, response) => (++times < 3 ? void response.writeHead(503).end() : send(LAYER)(request, response)) });
  await works();
  times = 0;
  routes = registry({ [BLOB]: (_request, response) => { times += 1; response.writeHead(404).end(); } });
  await fails({ message: 'received unexpected HTTP status: 404' });
  assert.equal(times, 1);
});

test('lies about content', { timeout: 30_000 }, async () => {
  const changed = Buffer.from(LAYER);
  changed[1000] = (changed[1000] ?? 0) ^ 1;
  routes = registry({ [BLOB]: send(changed) });
  await fails({ message: `filesystem layer verification failed for digest ${digestOf(LAYER)}` });
  routes = registry({ [BLOB]: send(Buffer.concat([LAYER, Buffer.alloc(10)])) });
  await fails({ message: /is longer than the \d+ bytes that its manifest says/ });
  routes = registry({ [BLOB]: send(LAYER.subarray(0, 1000)) });
  await fails({ message: /unexpected EOF: 1000 of \d+ bytes/ });
  routes = registry({ [`/v2/box/blobs/${digestOf(CONFIG)}`]: send(CONFIG.replace('amd64', 'arm64')) });
  await fails({ message: /image config verification failed/ });
  routes = registry({ [MANIFEST]: (_request, response) => void response.writeHead(200, { 'Content-Type': TYPE, 'Docker-Content-Digest': digestOf('other') }).end(manifestOf()) });
  await fails({ message: `manifest verification failed for digest ${digestOf('other')}` });
  routes = registry({ [`/v2/box/manifests/${digestOf('x')}`]: send(manifestOf(), TYPE) });
  await assert.rejects(pull(null, `${hostOf(server)}/box@${digestOf('x')}`), { message: `manifest verification failed for digest ${digestOf('x')}` });
  // A layer that unpacks to something else than the config says.
  const wrong = gzipSync(makeTar([{ name: 'other', type: 'f' }]));
  routes = registry({ [`/v2/box/blobs/${digestOf(wrong)}`]: send(wrong) }, manifestOf({ digest: digestOf(wrong), size: wrong.length }));
  await fails(/diff ?id/i);
});

test('manifests that are none', { timeout: 30_000 }, async () => {
  routes = registry({}, manifestOf({ digest: 'sha256:../../../etc/passwd' }));
  await fails({ message: 'unsupported digest "sha256:../../../etc/passwd" in manifest' });
  routes = registry({ [MANIFEST]: send('{', TYPE) });
  await fails({ message: 'manifest is not valid JSON: unexpected end of JSON input' });
  routes = registry({ [MANIFEST]: send(Buffer.alloc(5 * 1024 * 1024, 0x20), TYPE) });
  await fails({ message: /^manifest of .* is longer than 4194304 bytes$/ });
  routes = registry({ [MANIFEST]: send('{"schemaVersion":1}', 'application/vnd.docker.distribution.manifest.v1+prettyjws') });
  await fails({ kind: 'not-implemented', message: /schema 1 support has been removed/ });
  routes = registry({ [MANIFEST]: send('<html>', 'text/html') });
  await fails({ message: /not valid JSON/ });
  const windows = CONFIG.replace('linux', 'windows');
  routes = registry({ [`/v2/box/blobs/${digestOf(windows)}`]: send(windows) }, manifestOf({}, windows));
  await fails({ message: 'cannot download image with operating system "windows" when requesting "linux"' });
});

test('an image for several platforms', { timeout: 20_000 }, async () => {
  const manifest = manifestOf();
  const index = JSON.stringify({ schemaVersion: 2, manifests: [
    { mediaType: TYPE, digest: digestOf('arm'), size: 3, platform: { os: 'linux', architecture: 'arm64' } },
    { mediaType: TYPE, digest: digestOf(manifest), size: manifest.length, platform: { os: 'linux', architecture: 's390x' } },
  ] });
  routes = registry({ [MANIFEST]: send(index, 'application/vnd.oci.image.index.v1+json'), [`/v2/box/manifests/${digestOf(manifest)}`]: send(manifest, TYPE) });
  await fails({ kind: 'not-found', message: 'no matching manifest for linux/ppc64le in the manifest list entries' }, 'linux/ppc64le');
  const told = await pull(null, undefined, 'linux/s390x');
  assert.ok(told.includes(`Digest: ${digestOf(index)}`));
  assert.deepEqual((await fixture.images.list())[0]?.repoDigests, [`${hostOf(server)}/box@${digestOf(index)}`]);
  await fixture.images.remove(digestOf(CONFIG), { force: true, noPrune: false, usedBy: [] });
});

test('a registry that hangs', { timeout: 30_000 }, async () => {
  routes = registry({ [MANIFEST]: () => {} });
  await fails({ kind: 'unavailable', message: /Headers Timeout/ });
  routes = registry({ [BLOB]: (_request, response) => void response.writeHead(200, { 'Content-Length': LAYER.length }).write(LAYER.subarray(0, 10)) });
  await fails(/Timeout/);
  server.closeAllConnections();
});

test('credentials do not follow a redirect to another host', { timeout: 20_000 }, async () => {
  const auth = { username: 'u', password: 'p' };
  const basic = (handler: Handler): Handler => (request, response) => {
    if (request.headers.authorization === `Basic ${Buffer.from('u:p').toString('base64')}`) handler(request, response);
    else response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end();
  };
  otherRoutes = new Map([['/storage', send(LAYER)]]);
  routes = new Map([...registry({
    [BLOB]: (_request, response) => void response.writeHead(307, { Location: `http://${hostOf(other)}/storage?signature=1` }).end(),
  })].map(([path, handler]) => [path, basic(handler)]));
  await works(auth);
  assert.deepEqual(seen.find(({ path }) => path.startsWith('/storage')), { path: '/storage?signature=1', authorization: '', range: '' });
  routes = registry({ [BLOB]: (_request, response) => void response.writeHead(302, { Location: BLOB }).end() });
  await fails({ message: /stopped after 10 redirects/ });
  routes = registry({ [BLOB]: (_request, response) => void response.writeHead(302, { Location: 'file:///etc/passwd' }).end() });
  await fails({ message: /is no http address/ });
});

test('tokens: asked for with what the registry wants, renewed when they expire', { timeout: 20_000 }, async () => {
  let issued = 0;
  otherRoutes = new Map<string, Handler>([['/token', (_request, response) => void response.end(JSON.stringify({ token: `t${++issued}` }))]]);
  const challenge = { 'WWW-Authenticate': `Bearer realm="http://${hostOf(other)}/token",service="a registry",scope="repository:box:pull"` };
  const bearer = (handler: Handler): Handler => (request, response) => {
    // The first token is good for one request only.
    const good = request.headers.authorization === `Bearer t${issued}` && (issued > 1 || seen.filter(({ authorization }) => authorization === 'Bearer t1').length === 1);
    if (good) handler(request, response);
    else response.writeHead(401, challenge).end();
  };
  routes = new Map([...registry()].map(([path, handler]) => [path, bearer(handler)]));
  await works({ username: 'u', password: 'p' });
  assert.equal(issued, 2);
  const asked = new URL(seen.find(({ path }) => path.startsWith('/token'))?.path ?? '', 'http://x').searchParams;
  assert.deepEqual([...asked], [['service', 'a registry'], ['scope', 'repository:box:pull'], ['account', 'u']]);
  const denied: Handler = (_request, response) =>
    void response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="http://${hostOf(other)}/token",error="insufficient_scope"` }).end();
  routes = registry({ [MANIFEST]: denied });
  await fails({ kind: 'not-found', message: `pull access denied for ${hostOf(server)}/box, repository does not exist or may require 'docker login': denied: requested access to the resource is denied` });
  otherRoutes = new Map<string, Handler>([['/token', send(Buffer.alloc(2 * 1024 * 1024, 0x20))]]);
  await fails({ message: /token of .* is longer than/ });
  otherRoutes = new Map<string, Handler>([['/token', send('{"token":"a\\r\\nX-Evil: 1"}')]]);
  await fails({ message: /did not include a token/ });
});

test('a login gives an identity token, and that token gives access', { timeout: 20_000 }, async () => {
  let form = '';
  otherRoutes = new Map<string, Handler>([['/token', (request, response) => {
    request.setEncoding('utf8').on('data', (text: string) => { form += text; });
    request.on('end', () => {
      const good = request.method === 'POST' ? form.includes('refresh_token=identity') : request.headers.authorization === `Basic ${Buffer.from('u:p').toString('base64')}`;
      if (good) response.end(JSON.stringify({ access_token: 'good', refresh_token: 'identity' }));
      else response.writeHead(401).end('{"errors":[{"code":"UNAUTHORIZED","message":"incorrect username or password"}]}');
    });
  }]]);
  const bearer = (handler: Handler): Handler => (request, response) => {
    if (request.headers.authorization === 'Bearer good') handler(request, response);
    else response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="http://${hostOf(other)}/token",service="s"` }).end();
  };
  routes = new Map([...registry()].map(([path, handler]) => [path, bearer(handler)]));
  const login = (password: string) => fixture.images.authenticate({ username: 'u', password, serverAddress: hostOf(server) }, AbortSignal.timeout(5000));
  assert.deepEqual(await login('p'), { status: 'Login Succeeded', identityToken: 'identity' });
  assert.match(seen.find(({ path }) => path.startsWith('/token'))?.path ?? '', /offline_token=true/);
  await assert.rejects(login('wrong'), { kind: 'unauthorized', message: /incorrect username or password/ });
  await works({ identityToken: 'identity' });
  assert.deepEqual([...new URLSearchParams(form)], [['service', 's'], ['grant_type', 'refresh_token'], ['refresh_token', 'identity'], ['client_id', 'docker'], ['scope', 'repository:box:pull']]);
  await works({ registryToken: 'good' });
});

test('an image for one other platform is pulled with a warning', { timeout: 20_000 }, async () => {
  const told = await pull(null, undefined, 'linux/s390x');
  assert.equal(told.at(-1), `WARNING: image with reference ${hostOf(server)}/box:latest was found but its platform (linux/amd64) does not match the specified platform (linux/s390x)`);
  await fixture.images.remove(digestOf(CONFIG), { force: true, noPrune: false, usedBy: [] });
});

test('what a registry says is told without its control characters', { timeout: 20_000 }, async () => {
  const evil = JSON.stringify({ errors: [{ code: 'DENIED', message: 'no\u001b[2J\r\nway' }] });
  routes = registry({ [MANIFEST]: (_request, response) => void response.writeHead(403).end(evil) });
  await fails({ message: /docker login': denied: no \[2J {2}way$/ });
});

test('mirrors of Docker Hub: the first that has it, without our credentials', { timeout: 20_000 }, async () => {
  routes = new Map([['/mirror/v2/', (_request, response) => void response.writeHead(200).end()]]);
  otherRoutes = new Map([...registry()].map(([path, handler]) => [path.replace('/v2/box/', '/v2/library/box/'), handler]));
  await works({ username: 'u', password: 'p' }, 'box');
  assert.ok(seen.some(({ path }) => path === '/mirror/v2/library/box/manifests/latest'));
  assert.ok(seen.every(({ authorization }) => authorization === ''));
});
