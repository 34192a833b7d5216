/** version, info, ping, df, negotiation, error texts, and hostile requests. */
import assert from 'node:assert/strict';
import net from 'node:net';
import { once } from 'node:events';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { mooredOnly, per } from '../fixtures/target.ts';

const daemon = useDaemon();

test('ping', async () => {
  const got = await daemon.request('GET', '/_ping');
  assert.deepEqual([got.status, got.text], [200, 'OK']);
  const head = await daemon.request('HEAD', '/_ping');
  assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', '0']);
  for (const { headers } of [got, head]) {
    assert.match(String(headers['api-version']), /^1\.\d+$/);
    assert.equal(headers['ostype'], 'linux');
    assert.equal(headers['docker-experimental'], 'false');
    assert.match(String(headers['server']), /^Docker\/\S+ \(linux\)$/);
    assert.equal(headers['cache-control'], 'no-cache, no-store, must-revalidate');
    assert.equal(headers['pragma'], 'no-cache');
    if (daemon.engine === 'moored') assert.match(String(headers['builder-version']), /^[12]$/);
  }
});

test('version', async () => {
  const version = (await daemon.request('GET', '/version')).json();
  for (const key of ['Version', 'ApiVersion', 'MinAPIVersion', 'GitCommit', 'GoVersion', 'Os', 'Arch', 'KernelVersion', 'BuildTime', 'Components', 'Platform']) assert.ok(key in version, key);
  assert.equal(version.Components[0].Name, 'Engine');
  assert.equal(version.Os, 'linux');
  const { stdout, code } = await daemon.docker(['version', '--format', '{{.Server.APIVersion}}']);
  assert.deepEqual([code, stdout.trim()], [0, version.ApiVersion]);
});

test('info', async () => {
  await daemon.ok('create', '--name', 'counted', 'busybox', 'true');
  const info = (await daemon.request('GET', '/info')).json();
  assert.deepEqual([info.Containers, info.ContainersRunning, info.ContainersPaused, info.ContainersStopped, info.Images], [1, 0, 0, 1, 1]);
  assert.deepEqual([info.OSType, info.DockerRootDir, info.LoggingDriver, info.DefaultRuntime, info.LiveRestoreEnabled, info.Swarm.LocalNodeState], ['linux', daemon.dataRoot, 'json-file', 'runc', false, 'inactive']);
  assert.equal(typeof info.ID, 'string');
  assert.ok(info.NCPU >= 1 && info.MemTotal > 1e8);
  assert.match(info.CgroupVersion, /^[12]$/);
  assert.ok(Array.isArray(info.SecurityOptions) && info.SecurityOptions.some((option: string) => option.startsWith('name=seccomp')));
  assert.ok(info.Plugins.Network.includes('bridge') && info.Plugins.Volume.includes('local') && info.Plugins.Log.includes('json-file'));
  assert.ok('runc' in info.Runtimes);
  assert.match(await daemon.ok('info'), /Storage Driver: overlay2/);
  assert.match(await daemon.ok('info', '--format', '{{.RuncCommit.ID}}'), /^\S+$/);
  await daemon.ok('rm', 'counted');
});

test('df', async () => {
  await daemon.ok('volume', 'create', 'sized');
  await daemon.ok('create', '--name', 'sizer', '-v', 'sized:/d', 'busybox', 'true');
  const df = (await daemon.request('GET', '/system/df')).json();
  assert.ok(df.LayersSize > 500_000);
  assert.equal(df.Images.length, 1);
  assert.equal(df.Images[0].Containers, 1);
  assert.deepEqual([df.Containers.length, df.Containers[0].Names], [1, ['/sizer']]);
  assert.deepEqual([df.Volumes.length, df.Volumes[0].UsageData.RefCount], [1, 1]);
  assert.match(await daemon.ok('system', 'df'), /Local Volumes/);
  await daemon.ok('rm', 'sizer');
  await daemon.ok('volume', 'rm', 'sized');
});

test('versions in the path', async () => {
  const maximum = String((await daemon.request('GET', '/_ping')).headers['api-version']);
  assert.equal((await daemon.request('GET', `/v${maximum}/containers/json`)).status, 200);
  assert.equal((await daemon.request('GET', '/v1.24/containers/json')).status, 200);
  const high = await daemon.request('GET', '/v1.99/containers/json');
  assert.deepEqual([high.status, high.message()], [400, `client version 1.99 is too new. Maximum supported API version is ${maximum}`]);
});

test('versions that are too old', mooredOnly('dockerd 20.10 goes back to 1.12'), async () => {
  const low = await daemon.request('GET', '/v1.20/containers/json');
  assert.equal(low.status, 400);
  assert.match(low.text, /client version 1\.20 is too old\. Minimum supported API version is 1\.24, please upgrade your client to a newer version/);
});

test('an unknown path or method', async () => {
  for (const [method, path] of [['GET', '/nothing'], ['GET', '/v1.41/nothing'], ['DELETE', '/version'], ['PATCH', '/containers/json']] as const) {
    const answer = await daemon.request(method, path);
    assert.deepEqual([answer.status, answer.text], [404, '{"message":"page not found"}\n'], `${method} ${path}`);
    assert.equal(answer.headers['content-type'], 'application/json');
  }
});

test('errors are JSON, of exactly that type, on every path', async () => {
  for (const [method, path] of [['GET', '/containers/no/json'], ['POST', '/containers/no/start'], ['DELETE', '/containers/no'], ['GET', '/images/no/json'], ['GET', '/networks/no'], ['GET', '/volumes/no'], ['GET', '/exec/no/json'], ['GET', '/containers/no/archive?path=/'], ['POST', '/containers/no/rename?name=x'], ['GET', '/containers/no/stats'], ['GET', '/containers/no/top'], ['GET', '/containers/no/changes'], ['POST', '/containers/no/update']] as const) {
    const answer = await daemon.request(method, path, path.endsWith('update') ? { body: {} } : {});
    assert.equal(answer.status, 404, `${method} ${path}: ${answer.text}`);
    assert.equal(answer.headers['content-type'], 'application/json');
    assert.match(answer.message(), /[Nn]o such|not found/);
    assert.match(String(answer.headers['api-version']), /^1\./);
  }
});

test('ids: ambiguous and invalid', async () => {
  const made: string[] = [];
  while (new Set(made.map((id) => id[0])).size === made.length) made.push(await daemon.ok('create', 'busybox', 'true'));
  const twice = made.find((id, index) => made.findIndex((other) => other[0] === id[0]) !== index) ?? '';
  const answer = await daemon.request('GET', `/containers/${twice.slice(0, 1)}/json`);
  assert.deepEqual([answer.status, answer.message()], per({ moored: [400, `multiple IDs found with provided prefix: ${twice.slice(0, 1)}`], dockerd: [500, `Multiple IDs found with provided prefix: ${twice.slice(0, 1)}`] }));
  await daemon.ok('rm', ...made);
});

test('bodies: malformed, of the wrong type, trailing data, another content type', async () => {
  const send = (body: string, type = 'application/json') => daemon.request('POST', '/networks/create', { body, headers: { 'Content-Type': type } });
  for (const body of ['{', '[]', '{"Name":5}', '"text"']) {
    const answer = await send(body);
    assert.equal(answer.status, per({ moored: 400, dockerd: answer.status }), body);
    assert.ok(answer.status >= 400);
  }
  const type = await send('{"Name":"x"}', 'text/plain');
  assert.ok(type.status >= 400);
  assert.match(type.message(), per({ moored: /unsupported Content-Type header \(text\/plain\): must be 'application\/json'/, dockerd: /Content-Type specified \(text\/plain\) must be 'application\/json'/ }));
});

test('the texts of bad bodies', mooredOnly('dockerd 20.10 words them otherwise'), async () => {
  const send = (body: string) => daemon.request('POST', '/containers/create', { body });
  assert.match((await send('{"Image":5}')).message(), /^invalid JSON: json: cannot unmarshal number into Go struct field .*Image of type string$/);
  assert.equal((await send('{"Image":"busybox"} x')).message(), 'unexpected content after JSON');
  assert.equal((await send('')).message(), 'invalid JSON: got EOF while reading request body');
});

test('keys are read in any case, unknown ones ignored, null is nothing', async () => {
  const created = await daemon.request('POST', '/containers/create', { body: { image: 'busybox', CMD: ['true'], Unknown: { a: 1 }, Labels: null, HostConfig: null } });
  assert.equal(created.status, 201, created.text);
  await daemon.ok('rm', created.json().Id as string);
});

test('numbers beyond a double keep their digits', async () => {
  const created = await daemon.request('POST', '/containers/create', { body: '{"Image":"busybox","Cmd":["true"],"HostConfig":{"Memory":9007199254740993}}' });
  assert.equal(created.status, 201, created.text);
  const { text } = await daemon.request('GET', `/containers/${created.json().Id}/json`);
  assert.match(text, /"Memory":9007199254740993[,}]/);
  await daemon.ok('rm', created.json().Id as string);
});

test('a connection is used again, also after 204, 304 and errors', async () => {
  const socket = net.connect(daemon.socket);
  const id = await daemon.ok('create', 'busybox', 'sleep', '600');
  let seen = '';
  socket.on('data', (chunk: Buffer) => {
    seen += chunk.toString();
  });
  const exchange = async (method: string, path: string, status: number): Promise<void> => {
    seen = '';
    socket.write(`${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`);
    while (!/\r\n\r\n/.test(seen)) await once(socket, 'data');
    assert.match(seen, new RegExp(`^HTTP/1\\.1 ${status} `), path);
    const length = Number(/content-length: (\d+)/i.exec(seen)?.[1] ?? 0);
    while (seen.length - seen.indexOf('\r\n\r\n') - 4 < length) await once(socket, 'data');
  };
  await exchange('POST', `/containers/${id}/start`, 204);
  await exchange('POST', `/containers/${id}/start`, 304);
  await exchange('GET', '/containers/nobody/json', 404);
  await exchange('GET', '/_ping', 200);
  socket.destroy();
  await daemon.ok('rm', '-f', id);
});

test('garbage does not disturb the daemon', async () => {
  for (const garbage of ['\0\0\0\0', 'GET\r\n\r\n', 'POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n{', 'GET /containers/%00%ff/json HTTP/1.1\r\nHost: x\r\n\r\n', `GET /${'a'.repeat(200_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 'GET /containers/..%2f..%2fetc/json HTTP/1.1\r\nHost: x\r\n\r\n']) {
    const socket = net.connect(daemon.socket);
    await once(socket, 'connect');
    socket.on('error', () => {});
    socket.end(garbage);
    socket.resume();
    await once(socket, 'close', { signal: AbortSignal.timeout(10_000) });
  }
  assert.equal((await daemon.request('GET', '/_ping')).status, 200);
});

test('swarm is inactive, and says so', async () => {
  for (const [method, path] of [['GET', '/swarm'], ['GET', '/services'], ['GET', '/nodes'], ['GET', '/tasks'], ['GET', '/secrets'], ['GET', '/configs']] as const) {
    const answer = await daemon.request(method, path);
    assert.equal(answer.status, 503, `${path}: ${answer.text}`);
    assert.match(answer.message(), /This node is not a swarm manager\. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again\./);
  }
});

test('plugins: none', async () => {
  assert.deepEqual((await daemon.request('GET', '/plugins')).json(), []);
});

test('auth without a registry', async () => {
  const answer = await daemon.request('POST', '/auth', { body: { username: 'u', password: 'p', serveraddress: '127.0.0.1:1' } });
  assert.ok(answer.status >= 400);
});
