/** The verbs `hold` and `port`: sockets that a running shim is given, and ports that lead elsewhere. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { requestFds } from '../../src/sys/receiveFds.ts';
import { boundPort } from '../../src/sys/resolverSockets.ts';
import { bindSocket } from '../../src/sys/socket.ts';
import { Container, eventually, SHIM } from './harness.ts';

const BOUNDED = { timeout: 60_000 };

/** A bound socket of ours, closed at the latest with the test. */
function bound(t: TestContext, serves: boolean, address = '127.0.0.1'): { fd: number; port: number; close: () => void } {
  // A port that the kernel chose is given back when a socket stops listening: a reservation names its own.
  const probe = bindSocket({ proto: 'tcp', address, port: 0, serves: true });
  const port = boundPort(probe);
  fs.closeSync(probe);
  const fd = bindSocket({ proto: 'tcp', address, port, serves });
  let open = true;
  const close = (): void => {
    if (open) fs.closeSync(fd);
    open = false;
  };
  t.after(close);
  return { fd, port, close };
}

async function order(c: Container, line: string, fds: readonly number[] = []): Promise<string> {
  return (await requestFds(path.join(c.dir, 'shim.sock'), `${line}\n`, { timeoutMs: 5000, fds })).line;
}

async function named(t: TestContext, name: string): Promise<number> {
  const server = net.createServer((socket) => socket.on('data', (chunk) => socket.write(`${name} ${String(chunk)}`)).on('error', () => undefined));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return (server.address() as net.AddressInfo).port;
}

async function ask(socket: net.Socket, word: string): Promise<string> {
  socket.write(word);
  return String((await once(socket, 'data'))[0]);
}

async function refusesBind(port: number): Promise<void> {
  const server = net.createServer();
  const refused = once(server, 'listening').then(() => server.close(), (error: unknown) => error);
  server.listen(port, '127.0.0.1');
  assert.match(String(await refused), /EADDRINUSE/);
}

test('holds what it is given, and gives it to whoever asks, also as another binary', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  const { control } = await c.start();
  const [first, second, third] = [bound(t, true), bound(t, true), bound(t, true)];
  assert.equal(await order(c, 'hold sockets=resolver-udp,resolver-tcp', [first.fd, second.fd]), 'ok');
  assert.equal(await order(c, 'hold sockets=resolver-udp', [third.fd]), 'ok');
  await control.request('upgrade', { path: SHIM });
  for (const one of [first, second, third]) one.close();
  const { line, fds } = await requestFds(path.join(c.dir, 'shim.sock'), 'give-sockets\n', { timeoutMs: 5000 });
  assert.equal(line, 'ok sockets=resolver-udp,resolver-tcp');
  assert.deepEqual(fds.map(boundPort), [third.port, second.port]);
  for (const fd of fds) fs.closeSync(fd);
});

test('a descriptor that nobody takes is closed', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  await c.start();
  const one = bound(t, false);
  const count = (): number => fs.readdirSync(`/proc/${c.newestShim().pid}/fd`).length;
  const before = count();
  for (const line of ['hold sockets=a,b', 'hold sockets=a,a', 'hold sockets=A', 'hold', 'state', 'no-such-verb', 'malformed =', `port proto=udp host=127.0.0.1 host-port=${one.port} use=reserve`,
    `port proto=tcp host=127.0.0.2 host-port=${one.port} use=reserve`, `port proto=tcp host=127.0.0.1 host-port=${one.port} use=relay-tcp`,
    `port proto=tcp host=127.0.0.1 host-port=${one.port} use=relay-tcp address=nowhere port=1`, `port proto=tcp host=127.0.0.1 host-port=${one.port} use=relay-udp address=127.0.0.1 port=1`]) {
    const answer = await order(c, line, line === 'hold sockets=a,a' ? [one.fd, one.fd] : [one.fd]);
    if (line !== 'state') assert.match(answer, /^err kind=request /, line);
  }
  await order(c, 'state', Array.from({ length: 30 }, () => one.fd)); // more than a request may bring
  await eventually(() => count() <= before, 'descriptors given back');
});

test('a port socket that comes later is held; a relay leads new clients elsewhere and keeps the old ones', BOUNDED, async (t) => {
  const [old, next] = [await named(t, 'old'), await named(t, 'next')];
  const c = new Container(t, { args: ['sleep', '1000'] });
  const { control } = await c.start();
  const reserved = bound(t, false);
  const relayed = bound(t, true);
  const at = (port: number): string => `proto=tcp host=127.0.0.1 host-port=${port}`;
  assert.match(await order(c, `port ${at(relayed.port)} use=relay-tcp address=127.0.0.1 port=${old}`), /^err kind=no-port /);
  assert.equal(await order(c, `port ${at(reserved.port)} use=reserve`, [reserved.fd]), 'ok');
  assert.equal(await order(c, `port ${at(relayed.port)} use=relay-tcp address=127.0.0.1 port=${old}`, [relayed.fd]), 'ok');
  assert.match(await order(c, `port ${at(reserved.port)} use=reserve`, [reserved.fd]), /^err kind=system /);
  reserved.close();
  relayed.close();
  await refusesBind(reserved.port);
  const early = net.connect(relayed.port, '127.0.0.1');
  t.after(() => early.destroy());
  assert.equal(await ask(early, 'a'), 'old a');
  assert.equal(await order(c, `port ${at(relayed.port)} use=relay-tcp address=127.0.0.1 port=${next}`), 'ok');
  const late = net.connect(relayed.port, '127.0.0.1');
  t.after(() => late.destroy());
  assert.equal(await ask(late, 'b'), 'next b');
  assert.equal(await ask(early, 'c'), 'old c');
  // A mere reservation of a relay's port leaves the relay at work.
  assert.equal(await order(c, `port ${at(relayed.port)} use=reserve`), 'ok');
  // What was reserved can become a relay.
  assert.equal(await order(c, `port ${at(reserved.port)} use=relay-tcp address=127.0.0.1 port=${next}`), 'ok');
  await control.request('upgrade', { path: SHIM });
  for (const port of [relayed.port, reserved.port]) {
    const client = net.connect(port, '127.0.0.1');
    t.after(() => client.destroy());
    assert.equal(await ask(client, 'd'), 'next d');
  }
  assert.equal(await ask(early, 'e'), 'old e');
});
