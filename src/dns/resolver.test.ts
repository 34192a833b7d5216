/** The resolver as a process, in namespaces of its own, with `status` files in place of shims. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import type { Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, Socket } from 'node:net';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { ended, eventually } from '../../test/fixtures/processes.ts';
import { silentLogger } from '../base/logger.ts';
import type { NamedEndpoint, SandboxNames, Upstream } from '../core/ports/names.ts';
import { RouteSocket } from '../sys/netlinkRoute.ts';
import { createNetns, removeNetns } from '../sys/netns.ts';
import { bindPairIn, connectSocketIn, openSocketIn } from '../sys/resolverSockets.ts';
import { RCODE, TYPE } from './message.ts';
import { Names } from './names.ts';
import { askIn, queryMessage, readReply } from './query.fixture.ts';

const root = mkdtempSync('/tmp/moored-dns-');
const folder = path.join(root, 'dns');
const command = [process.execPath, path.join(import.meta.dirname, 'main.ts')];
const deps = { folder, command, cgroups: () => Promise.resolve([]), version: '1', logger: silentLogger };
const id = (digit: string): string => digit.repeat(64);
const netns = (digit: string): string => path.join(root, digit, 'netns');
let names = new Names(deps);

function status(digit: string, state: string): void {
  const start = readFileSync('/proc/self/stat', 'latin1').replace(/.*\) /s, '').split(' ')[19];
  writeFileSync(path.join(root, digit, 'status'), `moored-status 1.0\nstate ${state}\nshim-pid ${process.pid}\npid ${process.pid}\npid-start ${start}\nend\n`);
}

const endpoint = (more: Partial<NamedEndpoint>): NamedEndpoint => ({ networkId: 'n1', networkName: 'harbour', ipv4: '', ipv6: '', names: [], links: {}, ...more });

async function sandbox(digit: string, endpoints: NamedEndpoint[], upstreams: Upstream[] = []): Promise<SandboxNames['ports']> {
  mkdirSync(path.join(root, digit), { recursive: true });
  createNetns(netns(digit), () => {
    using socket = new RouteSocket();
    socket.setLink('lo', { up: true });
  });
  status(digit, 'running');
  using sockets = await names.open(netns(digit));
  const { ports } = sockets;
  // In place of the shim, which holds them: the resolver binds them anew.
  sockets[Symbol.dispose]();
  await names.publish({ id: id(digit), netnsPath: netns(digit), shimDir: path.join(root, digit), ports, endpoints, upstreams });
  return ports;
}

const resolverPid = (): number => Number(readFileSync(path.join(folder, 'lock'), 'utf8'));

before(async () => {
  await sandbox('a', [endpoint({ ipv4: '10.9.0.2', names: ['Ann', 'aaaaaaaaaaaa'] })]);
  await sandbox('b', [endpoint({ ipv4: '10.9.0.3', ipv6: 'fd00::3', names: ['bob', 'boat'], links: {} })]);
});

after(async () => {
  names[Symbol.dispose]();
  const pid = resolverPid();
  for (const digit of ['a', 'b', 'c']) removeNetns(netns(digit));
  if (pid > 0) process.kill(pid, 'SIGTERM');
  await sleep(20);
  rmSync(root, { recursive: true });
});

test('names, in any spelling, aliases and short ids; network by name', async () => {
  const bob = await askIn(netns('a'), 'bob');
  assert.deepEqual([bob.rcode, bob.answers, bob.ttl, bob.truncated], [RCODE.ok, ['10.9.0.3'], 600, false]);
  assert.deepEqual((await askIn(netns('a'), 'BOAT')).answers, ['10.9.0.3']);
  assert.deepEqual((await askIn(netns('b'), 'aaaaaaaaaaaa')).answers, ['10.9.0.2']);
  assert.deepEqual((await askIn(netns('b'), 'ann.Harbour')).answers, ['10.9.0.2']);
  assert.deepEqual((await askIn(netns('a'), 'bob', { type: TYPE.AAAA })).answers, ['fd00::3']);
  assert.deepEqual((await askIn(netns('a'), 'bob', { transport: 'tcp' })).answers, ['10.9.0.3']);
});

test('a name without such a record is known all the same', async () => {
  const answer = await askIn(netns('b'), 'ann', { type: TYPE.AAAA });
  assert.deepEqual([answer.rcode, answer.answers], [RCODE.ok, []]);
});

test('addresses', async () => {
  assert.deepEqual((await askIn(netns('a'), '3.0.9.10.in-addr.arpa', { type: TYPE.PTR })).answers, ['bob.harbour']);
  assert.deepEqual((await askIn(netns('a'), `3.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`, { type: TYPE.PTR })).answers, ['bob.harbour']);
});

test('a name that nobody has, and nobody to ask', async () => {
  assert.equal((await askIn(netns('a'), 'carol')).rcode, RCODE.failure);
});

test('what does not run has no name, whether or not a daemon says so', async () => {
  status('b', 'restarting');
  assert.equal((await askIn(netns('a'), 'bob')).rcode, RCODE.failure);
  status('b', 'running');
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
});

test('without a daemon; and the next daemon takes over what is there', async () => {
  const pid = resolverPid();
  names[Symbol.dispose]();
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
  names = new Names(deps);
  await names.restore([id('a'), id('b')]);
  assert.equal(resolverPid(), pid);
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
});

test('killed, it is started again, and answers without a change of the rules', async () => {
  const pid = resolverPid();
  process.kill(pid, 'SIGKILL');
  const deadline = performance.now() + 10_000;
  while (resolverPid() === pid && performance.now() < deadline) await sleep(20);
  assert.notEqual(resolverPid(), pid);
  for (const digit of ['a', 'b']) await names.publish((await names.published(id(digit))) ?? assert.fail());
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
  assert.deepEqual((await askIn(netns('a'), 'bob', { transport: 'tcp' })).answers, ['10.9.0.3']);
});

test('killed while no daemon is there, and no shim to start it again: the next daemon does', async () => {
  const pid = resolverPid();
  names[Symbol.dispose]();
  process.kill(pid, 'SIGKILL');
  await ended(pid);
  names = new Names(deps);
  await names.restore([id('a'), id('b')]);
  const { answers } = await eventually(async () => (resolverPid() === pid ? undefined : askIn(netns('a'), 'bob').catch(() => undefined)), 'the next resolver');
  assert.deepEqual(answers, ['10.9.0.3']);
});

test('a daemon of another release brings its own resolver', async () => {
  const pid = resolverPid();
  names[Symbol.dispose]();
  names = new Names({ ...deps, version: '2' });
  await names.publish((await names.published(id('b'))) ?? assert.fail());
  assert.notEqual(resolverPid(), pid);
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
});

test('a name that changes counts when the call returns; a withdrawn one no more', async () => {
  const known = await names.published(id('b'));
  assert.ok(known);
  await names.publish({ ...known, endpoints: [endpoint({ ipv4: '10.9.0.3', names: ['robert'] })] });
  assert.deepEqual((await askIn(netns('a'), 'robert')).answers, ['10.9.0.3']);
  assert.equal((await askIn(netns('a'), 'bob')).rcode, RCODE.failure);
  await names.withdraw(id('b'));
  assert.equal((await askIn(netns('a'), 'robert')).rcode, RCODE.failure);
  await names.publish(known);
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
});

/** A name server on an address inside a namespace: UDP and TCP, by a function from a query to replies. */
async function serverIn(t: { after(work: () => void): void }, at: { netns: string; address: string }, reply: (query: Buffer, transport: 'udp' | 'tcp') => Buffer[]): Promise<void> {
  const { udp, tcp } = bindPairIn(at.netns, at.address, { udp: 53, tcp: 53 });
  const datagrams: Datagrams = createSocket('udp4');
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (const message of reply(chunk.subarray(2), 'tcp')) socket.write(Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]));
    });
  });
  datagrams.on('message', (query, from) => {
    for (const message of reply(query, 'udp')) datagrams.send(message, from.port, from.address);
  });
  datagrams.bind({ fd: udp.fd });
  server.listen({ fd: tcp.fd });
  await once(server, 'listening');
  t.after(() => {
    datagrams.close();
    server.close();
  });
}

/** Question and id of a query with one A record. */
function answered(query: Buffer, lastByte: number, flags = 0x8180): Buffer {
  const message = Buffer.concat([query.subarray(0, 12), query.subarray(12), Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, lastByte])]);
  message.writeUInt16BE(flags, 2);
  message.writeUInt16BE(1, 6);
  return message;
}

test('other names: dead, refusing and lying servers do not keep an answer away', async (t) => {
  await sandbox('c', [endpoint({ ipv4: '10.9.0.4', names: ['cat'] })], [{ address: '127.0.0.50', from: 'container' }, { address: '127.0.0.51', from: 'container' }, { address: '127.0.0.52', from: 'container' }]);
  const refused = (query: Buffer): Buffer => Buffer.concat([query.subarray(0, 2), Buffer.from([0x81, 0x85]), query.subarray(4)]);
  await serverIn(t, { netns: netns('c'), address: '127.0.0.51' }, (query) => [refused(query)]);
  await serverIn(t, { netns: netns('c'), address: '127.0.0.52' }, (query, transport) => {
    if (transport === 'tcp') return [answered(query, 9)];
    const otherId = Buffer.from(answered(query, 66));
    otherId.writeUInt16BE(otherId.readUInt16BE(0) ^ 1, 0);
    const otherName = Buffer.from(answered(query, 66));
    otherName.write('x', 13);
    return [Buffer.from([1]), otherId, otherName, answered(query, 7)];
  });
  const reply = await askIn(netns('c'), 'outside.example');
  assert.deepEqual([reply.answers, reply.ttl, reply.raw.readUInt16BE(0)], [['192.0.2.7'], 9, reply.raw.readUInt16BE(0)]);
  assert.deepEqual((await askIn(netns('c'), 'outside.example', { transport: 'tcp' })).answers, ['192.0.2.9']);
  assert.deepEqual((await askIn(netns('c'), 'bob')).answers, ['10.9.0.3'], 'what a container is called is never asked outside');
});

test('a silent server costs one step, and a container may serve port 53 itself', async (t) => {
  const known = await names.published(id('c'));
  assert.ok(known);
  await names.publish({ ...known, upstreams: [{ address: '127.0.0.53', from: 'container' }, { address: '127.0.0.54', from: 'container' }] });
  await serverIn(t, { netns: netns('c'), address: '127.0.0.53' }, () => []);
  await serverIn(t, { netns: netns('c'), address: '127.0.0.54' }, (query) => [answered(query, 8)]);
  const own = await serverOnAll(t);
  const begun = performance.now();
  assert.deepEqual((await askIn(netns('c'), 'slow.example')).answers, ['192.0.2.8']);
  assert.ok(performance.now() - begun < 3000);
  assert.deepEqual((await askIn(netns('c'), 'bob')).answers, ['10.9.0.3']);
  assert.equal(own(), 0, 'what goes to the resolver reaches nobody else');
});

async function serverOnAll(t: { after(work: () => void): void }): Promise<() => number> {
  let seen = 0;
  const { udp, tcp } = bindPairIn(netns('c'), '127.0.0.11', { udp: 53, tcp: 53 });
  const datagrams = createSocket('udp4');
  datagrams.on('message', () => {
    seen += 1;
  });
  datagrams.bind({ fd: udp.fd });
  const server = createServer(() => {
    seen += 1;
  });
  server.listen({ fd: tcp.fd });
  await once(server, 'listening');
  t.after(() => {
    datagrams.close();
    server.close();
  });
  return () => seen;
}

test('a flood of questions that nobody answers is bounded, and hurts nobody', async (t) => {
  const known = await names.published(id('c'));
  assert.ok(known);
  await names.publish({ ...known, upstreams: [{ address: '127.0.0.55', from: 'container' }] });
  await serverIn(t, { netns: netns('c'), address: '127.0.0.55' }, () => []);
  const socket = createSocket('udp4');
  t.after(() => socket.close());
  socket.bind({ fd: openSocketIn(netns('c'), 'udp', '127.0.0.11') });
  let refused = 0;
  const bounded = new Promise<void>((resolve) => {
    socket.on('message', (message) => {
      if ((message.readUInt16BE(2) & 15) === RCODE.refused) refused += 1;
      if (refused === 100) resolve();
    });
  });
  const flood = setInterval(() => {
    for (let index = 0; index < 50; index += 1) socket.send(queryMessage(`x${index}.example`, TYPE.A, { id: index }), 53, '127.0.0.11');
  }, 10);
  t.after(() => clearInterval(flood));
  await bounded;
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
  assert.deepEqual((await askIn(netns('c'), 'bob')).answers, ['10.9.0.3']);
  const open = readdirSync(`/proc/${resolverPid()}/fd`).length;
  assert.ok(open < 256 + 100, `${open} descriptors`);
});

test('connections: several questions on one, a torn one, more than there may be', async (t) => {
  const connect = (): Socket => {
    const socket = new Socket({ fd: connectSocketIn(netns('a'), '127.0.0.11', 53), allowHalfOpen: true });
    socket.on('error', () => {});
    t.after(() => socket.destroy());
    return socket;
  };
  const frame = (message: Buffer): Buffer => Buffer.concat([Buffer.from([message.length >> 8, message.length & 255]), message]);
  const all = async (socket: Socket): Promise<Buffer> => {
    const chunks: Buffer[] = [];
    for await (const chunk of socket as AsyncIterable<Buffer>) chunks.push(chunk);
    return Buffer.concat(chunks);
  };
  const several = connect();
  several.end(Buffer.concat([frame(queryMessage('bob', TYPE.A, { id: 1 })), frame(queryMessage('ann', TYPE.A, { id: 2 }))]));
  const replies = await all(several);
  const first = replies.subarray(2, 2 + replies.readUInt16BE(0));
  assert.deepEqual(readReply(first).answers, ['10.9.0.3']);
  assert.deepEqual(readReply(replies.subarray(first.length + 4)).answers, ['10.9.0.2']);
  const torn = connect();
  torn.end(frame(queryMessage('bob', TYPE.A)).subarray(0, 9));
  assert.equal((await all(torn)).length, 0);
  const idle = Array.from({ length: 100 }, connect);
  await Promise.race(idle.map((socket) => once(socket, 'end')));
  assert.deepEqual((await askIn(netns('a'), 'bob')).answers, ['10.9.0.3']);
});

test('its memory', (t) => {
  const rollup = readFileSync(`/proc/${resolverPid()}/smaps_rollup`, 'utf8');
  const pss = Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]);
  assert.ok(pss > 0 && pss < 100_000, `${pss} KiB`);
  t.diagnostic(`PSS ${pss} KiB`);
});
