import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { notFound, notModified } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { field, int, string, struct } from '../wire/goJson.ts';
import { pingRoutes } from './ping.ts';
import { createRouter } from './router.ts';
import type { Route } from './router.ts';
import { apiHandler, createApiServer } from './server.ts';

const Body = struct('test.Body', { name: field('Name', string), size: field('Size', int) });

async function serve(t: TestContext, routes: readonly Route[]): Promise<number> {
  const router = createRouter([...pingRoutes({ swarmState: () => 'inactive' }), ...routes]);
  const server = createApiServer(apiHandler({ router, logger: silentLogger, version: '1.2.3', experimental: false }));
  server.http.listen(0, '127.0.0.1');
  await once(server.http, 'listening');
  t.after(() => server.close());
  return (server.http.address() as AddressInfo).port;
}

interface Answer {
  readonly status: number | undefined;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

async function call(port: number, path: string, options: http.RequestOptions & { body?: string } = {}): Promise<Answer> {
  const request = http.request({ port, path, agent: false, ...options });
  request.end(options.body);
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

async function text(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** Sends bytes as they are, ends its side, and gives back all that came. */
async function raw(port: number, chunks: readonly string[]): Promise<string> {
  const socket = net.connect({ port, allowHalfOpen: true });
  await once(socket, 'connect');
  for (const chunk of chunks) {
    socket.write(chunk);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  socket.end();
  return text(socket);
}

test('ping says what the clients negotiate from', async (t) => {
  const port = await serve(t, []);
  const { status, headers, body } = await call(port, '/_ping');
  assert.equal(status, 200);
  assert.equal(body, 'OK');
  const expected = {
    'api-version': '1.51',
    'docker-experimental': 'false',
    ostype: 'linux',
    server: 'Docker/1.2.3 (linux)',
    'cache-control': 'no-cache, no-store, must-revalidate',
    pragma: 'no-cache',
    'builder-version': '1',
    swarm: 'inactive',
    'content-type': 'text/plain; charset=utf-8',
  };
  for (const [name, value] of Object.entries(expected)) assert.equal(headers[name], value, name);
  const head = await call(port, '/_ping', { method: 'HEAD' });
  assert.equal(head.headers['content-length'], '0');
  assert.equal((await call(port, '/v1.40/_ping')).status, 200);
  assert.equal((await call(port, '/anything/at/all', { method: 'OPTIONS' })).status, 200);
});

test('versions out of range, unknown paths and methods', async (t) => {
  const port = await serve(t, [
    { method: 'GET', pattern: '/new', minApi: '1.50', handler: (_request, response) => response.empty(200) },
  ]);
  const tooNew = await call(port, '/v1.99/_ping');
  assert.equal(tooNew.status, 400);
  assert.equal(tooNew.headers['content-type'], 'application/json');
  assert.equal(tooNew.body, '{"message":"client version 1.99 is too new. Maximum supported API version is 1.51"}\n');
  const tooOld = await call(port, '/v1.12/_ping');
  assert.equal(tooOld.status, 400);
  assert.match(tooOld.body, /^client version 1.12 is too old\./);
  for (const [path, method] of [['/nope', 'GET'], ['/_ping', 'DELETE'], ['/v1.49/new', 'GET']] as const) {
    const answer = await call(port, path, { method });
    assert.equal(answer.status, 404);
    assert.equal(answer.body, '{"message":"page not found"}\n');
  }
  assert.equal((await call(port, '/v1.50/new')).status, 200);
  assert.equal((await call(port, '/%zz')).status, 400);
});

test('names with slashes, literals before parameters', async (t) => {
  const names = (kind: string): Route['handler'] => (request, response) => response.value({ kind, name: request.param('name') });
  const port = await serve(t, [
    { method: 'GET', pattern: '/images/{name...}/json', handler: names('inspect') },
    { method: 'GET', pattern: '/images/{name...}/get', handler: names('get') },
    { method: 'GET', pattern: '/images/json', handler: (_request, response) => response.value({ kind: 'list' }) },
    { method: 'GET', pattern: '/networks/{name}', handler: names('network') },
  ]);
  const cases: Record<string, unknown> = {
    '/images/json': { kind: 'list' },
    '/v1.51/images/localhost:5000/a/b/json': { kind: 'inspect', name: 'localhost:5000/a/b' },
    '/images/library%2Falpine:3/get': { kind: 'get', name: 'library/alpine:3' },
    '/images/json/json': { kind: 'inspect', name: 'json' },
    '/networks/n?x=1': { kind: 'network', name: 'n' },
    '/networks/a/b': { message: 'page not found' },
  };
  for (const [path, expected] of Object.entries(cases)) assert.deepEqual(JSON.parse((await call(port, path)).body), expected, path);
});

test('bodies: JSON, its absence, other types, size', async (t) => {
  const port = await serve(t, [
    { method: 'POST', pattern: '/lenient', handler: async (request, response) => response.json(Body, await request.json(Body)) },
    { method: 'POST', pattern: '/strict', handler: async (request, response) => response.json(Body, await request.requiredJson(Body), 201) },
  ]);
  const post = (path: string, body: string, type = 'application/json') =>
    call(port, path, { method: 'POST', body, headers: { 'content-length': Buffer.byteLength(body), ...(type === '' ? {} : { 'content-type': type }) } });
  const ok = await post('/strict', '{"name":"é","Size":3}', 'application/json; charset=utf-8');
  assert.equal(ok.status, 201);
  assert.equal(ok.headers['content-type'], 'application/json');
  assert.equal(ok.body, '{"Name":"é","Size":3}\n');
  assert.equal((await post('/lenient', '', '')).body, '{"Name":"","Size":0}\n');
  const refused: [string, string, string, string][] = [
    ['/strict', '', 'application/json', 'invalid JSON: got EOF while reading request body'],
    ['/lenient', '{}', 'text/plain', "unsupported Content-Type header (text/plain): must be 'application/json'"],
    ['/lenient', '{}', '', 'malformed Content-Type header (): mime: no media type'],
    ['/lenient', '{"Size":"x"}', 'application/json', 'invalid JSON: json: cannot unmarshal string into Go struct field Body.Size of type int'],
    ['/lenient', `"${'x'.repeat(17 * 1024 * 1024)}"`, 'application/json', 'request body is too large: more than 16777216 bytes'],
  ];
  for (const [path, body, type, message] of refused) {
    const answer = await post(path, body, type);
    assert.equal(answer.status, 400);
    assert.deepEqual(JSON.parse(answer.body), { message });
  }
});

test('errors, 204 and 304, on one connection', async (t) => {
  const port = await serve(t, [
    { method: 'GET', pattern: '/missing', handler: () => { throw notFound('No such container: x'); } },
    { method: 'GET', pattern: '/broken', handler: () => { throw new TypeError('oops'); } },
    { method: 'POST', pattern: '/same', handler: () => { throw notModified('already'); } },
    { method: 'POST', pattern: '/done', handler: (_request, response) => response.empty() },
  ]);
  const answers = await raw(port, ['/missing', '/broken', '/same', '/done', '/same'].map((path) => {
    const method = path === '/same' || path === '/done' ? 'POST' : 'GET';
    return `${method} ${path} HTTP/1.1\r\nHost: d\r\n\r\n`;
  }));
  assert.deepEqual(answers.match(/HTTP\/1.1 \d+/g), ['404', '500', '304', '204', '304'].map((code) => `HTTP/1.1 ${code}`));
  assert.match(answers, /{"message":"No such container: x"}\n/);
  assert.doesNotMatch(answers.slice(answers.indexOf('HTTP/1.1 304')), /Content-Length|Transfer-Encoding|message/);
});

test('Expect: 100-continue and long headers', async (t) => {
  const port = await serve(t, [{ method: 'POST', pattern: '/up', handler: async (request, response) => response.send(await request.text(), { contentType: 'text/plain' }) }]);
  const answer = await raw(port, [
    `POST /up HTTP/1.1\r\nHost: d\r\nX-Registry-Config: ${'x'.repeat(500_000)}\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n`,
    'hi',
  ]);
  assert.match(answer, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK\r\n[^]*hi$/);
});

test('a stream is flushed at once, bounded, and ends when its client goes', async (t) => {
  const seen = Promise.withResolvers<string>();
  const port = await serve(t, [
    {
      method: 'GET',
      pattern: '/events',
      handler: async (request, response) => {
        const stream = response.stream();
        await stream.line({ n: 1763900000123456789n });
        await once(request.signal, 'abort');
        seen.resolve('gone');
      },
    },
    {
      method: 'GET',
      pattern: '/flood',
      handler: async (_request, response) => {
        const stream = response.stream({ separator: '\r\n' });
        try {
          for (let i = 0; i < 1e6; i += 1) await stream.write(Buffer.alloc(65536));
          seen.reject(new Error('wrote without a reader'));
        } catch (error) {
          assert.match(String(error), /the client has gone/);
          throw error;
        }
      },
    },
  ]);
  const request = http.get({ port, path: '/events', agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const [line] = (await once(response, 'data')) as [Buffer];
  assert.equal(line.toString(), '{"n":1763900000123456789}\n');
  response.destroy();
  assert.equal(await seen.promise, 'gone');

  const socket = net.connect(port);
  socket.write('GET /flood HTTP/1.1\r\nHost: d\r\n\r\n');
  await once(socket, 'readable');
  await new Promise((resolve) => setTimeout(resolve, 50));
  socket.destroy();
});

test('closing the server cuts every client', async (t) => {
  const router = createRouter([{ method: 'GET', pattern: '/wait', handler: (_request, response) => void response.stream() }]);
  const server = createApiServer(apiHandler({ router, logger: silentLogger, version: '1', experimental: false }));
  server.http.listen(0);
  await once(server.http, 'listening');
  const { port } = server.http.address() as AddressInfo;
  const request = http.get({ port, path: '/wait', agent: false });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  t.after(() => request.destroy());
  const closed = once(response, 'close').catch(() => {});
  response.on('error', () => {});
  await server.close();
  await closed;
});

const echo: Route = {
  method: 'POST',
  pattern: '/exec/{id}/start',
  hijack: true,
  handler: async (request, response) => {
    const body = await request.json(Body);
    if (request.param('id') === 'none') throw notFound('No such exec instance: none');
    await new Promise((resolve) => setTimeout(resolve, 5));
    const stream = response.hijack({ contentType: 'application/vnd.docker.raw-stream' });
    const input: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => input.push(chunk)).resume();
    await once(stream, 'end');
    stream.end(`${body.name}:${Buffer.concat(input).toString()}`);
  },
};

const JSON_BODY = 'Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"Name":"me"}'.replace('12', '13');
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: tcp\r\n';

test('hijack with an upgrade', async (t) => {
  const port = await serve(t, [echo]);
  const answer = await raw(port, [`POST /exec/x/start HTTP/1.1\r\nHost: d\r\n${UPGRADE}${JSON_BODY}`, 'GET / HTTP/1.1\r\n\r\n', 'more']);
  const [head = '', rest] = answer.split('\r\n\r\n', 1).concat(answer.slice(answer.indexOf('\r\n\r\n') + 4));
  assert.match(head, /^HTTP\/1.1 101 UPGRADED\r\n/);
  assert.match(head, /\r\nContent-Type: application\/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nApi-Version: 1.51/);
  assert.equal(rest, 'me:GET / HTTP/1.1\r\n\r\nmore');
});

test('hijack without one, with input in the request’s own packet', async (t) => {
  const port = await serve(t, [echo]);
  for (const early of ['', 'zzz\n', '\0\x01']) {
    const answer = await raw(port, [`POST /exec/x/start HTTP/1.1\r\nHost: d\r\n${JSON_BODY}${early}`, '+late']);
    assert.match(answer, /^HTTP\/1.1 200 OK\r\nContent-Type: application\/vnd.docker.raw-stream\r\n/);
    assert.doesNotMatch(answer, /Content-Length|Transfer-Encoding/i);
    assert.ok(answer.endsWith(`\r\n\r\nme:${early}+late`), answer);
  }
});

test('an error before the hijack is an ordinary answer, then the connection closes', async (t) => {
  const port = await serve(t, [echo]);
  const answer = await raw(port, [`POST /exec/none/start HTTP/1.1\r\nHost: d\r\n${UPGRADE}${JSON_BODY}`]);
  assert.match(answer, /^HTTP\/1.1 404 Not Found\r\n/);
  assert.match(answer, /{"message":"No such exec instance: none"}\n$/);
});

test('an Upgrade header on another route is no upgrade', async (t) => {
  const port = await serve(t, []);
  const answer = await raw(port, ['GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n']);
  assert.match(answer, /^HTTP\/1.1 200 OK\r\n[^]*OK$/);
});

test('what is no HTTP is told so', async (t) => {
  const port = await serve(t, []);
  assert.match(await raw(port, ['\x16\x03\x01 hello\r\n\r\n']), /^HTTP\/1.1 400 Bad Request\r\n/);
});
