import assert from 'node:assert/strict';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { isKind } from '../base/errors.ts';
import { dockerRuntimeError, runtimeMessage, startFailureCode } from '../base/runtimeMessage.ts';
import type { RuntimeTarget } from '../core/ports/runtime.ts';
import { run } from '../sys/spawn.ts';
import { ociRuntime } from './ociRuntime.ts';
import { parsePs } from './top.ts';

let folder = '';
let target: RuntimeTarget = { id: '', runtime: '', runtimeRoot: '' };

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moored-runtime-'));
  target = { id: `mrt-${process.pid}`, runtime: '/usr/sbin/runc', runtimeRoot: join(folder, 'root') };
  await mkdir(join(folder, 'bundle/rootfs/bin'), { recursive: true });
  await copyFile('/bin/busybox', join(folder, 'bundle/rootfs/bin/busybox'));
  await symlink('busybox', join(folder, 'bundle/rootfs/bin/sleep'));
  await run(['runc', 'spec'], { cwd: join(folder, 'bundle') });
  const path = join(folder, 'bundle/config.json');
  const text = (await readFile(path, 'utf8')).replace('"terminal": true', '"terminal": false').replace('"sh"', '"sleep", "300"');
  await writeFile(path, text);
  // A terminal-less runc gives its own stdio to the container, which would hold our pipes open.
  const started = await run(['sh', '-c', 'exec runc --root "$0" run -d -b "$1" "$2" </dev/null >/dev/null 2>&1', target.runtimeRoot, join(folder, 'bundle'), target.id]);
  assert.equal(started.code, 0);
});

after(async () => {
  await ociRuntime.delete(target);
  await rm(folder, { recursive: true, force: true });
});

test('state, processes and top of a running container', async () => {
  const state = await ociRuntime.state(target);
  assert.equal(state?.status, 'running');
  assert.equal(state.bundle, join(folder, 'bundle'));
  assert.deepEqual(await ociRuntime.pids(target), [state.pid]);
  const table = await ociRuntime.top(target, '');
  assert.deepEqual(table.processes.map((row) => row[table.titles.indexOf('PID')]), [String(state.pid)]);
  assert.equal(table.processes[0]?.at(-1), 'sleep 300');
  const chosen = await ociRuntime.top(target, '-eo pid,comm');
  assert.deepEqual(chosen, { titles: ['PID', 'COMMAND'], processes: [[String(state.pid), 'sleep']] });
  await assert.rejects(ociRuntime.top(target, '-o comm=PID'), /specifying "comm=PID" is not allowed/);
  await assert.rejects(ociRuntime.top(target, '--nonsense'), /^MooredError: ps: /);
});

test('pause and resume', async () => {
  await ociRuntime.pause(target);
  assert.equal((await ociRuntime.state(target))?.status, 'paused');
  await assert.rejects(ociRuntime.pause(target), (error) => isKind(error, 'conflict'));
  await ociRuntime.resume(target);
  assert.equal((await ociRuntime.state(target))?.status, 'running');
  await assert.rejects(ociRuntime.resume(target), { message: 'OCI runtime resume failed: container not paused: unknown' });
});

test('update changes the limits', async () => {
  await ociRuntime.update(target, { memory: { limit: 64 * 1024 * 1024 }, cpu: { shares: 512 } });
  const { pid } = (await ociRuntime.state(target)) ?? { pid: 0 };
  const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8');
  const memory = /^\d+:memory:(.*)$/m.exec(groups)?.[1];
  const unified = /^0::(.*)$/m.exec(groups)?.[1];
  const file = memory === undefined ? `/sys/fs/cgroup${unified}/memory.max` : `/sys/fs/cgroup/memory${memory}/memory.limit_in_bytes`;
  assert.equal((await readFile(file, 'utf8')).trim(), String(64 * 1024 * 1024));
});

test('a container that the runtime does not know', async () => {
  const unknown = { ...target, id: 'nobody' };
  assert.equal(await ociRuntime.state(unknown), undefined);
  await ociRuntime.delete(unknown);
  await assert.rejects(ociRuntime.pause(unknown), (error) => isKind(error, 'not-found'));
  await assert.rejects(ociRuntime.pids({ ...unknown, runtime: '/nonexistent' }), /cannot start \/nonexistent/);
});

test('kill and delete, last of all', async () => {
  await assert.rejects(ociRuntime.kill(target, 99), /OCI runtime kill failed: .*invalid argument/);
  await ociRuntime.kill(target, 9, { all: true });
  await ociRuntime.delete(target);
  assert.equal(await ociRuntime.state(target), undefined);
});

test('ps: threads belong to their process, the last column keeps its spaces', () => {
  const output = 'UID PID LWP CMD\nroot 1 - init\nroot 7 - a  b c\nroot - 8 -\nroot 9 - other\nroot - 10 -\n';
  assert.deepEqual(parsePs(output, new Set([7])).processes, [['root', '7', '-', 'a b c'], ['root', '-', '8', '-']]);
  assert.throws(() => parsePs('USER CMD\n', new Set()), /find PID field/);
});

test("the runtime's own words", () => {
  const json = '{"level":"warning","msg":"w"}\n{"level":"error","msg":"runc create failed: exec: \\"x\\": executable file not found in $PATH"}\n{"level":"info","msg":"i"}\n';
  assert.equal(runtimeMessage(json), 'runc create failed: exec: "x": executable file not found in $PATH');
  assert.equal(runtimeMessage('time="2026" level=error msg="a \\"b\\"\\nc"\n'), 'a "b"\nc');
  assert.equal(runtimeMessage('\nplain words\nin two lines\n\n'), 'plain words\nin two lines');
  assert.equal(runtimeMessage(''), 'no message');
  assert.equal(startFailureCode('exec: "x": executable file not found in $PATH'), 127);
  assert.equal(startFailureCode('exec: "/": Permission denied'), 126);
  assert.equal(startFailureCode('cgroup trouble'), 128);
  assert.equal(dockerRuntimeError('exec', 'm'), 'OCI runtime exec failed: m: unknown');
});
