import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { Container, SHIM, eventually, unframe } from './harness.ts';

test('restarts on the same bundle, with a growing delay', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'echo run; exit 3'], spec: { restart: 'on-failure', 'restart-max': 15 } });
  const { watch, control } = await c.start();
  const delays: string[] = [];
  for (let i = 0; i < 4; i++) {
    const die = await watch.next('die');
    assert.equal(die.pairs['restarting'], '1');
    delays.push(die.pairs['delay-ms'] ?? '');
  }
  assert.deepEqual(delays, ['100', '200', '400', '800']);
  const state = await control.request('state');
  assert.equal(state['restart-count'], '3');
  assert.equal(state['state'], 'restarting');
  assert.ok(BigInt(state['next-restart-at'] ?? 0) > 0n);
  assert.equal(c.exitRecord()?.['final'], '0');
  await control.request('stop', { signal: 15, 'timeout-ms': 1000 });
  await watch.next('end');
  await c.shimGone();
  assert.equal(c.logText(), 'run\n'.repeat(4));
  assert.equal(c.exitRecord()?.['final'], '1');
  assert.equal(c.exitRecord()?.['exit-code'], '3');
});

test('on-failure stops restarting at its limit', async (t) => {
  const c = new Container(t, { args: ['false'], spec: { restart: 'on-failure', 'restart-max': 2 } });
  const { watch } = await c.start();
  await watch.next('end');
  assert.deepEqual(watch.seen.map((l) => l.kind), ['start', 'die', 'start', 'die', 'start', 'die', 'end']);
  // A run's start is told with the same time by both.
  for (const [index, line] of watch.seen.entries()) if (line.kind === 'die') assert.equal(line.pairs['started-at'], String(watch.seen[index - 1]?.time));
  assert.equal(c.exitRecord()?.['restart-count'], '2');
  assert.equal(c.exitRecord()?.['run'], '3');
});

test('without live restore a restart waits for a daemon', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'exit 1'], spec: { restart: 'always', 'live-restore': false } });
  const { watch } = await c.start();
  await watch.next('die');
  watch.client.close();
  await new Promise((resolve) => setTimeout(resolve, 400));
  assert.equal(c.status()['state'], 'restarting');
  assert.equal(c.journal().filter((l) => l.kind === 'start').length, 1);
  const again = await c.watch(2);
  const start = await again.next('start');
  assert.equal(start.pairs['run'], '2');
});

test('a restart that fails counts and is told', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'exit 1'], spec: { restart: 'on-failure', 'restart-max': 2 } });
  const { watch } = await c.start();
  await watch.next('die');
  const config = JSON.parse(fs.readFileSync(path.join(c.dir, 'config.json'), 'utf8')) as { process: { args: string[] } };
  config.process.args = ['gone'];
  fs.writeFileSync(path.join(c.dir, 'config.json'), JSON.stringify(config));
  const failed = await watch.next('restart-failed');
  assert.match(failed.pairs['error'] ?? '', /executable file not found/);
  assert.equal(failed.pairs['exit-code'], '127');
  await watch.next('end');
  assert.equal(c.exitRecord()?.['exit-code'], '127');
  assert.equal(c.exitRecord()?.['restart-count'], '2');
  assert.match(c.status()['error'] ?? '', /executable file not found/);
});

test('a killed shim takes nothing along: the container writes on, and a successor reads every byte', async (t) => {
  const c = new Container(t, {
    args: ['sh', '-c', 'i=0; while [ $i -lt 40 ]; do i=$((i+1)); echo line $i; usleep 10000; done; read x; echo got $x; exit 5'],
    spec: { stdin: true, restart: 'no' },
  });
  const { pid, watch } = await c.start();
  await watch.next('start');
  await eventually(() => c.logText().includes('line 5\n'), 'first lines');
  await c.killShim();
  await new Promise((resolve) => setTimeout(resolve, 100));
  process.kill(pid, 0);
  const ready = await c.shim('adopt');
  assert.ok(ready.ok, JSON.stringify(ready));
  await eventually(() => c.logText().includes('line 40\n'), 'last line');
  const numbers = c.logText().split('\n').filter((l) => l.startsWith('line')).map((l) => Number(l.slice(5)));
  assert.deepEqual(numbers, Array.from({ length: 40 }, (_, i) => i + 1));
  const again = await c.watch(1);
  const state = await (await c.connect()).request('state');
  assert.equal(state['state'], 'running');
  assert.equal(state['pid'], String(pid));
  const io = await c.attach({ stdin: true });
  io.socket.write('hello\n');
  await io.until((bytes) => unframe(bytes).stdout === 'got hello\n');
  const die = await again.next('die');
  assert.equal(die.pairs['exit-code'], '-1');
  await again.next('end');
  await c.shimGone();
  assert.equal(c.exitRecord()?.['exit-code'], '-1');
  assert.match(c.runc('state', c.id), /does not exist/);
});

test('an adopted container is restarted by its policy and is whole again', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'echo up; sleep 1000'], spec: { restart: 'on-failure', 'restart-max': 3 } });
  const { pid } = await c.start();
  await eventually(() => c.logText() === 'up\n', 'up');
  await c.killShim();
  assert.ok((await c.shim('adopt')).ok);
  const watch = await c.watch(1);
  process.kill(pid, 'SIGKILL');
  const die = await watch.next('die');
  assert.equal(die.pairs['exit-code'], '-1');
  assert.equal(die.pairs['restarting'], '1');
  await watch.next('start');
  await eventually(() => c.logText() === 'up\nup\n', 'up again');
  await (await c.connect()).request('stop', { signal: 9, 'timeout-ms': -1 });
  assert.equal((await watch.next('die')).pairs['exit-code'], '137');
  const written = c.journal();
  assert.deepEqual(written.map((l) => l.seq), written.map((_, i) => i + 1));
});

test('adopt refuses what does not run', async (t) => {
  const c = new Container(t, { args: ['true'] });
  const { watch } = await c.start();
  await watch.next('end');
  await c.shimGone();
  const ready = await c.shim('adopt');
  assert.equal(ready.ok, false);
  assert.match(ready.pairs['message'] ?? '', /not running/);
  assert.deepEqual(fs.readdirSync(c.dir).toSorted(), ['config.json', 'spec', 'status']);
});

test('a second shim in the same folder is refused and the first is not disturbed', async (t) => {
  const c = new Container(t, { args: ['sleep', '100'] });
  const { control } = await c.start();
  const second = await c.spawnShim('adopt', c.dir);
  assert.equal(second.ready.ok, false);
  assert.match(second.ready.pairs['message'] ?? '', /another shim/);
  assert.equal((await control.request('state'))['state'], 'running');
  assert.equal((await (await c.connect()).request('hello'))['contract'], '1.1');
});

test('SIGTERM to the shim stops the container and says that the host goes down', async (t) => {
  const c = new Container(t, {
    args: ['sh', '-c', 'trap "echo bye; exit 0" TERM; echo up; while :; do sleep 0.05; done'],
    spec: { restart: 'always', 'stop-signal': 15, 'stop-timeout-ms': 5000 },
  });
  const { watch } = await c.start();
  await eventually(() => c.logText() === 'up\n', 'up');
  c.newestShim().kill('SIGTERM');
  const die = await watch.next('die');
  assert.equal(die.pairs['host-down'], '1');
  assert.equal(die.pairs['exit-code'], '0');
  await watch.next('end');
  assert.equal(c.logText(), 'up\nbye\n');
});

test('a terminal: raw bytes, size, hang-up', async (t) => {
  const c = new Container(t, {
    terminal: true,
    args: ['sh', '-c', 'stty size; read x; stty size; echo "got $x"'],
    spec: { stdin: true, 'console-size': '33 99' },
  });
  assert.ok((await c.shim()).ok);
  const tty = await c.attach({ stdin: true });
  const control = await c.connect();
  await control.request('start');
  await tty.until((b) => b.toString().includes('33 99\r\n'));
  await control.request('resize', { rows: 44, cols: 111 });
  tty.socket.write('hello\n');
  const all = (await tty.rest()).toString();
  assert.match(all, /33 99\r\nhello\r\n44 111\r\ngot hello\r\n$/);
  await c.shimGone();
  assert.ok(c.logText('stdout').endsWith('got hello\r\n'));
});

test('exec: streams, exit code, record', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  await c.start();
  const dir = await c.exec(['sh', '-c', 'cat; echo err >&2; exit 9'], { stdin: true });
  const io = await c.attach({ stdin: true }, dir);
  const control = await c.connect(dir);
  const { pid } = await control.request('start');
  assert.ok(Number(pid) > 1);
  io.socket.end('input');
  const got = unframe(await io.rest());
  assert.deepEqual(got, { stdout: 'input', stderr: 'err\n' });
  await c.shimGone();
  assert.equal(c.exitRecord(path.join(dir, 'exit'))?.['exit-code'], '9');
  assert.equal(c.status(dir)['state'], 'exited');
});

test('exec with a terminal and a signal', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  await c.start();
  const dir = await c.exec(['sh', '-c', 'tty && sleep 100'], { terminal: true, stdin: true });
  const io = await c.attach({ stdin: true }, dir);
  const control = await c.connect(dir);
  await control.request('start');
  await io.until((b) => b.toString().includes('/dev/pts/'));
  io.socket.write('\x03');
  await io.rest();
  await c.shimGone();
  assert.equal(c.exitRecord(path.join(dir, 'exit'))?.['exit-code'], '130');
});

test('exec of a program that is not there', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  await c.start();
  const dir = await c.exec(['nope']);
  const control = await c.connect(dir);
  await assert.rejects(control.request('start'), /runtime: .*exec: "nope": executable file not found/);
  await c.shimGone();
  assert.equal(c.exitRecord(path.join(dir, 'exit'))?.['exit-code'], '127');
});

test('what a process left behind in the cgroup does not hold the end up', async (t) => {
  const c = new Container(t, {
    args: ['sh', '-c', 'sleep 1000 & echo up'],
    config: (config) => {
      const linux = config['linux'] as { namespaces: { type: string }[] };
      linux.namespaces = linux.namespaces.filter((ns) => ns.type !== 'pid');
    },
  });
  const { watch } = await c.start();
  const before = Date.now();
  await watch.next('end');
  assert.ok(Date.now() - before < 3000);
  assert.equal(c.logText(), 'up\n');
  await eventually(() => !fs.existsSync(`/sys/fs/cgroup/memory${c.cgroup}`), 'cgroup removed');
});

test('a container that nobody waits for is taken away', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  assert.ok((await c.shim()).ok);
  const control = await c.connect();
  await control.request('stop', { signal: 15, 'timeout-ms': 1000 });
  await c.shimGone();
  assert.match(c.runc('state', c.id), /does not exist/);
});

test('a container killed before its start ends the shim', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  const ready = await c.shim();
  process.kill(Number(ready.pairs['pid']), 'SIGKILL');
  await c.shimGone();
  assert.match(c.runc('state', c.id), /does not exist/);
});

test('a paused container is stopped too when the host goes down', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'trap "exit 0" TERM; echo up; while :; do sleep 0.05; done'] });
  const { watch } = await c.start();
  await eventually(() => c.logText() === 'up\n', 'up');
  assert.equal(c.runc('pause', c.id), '');
  c.newestShim().kill('SIGTERM');
  assert.equal((await watch.next('die')).pairs['exit-code'], '0');
});

test('a successor waits for a shim that is just leaving', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'echo run'] });
  for (let i = 0; i < 15; i++) {
    const { watch } = await c.start();
    await watch.next('end');
    await watch.client.rest();
  }
  await c.shimGone();
  assert.equal(c.logText(), 'run\n'.repeat(15));
  assert.deepEqual(c.journal().map((l) => l.seq), Array.from({ length: 45 }, (_, i) => i + 1));
});

test('a daemon that died while the container was being made leaves nothing behind', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  const child = spawn(SHIM, ['run', c.dir], { stdio: ['ignore', 'ignore', 'inherit', 'pipe'], detached: true });
  child.stdio[3]?.destroy();
  await new Promise((resolve) => child.once('exit', resolve));
  assert.match(c.runc('state', c.id), /does not exist/);
  assert.deepEqual(fs.readdirSync(c.dir).toSorted(), ['config.json', 'spec', 'status']);
});
