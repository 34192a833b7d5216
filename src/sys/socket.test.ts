import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { test } from 'node:test';
import { bindSocket } from './socket.ts';

const code = (expected: string) => (error: unknown) => error instanceof Error && 'code' in error && error.code === expected;

/** A port that is free, as far as can be known. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  assert.ok(typeof address === 'object' && address !== null);
  return address.port;
}

for (const serves of [false, true]) {
  test(`a port is held against everybody, the socket ${serves ? 'serving' : 'silent'}`, async () => {
    const port = await freePort();
    const fd = bindSocket({ proto: 'tcp', address: '0.0.0.0', port, serves });
    try {
      assert.throws(() => bindSocket({ proto: 'tcp', address: '127.0.0.1', port, serves: false }), code('EADDRINUSE'));
      // Node's servers set SO_REUSEADDR.
      const server = createServer().listen(port, '127.0.0.1');
      const [error] = await once(server, 'error');
      assert.ok(code('EADDRINUSE')(error));
      closeSync(bindSocket({ proto: 'tcp', address: '::', port, serves }));
    } finally {
      closeSync(fd);
    }
    closeSync(bindSocket({ proto: 'tcp', address: '127.0.0.1', port, serves }));
  });
}

test('a held port refuses connections', async () => {
  const port = await freePort();
  const fd = bindSocket({ proto: 'tcp', address: '127.0.0.1', port, serves: false });
  const [error] = await once(connect(port, '127.0.0.1'), 'error');
  assert.ok(code('ECONNREFUSED')(error));
  closeSync(fd);
});

test('a port is had again while a former connection is in TIME_WAIT', async () => {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const client = connect(address.port, '127.0.0.1').resume();
  await once(client, 'close');
  server.close();
  await once(server, 'close');
  const fd = bindSocket({ proto: 'tcp', address: '0.0.0.0', port: address.port, serves: false });
  const rival = createServer().listen(address.port, '127.0.0.1');
  const [error] = await once(rival, 'error');
  assert.ok(code('EADDRINUSE')(error));
  closeSync(fd);
});

test('UDP ports are held too', async () => {
  const port = await freePort();
  const fd = bindSocket({ proto: 'udp', address: '0.0.0.0', port, serves: false });
  assert.throws(() => bindSocket({ proto: 'udp', address: '127.0.0.1', port, serves: true }), code('EADDRINUSE'));
  closeSync(fd);
});
