import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { requestFds } from './receiveFds.ts';

const SERVER = `
import array, os, socket, sys, time
s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(1); print("ready", flush=True)
c, _ = s.accept(); line = c.recv(100)
if sys.argv[2] == "silent": time.sleep(30)
r, w = os.pipe(); os.write(w, b"through the pipe"); os.close(w)
time.sleep(0.02)
c.sendmsg([b"ok got=" + line.strip()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [r, 1]))])
time.sleep(0.02)
c.send(b" more=1\\n")
`;

for (const mode of ['talks', 'silent'] as const) {
  test(`a peer that ${mode === 'talks' ? 'gives descriptors' : 'says nothing'}`, async (t) => {
    const dir = mkdtempSync(path.join('/tmp', `moored-fds-${'x'.repeat(90)}-`));
    t.after(() => rmSync(dir, { recursive: true }));
    const server = spawn('python3', ['-c', SERVER, 's', mode], { cwd: dir, stdio: ['ignore', 'pipe', 'inherit'] });
    t.after(() => server.kill('SIGKILL'));
    await once(server.stdout, 'data');
    const answer = requestFds(path.join(dir, 's'), 'give\n', { timeoutMs: mode === 'silent' ? 60 : 5000 });
    if (mode === 'silent') {
      await assert.rejects(answer, /no answer within 60 ms/);
      return;
    }
    const { line, fds } = await answer;
    assert.equal(line, 'ok got=give more=1');
    assert.equal(fds.length, 2);
    assert.equal(readFileSync(fds[0] ?? -1, 'utf8'), 'through the pipe');
    for (const fd of fds) closeSync(fd);
  });
}

test('nobody there', async () => {
  await assert.rejects(requestFds('/tmp/moored-no-such-socket', 'x\n', { timeoutMs: 1000 }), { code: 'ENOENT' });
});
