/** TLS to registries: whom it trusts, and what it shows of itself. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { promisify } from 'node:util';
import { endpointsOf, isInsecure } from './endpoints.ts';
import { Transport, discard } from './transport.ts';

let folder: string;
let server: https.Server;
let host: string;

const openssl = (...args: string[]) => promisify(execFile)('openssl', args, { cwd: folder });

async function certificate(name: string, extensions: string): Promise<void> {
  await openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  await openssl('req', '-x509', '-in', `${name}.csr`, '-key', `${name}.key`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-days', '2', '-out', `${name}.pem`, '-addext', extensions);
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moored-tls-'));
  await openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key', '-out', 'ca.crt', '-days', '2', '-subj', '/CN=authority');
  await certificate('server', 'subjectAltName=IP:127.0.0.1');
  await certificate('client', 'extendedKeyUsage=clientAuth');
  const read = (name: string) => readFile(join(folder, name));
  server = https.createServer({ cert: await read('server.pem'), key: await read('server.key'), ca: await read('ca.crt'), requestCert: true, rejectUnauthorized: false }, (request, response) => {
    response.end((request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? 'nobody');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(async () => {
  server.closeAllConnections();
  server.close();
  await rm(folder, { recursive: true, force: true });
});

/** What the server says who we are. */
async function ask(certsFolder: string, verify: boolean): Promise<string> {
  const transport = new Transport({ certsFolder, insecure: [], proxy: { http: '', https: '', no: '' }, userAgent: 'test', timeoutMs: { connect: 2000, idle: 2000 } });
  try {
    const response = await transport.send({ method: 'GET', url: `https://${host}/v2/`, headers: {}, verify, signal: AbortSignal.timeout(5000) });
    let text = '';
    for await (const chunk of response.body.setEncoding('utf8')) text += String(chunk);
    await discard(response.body);
    return text;
  } finally {
    await transport.close();
  }
}

test('an unknown authority is refused, unless the registry is insecure', { timeout: 20_000 }, async () => {
  await assert.rejects(ask(folder, true), { kind: 'unavailable', message: /self-signed certificate in certificate chain/ });
  assert.equal(await ask(folder, false), 'nobody');
});

test('certs.d: the authority and the client certificate of that host', { timeout: 20_000 }, async () => {
  const own = join(folder, 'certs.d', host);
  await mkdir(own, { recursive: true });
  await copyFile(join(folder, 'ca.crt'), join(own, 'ca.crt'));
  assert.equal(await ask(join(folder, 'certs.d'), true), 'nobody');
  await copyFile(join(folder, 'client.pem'), join(own, 'client.cert'));
  await assert.rejects(ask(join(folder, 'certs.d'), true), { message: /missing key client\.key for client certificate client\.cert/ });
  await copyFile(join(folder, 'client.key'), join(own, 'client.key'));
  assert.equal(await ask(join(folder, 'certs.d'), true), 'client');
});

test('which registries are insecure', { timeout: 20_000 }, async () => {
  const listed = ['10.0.0.0/8', 'fd00::/8', 'reg.test:5000'];
  const cases: Record<string, boolean> = { '127.0.0.1:5000': true, '[::1]:5000': true, '127.8.9.1': true, '10.1.2.3:80': true, '11.1.2.3': false, '[fd12::1]:5000': true, 'reg.test:5000': true, 'reg.test:5001': false };
  for (const [name, expected] of Object.entries(cases)) assert.equal(await isInsecure(name, listed), expected, name);
});

test('the ways to a registry', { timeout: 20_000 }, async () => {
  const options = { mirrors: ['https://192.0.2.1/hub/'], insecure: [], push: false };
  const bases = async (domain: string, push = false) => (await endpointsOf(domain, { ...options, push })).map(({ base, verify, mirror }) => `${base} ${verify} ${mirror}`);
  assert.deepEqual(await bases('docker.io'), ['https://192.0.2.1/hub true true', 'https://registry-1.docker.io true false']);
  assert.deepEqual(await bases('docker.io', true), ['https://registry-1.docker.io true false']);
  assert.deepEqual(await bases('192.0.2.9:5000'), ['https://192.0.2.9:5000 true false']);
  assert.deepEqual(await bases('127.0.0.1:5000'), ['https://127.0.0.1:5000 false false', 'http://127.0.0.1:5000 false false']);
});
