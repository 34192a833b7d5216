import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { test } from 'node:test';
import { boundSockets } from './foreignSockets.ts';
import { bindSocket } from './socket.ts';
import { spawnDetached } from './spawn.ts';

test('what another process has bound, whether it listens or not', async () => {
  const wanted = [
    { proto: 'tcp', address: '127.0.0.1', port: 41_731, serves: false },
    { proto: 'tcp', address: '::1', port: 41_732, serves: true },
    { proto: 'udp', address: '0.0.0.0', port: 41_733, serves: false },
  ] as const;
  const fds = wanted.map((request) => bindSocket(request));
  const holder = await spawnDetached(['sleep', '60'], { fds });
  try {
    for (const fd of fds) closeSync(fd);
    const found = await boundSockets(holder.pid);
    assert.deepEqual(found.toSorted((a, b) => a.port - b.port), wanted.map(({ proto, address, port }) => ({ proto, address, port })));
  } finally {
    holder.kill();
    await holder.exited;
  }
});

test('a process without sockets has none, and one that is gone is an error', async () => {
  const holder = await spawnDetached(['sleep', '60']);
  assert.deepEqual(await boundSockets(holder.pid), []);
  holder.kill();
  await holder.exited;
  await assert.rejects(boundSockets(holder.pid), { code: 'ENOENT' });
});
