import assert from 'node:assert/strict';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { posixSpawn } from './posixSpawn.ts';

const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', GIVEN: 'a b=c' };
const WAIT = { signal: AbortSignal.timeout(20_000) };

async function said(script: string, fds: readonly (number | 'pipe')[] = ['pipe']): Promise<string> {
  const child = posixSpawn({ argv: ['sh', '-c', script], env, cwd: '/usr', fds });
  const pipe = child.pipes.find((each) => each !== undefined);
  assert.ok(pipe);
  let text = '';
  pipe.on('data', (chunk: Buffer) => (text += chunk.toString()));
  await once(pipe, 'end', WAIT);
  pipe.destroy();
  assert.deepEqual(await child.exited, { code: 0, signal: null });
  return text.trim();
}

test('it has the environment and the folder it is given, and no signal is ignored or blocked', async () => {
  const own = /^SigIgn:\s+(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  assert.notEqual(Number(`0x${own}`), 0, 'nothing is ignored here either: this shows nothing');
  const text = await said('echo "$GIVEN|$PWD" >&3; grep -E "^Sig(Ign|Blk)" /proc/self/status >&3');
  assert.match(text, /^a b=c\|\/usr\n/);
  assert.equal(text.match(/\t0000000000000000$/gm)?.length, 2, text);
});

test('descriptors that stand where others are to go reach their place', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'moored-spawn-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const fds = ['a', 'b', 'c', 'd'].map((name) => {
    writeFileSync(path.join(folder, name), name);
    return openSync(path.join(folder, name), 'r');
  });
  t.after(() => fds.forEach((fd) => closeSync(fd)));
  // Whatever their numbers are, in this or the other order some would be overwritten if they were moved one by one.
  for (const order of [[...fds], fds.toReversed()]) {
    const want = order.map((fd) => 'abcd'[fds.indexOf(fd)]).join('');
    assert.equal(await said('cat <&4 >&3; cat <&5 >&3; cat <&6 >&3; cat <&7 >&3', ['pipe', ...order]), want);
    for (const [index, fd] of fds.entries()) {
      closeSync(fd);
      fds[index] = openSync(path.join(folder, 'abcd'[index] ?? ''), 'r');
    }
  }
});

test('how it ended is told, and nothing of it is left', async () => {
  const killed = posixSpawn({ argv: ['sh', '-c', 'kill -9 $$'], env, cwd: undefined, fds: [] });
  assert.deepEqual(await killed.exited, { code: null, signal: 'SIGKILL' });
  const failed = posixSpawn({ argv: ['sh', '-c', 'exit 7'], env, cwd: undefined, fds: [] });
  assert.deepEqual(await failed.exited, { code: 7, signal: null });
  for (const { pid } of [killed, failed]) assert.ok(!existsSync(`/proc/${pid}`), 'a zombie is left');
});

test('a program or a folder that is not there is an error, and leaves no descriptor open', () => {
  const before = readdirSync('/proc/self/fd').length;
  for (let i = 0; i < 20; i += 1) {
    assert.throws(() => posixSpawn({ argv: ['/nonexistent'], env, cwd: undefined, fds: [1] }), { code: 'ENOENT' });
    assert.throws(() => posixSpawn({ argv: ['/bin/true'], env, cwd: '/nonexistent', fds: [1] }), { code: 'ENOENT' });
  }
  assert.equal(readdirSync('/proc/self/fd').length, before);
});
