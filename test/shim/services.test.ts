import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as dgram from 'node:dgram';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import type { TestContext } from 'node:test';
import { test } from 'node:test';
import { requestFds } from '../../src/sys/receiveFds.ts';
import { boundPort } from '../../src/sys/resolverSockets.ts';
import { Container, eventually, parseRecord } from './harness.ts';

const HEALTH = { 'health-process': 'health.json', 'health-command': 'test -e /tmp/ok', 'health-interval-ms': 60, 'health-timeout-ms': 1000, 'health-retries': 2 };

function withProbe(t: TestContext, script: string, spec: Record<string, string | number | boolean> = {}): Container {
  const c = new Container(t, { args: ['sleep', '1000'], spec: { ...HEALTH, ...spec } });
  fs.writeFileSync(path.join(c.dir, 'health.json'), JSON.stringify({
    terminal: false, user: { uid: 0, gid: 0 }, args: ['sh', '-c', script], env: ['PATH=/bin'], cwd: '/', noNewPrivileges: true,
  }));
  return c;
}

test('probes make a container healthy, unhealthy and healthy again', async (t) => {
  const c = withProbe(t, 'echo probed; test ! -e /tmp/bad');
  const { watch, pid } = await c.start();
  assert.equal((await watch.next('health')).pairs['status'], 'healthy');
  assert.equal(c.status()['health'], 'healthy');
  const flagFile = `/proc/${pid}/root/tmp/bad`;
  fs.writeFileSync(flagFile, '');
  assert.equal((await watch.next('health')).pairs['status'], 'unhealthy');
  fs.rmSync(flagFile);
  assert.equal((await watch.next('health')).pairs['status'], 'healthy');
  const kinds = watch.seen.map((l) => l.kind);
  assert.deepEqual(kinds.slice(0, 5), ['start', 'exec-create', 'exec-start', 'exec-die', 'health']);
  const file = fs.readFileSync(path.join(c.dir, 'health'), 'utf8');
  assert.match(file, /^moored-health 1\.0\nprobe \d+ \d+ 0 probed%0A\n/);
  assert.notEqual(parseRecord(file), undefined);
  await (await c.connect()).request('stop', { signal: 9, 'timeout-ms': -1 });
  await watch.next('end');
  assert.equal(c.status()['health'], 'unhealthy');
});

test('a probe that takes too long is killed and says so', async (t) => {
  const c = withProbe(t, 'echo begun; sleep 100', { 'health-timeout-ms': 1500, 'health-retries': 1 });
  const { watch } = await c.start();
  assert.equal((await watch.next('health')).pairs['status'], 'unhealthy');
  assert.match(fs.readFileSync(path.join(c.dir, 'health'), 'utf8'), / -1 Health%20check%20exceeded%20timeout%20\(1\.5s\):%20begun%0A\n/);
});

test('probe output is cut, and health goes on after adoption where it was', async (t) => {
  const c = withProbe(t, 'yes | head -c 100000; exit 1', { 'health-retries': 1000 });
  const { watch } = await c.start();
  await watch.next('exec-die');
  await watch.next('exec-die');
  await eventually(() => Number(c.status()['health-streak']) >= 2, 'streak');
  await c.killShim();
  const streak = Number(c.status()['health-streak']);
  assert.ok((await c.shim('adopt')).ok);
  assert.ok(Number(c.status()['health-streak']) >= streak);
  await eventually(() => Number(c.status()['health-streak']) > streak, 'streak grows');
  const [first = ''] = fs.readFileSync(path.join(c.dir, 'health'), 'utf8').split('\n').slice(1);
  const output = first.split(' ')[4] ?? '';
  assert.ok(output.endsWith('...'));
  assert.equal(output.replaceAll('%0A', '\n').length, 4099);
});

interface Handled { _handle: { fd: number } }

async function boundTcp(t: TestContext, host: string): Promise<{ fd: number; port: number; close: () => void }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  const { port } = server.address() as net.AddressInfo;
  t.after(() => server.close());
  return { fd: (server as unknown as Handled)._handle.fd, port, close: () => server.close() };
}

test('holds sockets, and gives them to whoever asks, again and again', async (t) => {
  const held = await boundTcp(t, '127.0.0.1');
  const other = await boundTcp(t, '127.0.0.1');
  const c = new Container(t, { args: ['sleep', '1000'], fds: [other.fd, held.fd], spec: { hold: ['4 other', '5 resolver-tcp'] } });
  await c.start();
  held.close();
  other.close();
  const early = net.connect({ port: held.port, host: '127.0.0.1' });
  t.after(() => early.destroy());
  for (let i = 0; i < 2; i++) {
    const { line, fds } = await requestFds(path.join(c.dir, 'shim.sock'), 'give-sockets\n', { timeoutMs: 5000 });
    assert.equal(line, 'ok sockets=other,resolver-tcp');
    assert.deepEqual(fds.map(boundPort), [other.port, held.port]);
    for (const fd of fds.slice(0, 1)) fs.closeSync(fd);
    if (i === 0) {
      fs.closeSync(fds[1] ?? -1);
      continue;
    }
    // A client that came while nobody had the socket is served by the next who has it.
    const server = net.createServer((socket) => socket.end('served'));
    server.listen({ fd: fds[1] ?? -1 });
    t.after(() => server.close());
    const chunks: Buffer[] = [];
    for await (const chunk of early) chunks.push(chunk as Buffer);
    assert.equal(Buffer.concat(chunks).toString(), 'served');
  }
});

test('relays TCP, with both half-closes, and holds a reserved port', async (t) => {
  const target = net.createServer({ allowHalfOpen: true }, (socket) => {
    const chunks: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => chunks.push(chunk)).on('end', () => socket.end(Buffer.concat(chunks))).on('error', () => undefined);
  });
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  t.after(() => target.close());
  const published = await boundTcp(t, '::1');
  const reserved = await boundTcp(t, '127.0.0.1');
  const c = new Container(t, {
    args: ['sleep', '1000'], fds: [published.fd, reserved.fd],
    spec: { port: [`relay-tcp 4 127.0.0.1 ${(target.address() as net.AddressInfo).port}`, 'reserve 5'] },
  });
  await c.start();
  published.close();
  reserved.close();
  const big = Buffer.alloc(3_000_000, 'relay');
  const answers = await Promise.all(Array.from({ length: 8 }, async () => {
    const socket = net.connect({ port: published.port, host: '::1', allowHalfOpen: true });
    socket.end(big);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks);
  }));
  for (const answer of answers) assert.ok(answer.equals(big));
  await assert.rejects(new Promise((resolve, reject) => net.createServer().listen(reserved.port, '127.0.0.1', () => resolve(1)).once('error', reject)), /EADDRINUSE/);
  // Nobody at the target: the client is told, and descriptors do not pile up.
  await new Promise<void>((resolve) => target.close(() => resolve()));
  const shimPid = c.newestShim().pid;
  const before = fs.readdirSync(`/proc/${shimPid}/fd`).length;
  for (let i = 0; i < 5; i++) {
    await new Promise<void>((resolve) => net.connect({ port: published.port, host: '::1' }).once('close', () => resolve()).once('error', () => undefined));
  }
  await eventually(() => fs.readdirSync(`/proc/${shimPid}/fd`).length <= before, 'descriptors given back');
});

test('relays UDP, each client its own answers', async (t) => {
  const target = dgram.createSocket('udp4', (message, from) => target.send(`${message.toString()} to ${from.port}`, from.port, from.address));
  await new Promise<void>((resolve) => target.bind(0, '127.0.0.1', resolve));
  t.after(() => target.close());
  const published = dgram.createSocket('udp6');
  await new Promise<void>((resolve) => published.bind(0, '::1', resolve));
  const port = published.address().port;
  const c = new Container(t, {
    args: ['sleep', '1000'], fds: [(published as unknown as { [key: symbol]: { handle: { fd: number } } })[Object.getOwnPropertySymbols(published).find((s) => s.description === 'state symbol') as symbol]?.handle.fd ?? -1],
    spec: { port: [`relay-udp 4 127.0.0.1 ${target.address().port}`] },
  });
  await c.start();
  published.close();
  const sources = new Set<string>();
  for (const name of ['a', 'b', 'c']) {
    const client = dgram.createSocket('udp6');
    const got = await new Promise<string>((resolve) => {
      client.once('message', (message) => resolve(message.toString()));
      client.send(name, port, '::1');
    });
    client.close();
    assert.ok(got.startsWith(`${name} to `));
    sources.add(got.slice(2));
  }
  assert.equal(sources.size, 3);
});

test('a link that the container made is gone before its restart, its own stays', async (t) => {
  const ns = `moored-t${process.pid}`;
  const ip = (...args: string[]): string => spawnSync('ip', args, { encoding: 'utf8' }).stdout;
  ip('netns', 'add', ns);
  t.after(() => ip('netns', 'del', ns));
  ip('-n', ns, 'link', 'add', 'eth0', 'type', 'bridge');
  const c = new Container(t, {
    args: ['sleep', '1000'],
    spec: { restart: 'always', netns: `/run/netns/${ns}`, 'keep-link': ['eth0'] },
    config: (config) => {
      const linux = config['linux'] as { namespaces: { type: string; path?: string }[] };
      for (const one of linux.namespaces) if (one.type === 'network') one.path = `/run/netns/${ns}`;
    },
  });
  const { watch, pid } = await c.start();
  await watch.next('start');
  for (const link of ['br0', 'br1']) ip('-n', ns, 'link', 'add', link, 'type', 'bridge');
  ip('-n', ns, 'link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'veth1');
  assert.match(ip('-n', ns, 'link'), /br1/);
  process.kill(pid, 'SIGKILL');
  await watch.next('start');
  const links = ip('-n', ns, '-o', 'link').split('\n').map((line) => line.split(':')[1]?.trim()).filter((name) => name !== undefined);
  assert.ok(links.includes('eth0'));
  assert.ok(!links.some((name) => /br|veth/.test(name)), links.join(' '));
});
