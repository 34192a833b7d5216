/** The API over TCP with certificates on both sides: everything that works over the unix socket, attached streams above all. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import type { CliOptions } from '../fixtures/daemon.ts';
import type { CliResult } from '../fixtures/session.ts';
import { dockerClient } from '../fixtures/target.ts';

const folder = mkdtempSync('/tmp/moored-tls-');
after(() => rmSync(folder, { recursive: true, force: true }));

const openssl = (...args: string[]): void => {
  execFileSync('openssl', args, { cwd: folder, stdio: 'ignore', timeout: 20_000 });
};
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
openssl('req', '-x509', ...EC, '-keyout', 'ca-key.pem', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=authority');
writeFileSync(path.join(folder, 'extensions'), 'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n');
for (const name of ['server', 'client']) {
  openssl('req', ...EC, '-keyout', `${name}-key.pem`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-CAcreateserial', '-out', `${name}.pem`, '-days', '2', '-extfile', 'extensions');
}
const file = (name: string): string => path.join(folder, name);

const PORT = 2376;
const daemon = useDaemon({ flags: ['-H', `tcp://127.0.0.1:${PORT}`, '--tlsverify', '--tlscacert', file('ca.pem'), '--tlscert', file('server.pem'), '--tlskey', file('server-key.pem')] });

/** The client, by TCP and with a certificate. */
const docker = (args: readonly string[], options: CliOptions = {}): Promise<CliResult> =>
  daemon.inside([dockerClient(), '-H', `tcp://127.0.0.1:${PORT}`, '--tlsverify', '--tlscacert', file('ca.pem'), '--tlscert', file('client.pem'), '--tlskey', file('client-key.pem'), ...args], { timeoutMs: 60_000, ...options });

test('run, exec, attach and logs give their output to a client without input, and take input from one with', async () => {
  assert.equal((await docker(['run', '--rm', 'busybox', 'sh', '-c', 'sleep 0.2; echo out; echo err >&2; exit 3'])).code, 3);
  assert.equal((await docker(['run', '--rm', 'busybox', 'sh', '-c', 'sleep 0.2; echo out'])).stdout, 'out\n');
  assert.equal((await docker(['run', '-i', '--rm', 'busybox', 'sh', '-c', 'cat; sleep 0.2; echo after'], { stdin: 'in\n' })).stdout, 'in\nafter\n');
  assert.equal((await docker(['run', '-d', '--name', 'kept', 'busybox', 'sh', '-c', 'echo logged; sleep 600'])).code, 0);
  assert.equal((await docker(['exec', 'kept', 'sh', '-c', 'sleep 0.2; echo executed'])).stdout, 'executed\n');
  assert.equal((await docker(['exec', '-i', 'kept', 'cat'], { stdin: 'in\n' })).stdout, 'in\n');
  assert.equal((await docker(['logs', 'kept'])).stdout, 'logged\n');
});

test('who has no certificate is not let in', async () => {
  const { code, stderr } = await daemon.inside([dockerClient(), '-H', `tcp://127.0.0.1:${PORT}`, '--tls', '--tlscacert', file('ca.pem'), '--tlscert', '', '--tlskey', '', 'ps']);
  assert.notEqual(code, 0);
  assert.match(stderr, /tls: .*certificate/);
});
