import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inheritedSockets, sdNotify } from './sdNotify.ts';
import { run } from './spawn.ts';

// Node cannot receive unix datagrams: this receives one, tells when it is ready, and prints what came.
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\\0", 1))
s.settimeout(10)
import subprocess
subprocess.run(sys.argv[2:], check=True)
sys.stdout.write(s.recv(4096).decode())
`;
const SENDER = `import { sdNotify } from ${JSON.stringify(fileURLToPath(new URL('./sdNotify.ts', import.meta.url)))};
const notify = sdNotify();
if (process.env.NOTIFY_SOCKET !== undefined) throw new Error('children would inherit the address');
notify({ READY: '1', STATUS: 'serving' });`;

test('tells the service manager, by path and by abstract address', async (t) => {
  const dir = mkdtempSync(path.join(tmpdir(), 'moored-notify-'));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const address of [path.join(dir, 'notify'), `@moored-test-${process.pid}`]) {
    const { code, stdout, stderr } = await run(
      ['python3', '-c', RECEIVER, address, process.execPath, '--input-type=module-typescript', '-e', SENDER],
      { env: { PATH: process.env['PATH'] ?? '', NOTIFY_SOCKET: address } },
    );
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'READY=1\nSTATUS=serving\n');
  }
});

test('without a manager nothing happens; one that has gone is an error', () => {
  sdNotify({})({ READY: '1' });
  assert.throws(() => sdNotify({ NOTIFY_SOCKET: '/no/such/socket' })({ READY: '1' }), { code: 'ENOENT' });
});

test('sockets for another process are not ours', () => {
  const env = { LISTEN_PID: '1', LISTEN_FDS: '2' };
  assert.deepEqual(inheritedSockets(env), []);
  assert.deepEqual(env, {});
});

// Opens a unix and a TCP listener as descriptors 3 and 4, as systemd does, and becomes the program.
const ACTIVATOR = `
import os, socket, sys
u = socket.socket(socket.AF_UNIX); u.bind("\\0" + sys.argv[1]); u.listen()
t = socket.socket(); t.bind(("127.0.0.1", 0)); t.listen()
a, b = os.dup(u.fileno()), os.dup(t.fileno())
os.dup2(a, 3); os.dup2(b, 4)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="api.socket:tcp")
os.execv(sys.argv[2], sys.argv[2:])
`;
const TAKER = `import { inheritedSockets } from ${JSON.stringify(fileURLToPath(new URL('./sdNotify.ts', import.meta.url)))};
import { readFileSync } from 'node:fs';
const sockets = inheritedSockets();
const flags = sockets.map(({ fd }) => /flags:\\s+(\\d+)/.exec(readFileSync('/proc/self/fdinfo/' + fd, 'utf8'))[1]);
console.log(JSON.stringify({ sockets, closeOnExec: flags.map((text) => (parseInt(text, 8) & 0o2000000) !== 0), left: process.env.LISTEN_FDS ?? null }));`;

test('takes the sockets that systemd opened', async () => {
  const { code, stdout, stderr } = await run(
    ['python3', '-c', ACTIVATOR, `moored-listen-${process.pid}`, process.execPath, '--input-type=module', '-e', TAKER],
    { env: { PATH: process.env['PATH'] ?? '' } },
  );
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout), {
    sockets: [{ fd: 3, name: 'api.socket', isUnix: true }, { fd: 4, name: 'tcp', isUnix: false }],
    closeOnExec: [true, true],
    left: null,
  });
});
