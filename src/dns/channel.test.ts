import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Socket } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { Channel } from './channel.ts';

async function serverAt(t: TestContext, onSocket: (socket: Socket) => void): Promise<string> {
  const folder = mkdtempSync(path.join('/tmp', `moored-channel-${'x'.repeat(90)}-`));
  const server = createServer({ pauseOnConnect: true }, onSocket);
  t.after(() => {
    server.close();
    rmSync(folder, { recursive: true });
  });
  process.chdir(folder);
  server.listen('dns.sock');
  await once(server, 'listening');
  return folder;
}

test('a resolver that is killed with an order unread', async (t) => {
  const folder = await serverAt(t, (socket) => {
    // Closing with something unread is a reset, which is what a kill does.
    setTimeout(() => socket.destroy(), 30);
  });
  const channel = await Channel.open(folder);
  await assert.rejects(channel.order('sync *', 5000), { kind: 'unavailable', message: 'the resolver gave no answer' });
  await channel.closed;
  await assert.rejects(channel.order('sync *', 5000), /gone/);
});

test('a resolver that hangs, and one that answers in order', async (t) => {
  const sockets: Socket[] = [];
  const folder = await serverAt(t, (socket) => {
    socket.on('error', () => {});
    sockets.push(socket);
  });
  const hung = await Channel.open(folder);
  await assert.rejects(hung.order('sync *', 30), /no answer/);
  const channel = await Channel.open(folder);
  t.after(() => channel.close());
  while (sockets.length < 2) await new Promise((resolve) => setImmediate(resolve));
  const answers = Promise.all([channel.order('one', 5000), channel.order('two', 5000)]);
  for (const socket of sockets.slice(1)) socket.write('1\n2\n');
  assert.deepEqual(await answers, ['1', '2']);
  for (const socket of sockets) socket.destroy();
});

test('nobody there', async () => {
  await assert.rejects(Channel.open('/tmp'), { code: 'ENOENT' });
});
