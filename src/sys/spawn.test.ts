import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, unlinkSync } from 'node:fs';
import { test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { run, spawnDetached } from './spawn.ts';

/** Becomes true when the process is no more (or only a zombie). */
const isGone = (pid: number): boolean => {
  try {
    return / Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return true;
  }
};

test('run gives code, output and input', async () => {
  const result = await run(['sh', '-c', 'cat; echo err >&2; exit 3'], { input: 'in' });
  assert.deepEqual(result, { code: 3, signal: null, stdout: 'in', stderr: 'err\n' });
});

test('run survives a program that does not read its input', async () => {
  assert.equal((await run(['true'], { input: Buffer.alloc(1 << 20) })).code, 0);
});

test('run keeps no more output than allowed, and does not block the program', async () => {
  const result = await run(['sh', '-c', 'head -c 3000000 /dev/zero; exit 0'], { maxOutput: 1000 });
  assert.equal(result.code, 0);
  assert.equal(result.stdout.length, 1000);
});

test('run kills the whole group when time is up', async () => {
  const file = `/tmp/moored-spawn-${process.pid}`;
  await assert.rejects(
    run(['sh', '-c', `sleep 100 & echo $! > ${file}; wait`], { timeoutMs: 300 }),
    (error) => isKind(error, 'unavailable'),
  );
  const pid = Number(readFileSync(file, 'utf8'));
  unlinkSync(file);
  for (let i = 0; i < 100 && !isGone(pid); i++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.ok(isGone(pid));
});

test('run does not wait for a process that left the group and holds the pipes', async () => {
  await assert.rejects(
    run(['sh', '-c', 'setsid sleep 3 & exit 0'], { timeoutMs: 200 }),
    (error) => isKind(error, 'unavailable'),
  );
});

test('run gives up with the reason of the signal', async () => {
  const reason = new Error('enough');
  await assert.rejects(run(['sleep', '100'], { signal: AbortSignal.abort(reason) }), reason);
  const controller = new AbortController();
  const running = run(['sleep', '100'], { signal: controller.signal });
  controller.abort(reason);
  await assert.rejects(running, reason);
});

test('run says which program cannot be started', async () => {
  await assert.rejects(run(['/nonexistent/tool']), /cannot start \/nonexistent\/tool/);
});

test('a detached process has the named descriptors, a session of its own, and nothing else', async () => {
  const secret = openSync('/etc/passwd', 'r');
  const hostname = openSync('/etc/hostname', 'r');
  const script = 'for f in /proc/$$/fd/*; do echo ${f##*/} $(readlink $f); done >&3; cut -d" " -f6 /proc/$$/stat >&3; echo $$ >&3';
  const child = await spawnDetached(['bash', '-c', script], { fds: ['pipe', hostname] });
  const [pipe] = child.pipes;
  assert.ok(pipe);
  let text = '';
  pipe.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(pipe, 'end');
  pipe.destroy();
  closeSync(secret);
  closeSync(hostname);
  const lines = text.trim().split('\n');
  const session = lines.at(-2);
  assert.equal(session, String(child.pid));
  assert.equal(lines.at(-1), String(child.pid));
  const fds = Object.fromEntries(lines.slice(0, -2).map((line) => line.split(' ', 2)));
  assert.equal(fds['0'], '/dev/null');
  assert.equal(fds['2'], '/dev/null');
  assert.match(String(fds['3']), /^socket:/);
  assert.equal(fds['4'], '/etc/hostname');
  assert.ok(!Object.values(fds).includes('/etc/passwd'));
  assert.deepEqual(await child.exited, { code: 0, signal: null });
});
