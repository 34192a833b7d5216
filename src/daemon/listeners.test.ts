import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import http from 'node:http';
import https from 'node:https';
import type { RequestOptions } from 'node:https';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { silentLogger } from '../base/logger.ts';
import type { Logger } from '../base/logger.ts';
import { configure } from '../core/options/configure.ts';
import { parseCommandLine } from '../core/options/flags.ts';
import { run } from '../sys/spawn.ts';
import { openListeners } from './listeners.ts';

const hello: RequestListener = (_request, response) => response.end('hello');

const config = (...args: string[]) => configure({ flags: parseCommandLine(args).values, file: { path: '', bytes: undefined } });

function folder(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'moored-listen-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

async function get(options: RequestOptions, scheme: typeof http | typeof https = http): Promise<string> {
  const request = scheme.get({ agent: false, path: '/', ...options });
  const [response] = (await once(request, 'response')) as [http.IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** A port that nobody listens on just now. */
async function freePort(): Promise<number> {
  const probe = net.createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as net.AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

test('a unix socket is the group’s, replaces a stale one, and goes', async (t) => {
  const dir = folder(t);
  const socket = path.join(dir, 'new', 'd.sock');
  const first = await openListeners(config(`--host=unix://${socket}`), hello, silentLogger);
  assert.equal(statSync(socket).mode & 0o777, 0o660);
  assert.equal(await get({ socketPath: socket }), 'hello');
  await assert.rejects(openListeners(config(`--host=unix://${socket}`), hello, silentLogger), {
    kind: 'conflict',
    message: `failed to load listener: ${socket} is served by another process`,
  });
  assert.equal(await get({ socketPath: socket }), 'hello', 'the refused one left the first alone');
  await first.close();
  assert.ok(!existsSync(socket));

  // What a killed daemon leaves: a socket that nobody listens on.
  await run(['python3', '-c', `import socket; socket.socket(socket.AF_UNIX).bind(${JSON.stringify(socket)})`]);
  assert.ok(existsSync(socket));
  const second = await openListeners(config(`--host=unix://${socket}`, '--group=0'), hello, silentLogger);
  assert.equal(await get({ socketPath: socket }), 'hello');
  await second.close();
});

test('an unknown group is refused if it was asked for, and nothing stays', async (t) => {
  const socket = path.join(folder(t), 'd.sock');
  await assert.rejects(openListeners(config(`-H=unix://${socket}`, '--group=no-such-group'), hello, silentLogger), /group no-such-group not found/);
  assert.ok(!existsSync(socket));
});

test('several hosts are all or none', async (t) => {
  const socket = path.join(folder(t), 'd.sock');
  const taken = net.createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.after(() => taken.close());
  const { port } = taken.address() as net.AddressInfo;
  await assert.rejects(openListeners(config(`-H=unix://${socket}`, `-H=tcp://127.0.0.1:${port}`), hello, silentLogger), {
    message: new RegExp(`^failed to load listener: listen tcp 127.0.0.1:${port}: .*EADDRINUSE`),
  });
  assert.ok(!existsSync(socket));
});

test('an open port is warned of', async () => {
  const warnings: string[] = [];
  const logger: Logger = { ...silentLogger, warn: (message) => warnings.push(message) };
  const listeners = await openListeners(config(`-H=tcp://0.0.0.0:${await freePort()}`), hello, logger);
  await listeners.close();
  assert.match(warnings.join(), /gives root access/);
});

test('TLS, and clients that must show a certificate', async (t) => {
  const dir = folder(t);
  await run(['sh', '-ec', `
    cd ${dir}
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
    for name in server client; do
      openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout $name.key -out $name.csr
      openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out $name.pem
    done`]);
  const read = (name: string) => readFileSync(path.join(dir, name));
  const port = await freePort();
  const args = [`-H=tcp://127.0.0.1:${port}`, '--tlsverify', `--tlscacert=${dir}/ca.pem`, `--tlscert=${dir}/server.pem`, `--tlskey=${dir}/server.key`];
  const listeners = await openListeners(config(...args), hello, silentLogger);
  t.after(() => listeners.close());
  const server = { host: '127.0.0.1', servername: 'localhost', port, ca: read('ca.pem') };
  assert.equal(await get({ ...server, cert: read('client.pem'), key: read('client.key') }, https), 'hello');
  await assert.rejects(get(server, https));
  await assert.rejects(get({ host: '127.0.0.1', port }));

  writeFileSync(path.join(dir, 'server.pem'), 'nonsense');
  await assert.rejects(openListeners(config(...args), hello, silentLogger), /could not load X509 key pair/);
  chmodSync(path.join(dir, 'server.pem'), 0o600);
  await assert.rejects(openListeners(config('-H=tcp://127.0.0.1:1', '--tls', `--tlscert=${dir}/none.pem`), hello, silentLogger), /could not read TLS certificate/);
});

test('fd:// without a service manager is refused', async () => {
  await assert.rejects(openListeners(config('-H=fd://'), hello, silentLogger), /no sockets found via socket activation/);
});
