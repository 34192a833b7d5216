/** Published ports: where they answer, what they are called, and what is refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';
import { mooredOnly } from '../fixtures/target.ts';

const daemon = useDaemon();
const ECHO = ['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'];
// Debian's busybox has no UDP server: the host's node, over a bind of the host's files, is one.
const UDP_ECHO = ['-v', '/:/host:ro', 'busybox', 'chroot', '/host', process.execPath, '-e', "const s = require('node:dgram').createSocket('udp4'); s.on('message', (m, r) => s.send(m, r.port, r.address)); s.bind(7)"];
const reaches = async (host: string, port: number, netns?: string): Promise<boolean> => (await daemon.talk('tcp', host, port, netns === undefined ? {} : { netns })).stdout === 'hello\n';
const answers = (host: string, port: number, netns?: string): Promise<unknown> => eventually(() => reaches(host, port, netns), `${host}:${port} to answer`, 8000);

test('a port answers from outside, from localhost and by the host’s own address', async () => {
  const peer = daemon.peer();
  const id = await daemon.ok('run', '-d', '-p', '18080:7', ...ECHO);
  await answers('10.99.0.1', 18080, peer);
  await answers('127.0.0.1', 18080);
  await answers('10.99.0.1', 18080);
  await daemon.ok('rm', '-f', id);
  assert.equal(await reaches('10.99.0.1', 18080, peer), false);
});

test('IPv6 clients reach an IPv4 container', async () => {
  const peer = daemon.peer();
  const id = await daemon.ok('run', '-d', '-p', '18081:7', ...ECHO);
  await answers('::1', 18081);
  await answers('fd00:99::1', 18081, peer);
  await daemon.ok('rm', '-f', id);
});

test('UDP', async () => {
  const peer = daemon.peer();
  const id = await daemon.ok('run', '-d', '-p', '18082:7/udp', ...UDP_ECHO);
  const echoes = async (host: string, netns?: string): Promise<boolean> => (await daemon.talk('udp', host, 18082, netns === undefined ? {} : { netns })).stdout === 'hello\n';
  await eventually(() => echoes('10.99.0.1', peer), 'UDP from outside', 15_000);
  await eventually(() => echoes('127.0.0.1'), 'UDP from localhost', 15_000);
  await daemon.ok('rm', '-f', id);
});

test('bound to one address it answers there and nowhere else', async () => {
  const peer = daemon.peer();
  const id = await daemon.ok('run', '-d', '-p', '127.0.0.1:18083:7', ...ECHO);
  await answers('127.0.0.1', 18083);
  assert.equal(await reaches('10.99.0.1', 18083, peer), false);
  assert.equal((await daemon.ok('port', id)).trim(), '7/tcp -> 127.0.0.1:18083');
  await daemon.ok('rm', '-f', id);
});

test('a random port is told before start returns, and is taken from the range', async () => {
  const id = await daemon.ok('run', '-d', '-p', '7', ...ECHO);
  const [binding] = (await daemon.inspect(id)).NetworkSettings.Ports['7/tcp'];
  assert.ok(Number(binding.HostPort) >= 1024);
  await answers('127.0.0.1', Number(binding.HostPort));
  assert.match(await daemon.ok('port', id, '7'), new RegExp(`^0\\.0\\.0\\.0:${binding.HostPort}$`, 'm'));
  await daemon.ok('rm', '-f', id);
  const ranged = await daemon.ok('run', '-d', '-p', '18100-18102:7', ...ECHO);
  const host = Number((await daemon.inspect(ranged)).NetworkSettings.Ports['7/tcp'][0].HostPort);
  assert.ok(host >= 18100 && host <= 18102);
  await daemon.ok('rm', '-f', ranged);
});

test('-P publishes what is exposed; ranges map one to one', async () => {
  const id = await daemon.ok('run', '-d', '-P', '--expose', '7', '--expose', '8/udp', ...ECHO);
  const { Ports } = (await daemon.inspect(id)).NetworkSettings;
  assert.deepEqual(Object.keys(Ports).toSorted(), ['7/tcp', '8/udp']);
  assert.ok(Number(Ports['8/udp'][0].HostPort) > 0);
  await daemon.ok('rm', '-f', id);
  const ranged = await daemon.ok('run', '-d', '-p', '18110-18112:5-7', ...ECHO);
  const mapped = (await daemon.inspect(ranged)).NetworkSettings.Ports;
  assert.deepEqual(['5/tcp', '6/tcp', '7/tcp'].map((port) => mapped[port][0].HostPort), ['18110', '18111', '18112']);
  await answers('127.0.0.1', 18112);
  await daemon.ok('rm', '-f', ranged);
});

test('a port that is taken, by a container or by a process', async () => {
  const id = await daemon.ok('run', '-d', '-p', '18084:7', ...ECHO);
  const second = await daemon.docker(['run', '-d', '--name', 'second', '-p', '18084:7', ...ECHO]);
  assert.equal(second.code, 125);
  assert.match(second.stderr, /failed|[Bb]ind for 0\.0\.0\.0:18084 failed: port is already allocated/);
  assert.equal((await daemon.inspect('second')).State.Status, 'created');
  await daemon.ok('rm', '-f', id);
  await daemon.ok('start', 'second');
  await answers('127.0.0.1', 18084);
  await daemon.ok('rm', '-f', 'second');
  const squatter = daemon.sessionInside(['busybox', 'nc', '-ll', '-p', '18085', '-e', 'cat']);
  await answers('127.0.0.1', 18085);
  const third = await daemon.docker(['run', '-d', '--name', 'third', '-p', '18085:7', ...ECHO]);
  assert.equal(third.code, 125);
  assert.match(third.stderr, /address already in use|port is already allocated/);
  squatter.kill();
  await squatter.result();
  await daemon.ok('rm', '-f', 'third');
});

test('a container calls its own published port, and another one’s', async () => {
  daemon.peer();
  const id = await daemon.ok('run', '-d', '-p', '18086:7', ...ECHO);
  await answers('127.0.0.1', 18086);
  assert.equal(await daemon.ok('exec', id, 'sh', '-c', 'echo own | nc -w 2 10.99.0.1 18086'), 'own');
  assert.equal(await daemon.ok('run', '--rm', 'busybox', 'sh', '-c', 'echo other | nc -w 2 10.99.0.1 18086'), 'other');
  await daemon.ok('rm', '-f', id);
});

test('ports follow a restart and go with a stop', async () => {
  const id = await daemon.ok('run', '-d', '-p', '18087:7', ...ECHO);
  await daemon.ok('restart', '-t', '0', id);
  await answers('127.0.0.1', 18087);
  await daemon.ok('stop', '-t', '0', id);
  assert.deepEqual((await daemon.inspect(id)).NetworkSettings.Ports, {});
  assert.equal(await reaches('127.0.0.1', 18087), false);
  await daemon.ok('start', id);
  await answers('127.0.0.1', 18087);
  await daemon.ok('rm', '-f', id);
});

test('containers reach outside; outside does not reach what is not published', async () => {
  const peer = daemon.peer();
  const server = daemon.sessionInside(['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'], peer);
  await eventually(() => reaches('10.99.0.2', 7), 'the peer’s server');
  assert.equal(await daemon.ok('run', '--rm', 'busybox', 'sh', '-c', 'echo out | nc -w 2 10.99.0.2 7'), 'out');
  server.kill();
  await server.result();
});

test('the address of a container is not reachable through the host from outside', mooredOnly('dockerd 20.10 forwards it'), async () => {
  const peer = daemon.peer();
  const id = await daemon.ok('run', '-d', ...ECHO);
  const address = (await daemon.inspect(id)).NetworkSettings.IPAddress as string;
  await answers(address, 7);
  assert.equal(await reaches(address, 7, peer), false);
  await daemon.ok('rm', '-f', id);
});

test('what cannot be a port', async () => {
  const bad = await daemon.request('POST', '/containers/create', { body: { Image: 'busybox', Cmd: ['true'], HostConfig: { PortBindings: { '7/tcp': [{ HostPort: '99999' }] } } } });
  assert.equal(bad.status, 400);
  assert.match(bad.message(), /[Ii]nvalid port specification: "99999"/);
});
