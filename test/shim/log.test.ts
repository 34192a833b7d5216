import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import * as zlib from 'node:zlib';
import { Container, eventually, parseJournal } from './harness.ts';

test('rotates between lines, compresses, and loses nothing', async (t) => {
  const c = new Container(t, {
    args: ['sh', '-c', 'seq 1 20000'],
    spec: { 'log-max-size': 300_000, 'log-max-file': 20, 'log-compress': true },
  });
  const { watch } = await c.start();
  await watch.next('end');
  await c.shimGone();
  await eventually(() => !fs.readdirSync(c.data).some((name) => name.endsWith('.new')) && fs.existsSync(path.join(c.data, 'log.1.gz')), 'compressed');
  const files = fs.readdirSync(c.data).filter((name) => name.startsWith('log')).toSorted((a, b) => Number(/\d+/.exec(b)?.[0] ?? 0) - Number(/\d+/.exec(a)?.[0] ?? 0));
  assert.ok(files.length > 3);
  const text = files.map((name) => {
    const bytes = fs.readFileSync(path.join(c.data, name));
    const plain = name.endsWith('.gz') ? zlib.gunzipSync(bytes) : bytes;
    assert.ok(plain.length <= 300_000);
    return plain.toString();
  }).join('');
  const logs = text.trimEnd().split('\n').map((line) => (JSON.parse(line) as { log: string }).log).join('');
  assert.equal(logs, Array.from({ length: 20000 }, (_, i) => `${i + 1}\n`).join(''));
});

test('a full disk drops lines, says so when there is room again, and stops nobody', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'seq 1 200000; while [ ! -e /tmp/go ]; do usleep 10000; done; rm /tmp/go; echo after; exit 4'] });
  const small = path.join(c.base, 'small');
  fs.mkdirSync(small);
  assert.equal(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', small]).status, 0);
  c.undo.push(() => spawnSync('umount', ['-l', small]));
  c.writeSpec({ 'log-path': path.join(small, 'log') });
  const { watch, control, pid } = await c.start();
  await eventually(() => Number(c.status()['log-dropped']) > 0, 'lines dropped');
  assert.equal((await control.request('state'))['state'], 'running');
  await eventually(() => fs.readFileSync(`/proc/${pid}/cmdline`, 'latin1').length > 0 && Number(c.status()['log-dropped']) > 100_000, 'all written');
  assert.equal(spawnSync('mount', ['-o', 'remount,size=64m', small]).status, 0);
  const told = await watch.next('log-dropped');
  fs.writeFileSync(`/proc/${pid}/root/tmp/go`, '');
  assert.equal((await watch.next('die')).pairs['exit-code'], '4');
  await watch.next('end');
  const lines = fs.readFileSync(path.join(small, 'log'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as { log: string; stream: string });
  const numbers = lines.filter((l) => /^\d+\n$/.test(l.log)).map((l) => Number(l.log));
  const note = lines.find((l) => l.stream === 'stderr');
  assert.match(note?.log ?? '', /^moored: \d+ log lines dropped: No space left on device\n$/);
  assert.equal(numbers.length + Number(told.pairs['count']), 200_000);
  assert.equal(note?.log, `moored: ${told.pairs['count']} log lines dropped: No space left on device\n`);
  assert.equal(lines.at(-1)?.log, 'after\n');
});

test('a log that hangs stops neither signal nor stop nor the news of the exit', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'trap "exit 6" TERM; yes >/dev/stderr & while :; do sleep 0.05; done'] });
  spawnSync('mkfifo', [path.join(c.data, 'log')]);
  const { watch, control, pid } = await c.start();
  await new Promise((resolve) => setTimeout(resolve, 300)); // the pipe that is the log is full, and the ring behind it
  assert.equal((await control.request('state'))['state'], 'running');
  process.kill(pid, 0);
  await control.request('stop', { signal: 15, 'timeout-ms': 2000 });
  const die = await watch.next('die');
  assert.equal(die.pairs['exit-code'], '6');
  await watch.next('end');
  assert.equal(c.status()['state'], 'exited');
  // The log is read after all: everything that waited behind it is written, and the shim leaves.
  const reader = fs.createReadStream(path.join(c.data, 'log'));
  reader.resume();
  await c.shimGone();
  reader.destroy();
  assert.equal(c.exitRecord()?.['exit-code'], '6');
  assert.deepEqual(parseJournal(fs.readFileSync(path.join(c.data, 'journal'), 'utf8')).map((l) => l.kind), ['start', 'stop-requested', 'kill', 'die', 'end']);
});

test('non-blocking mode drops whole lines and does not hold the container up', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'seq 1 300000; echo done >&2'], spec: { 'log-mode': 'non-blocking', 'log-buffer': 1 << 20 } });
  const log = path.join(c.data, 'log');
  spawnSync('mkfifo', [log]);
  const { watch, pid } = await c.start();
  // Nobody reads the log, and yet the container comes to its end; only then it is read.
  await eventually(() => !fs.existsSync(`/proc/${pid}/root/bin/busybox`), 'process ended');
  const chunks: Buffer[] = [];
  const reader = fs.createReadStream(log);
  reader.on('data', (chunk) => chunks.push(chunk as Buffer));
  await watch.next('end');
  await c.shimGone();
  await new Promise((resolve) => setTimeout(resolve, 50));
  reader.destroy();
  const lines = Buffer.concat(chunks).toString().trimEnd().split('\n').map((line) => JSON.parse(line) as { log: string; stream: string });
  const numbers = lines.filter((l) => l.stream === 'stdout').map((l) => Number(l.log));
  assert.ok(numbers.length > 10000 && numbers.length < 300_000);
  for (let i = 1; i < numbers.length; i++) assert.ok((numbers[i] ?? 0) > (numbers[i - 1] ?? 0), `${numbers[i - 1]} ${numbers[i]}`);
  const dropped = lines.filter((l) => l.log.startsWith('moored:')).map((l) => Number(/\d+/.exec(l.log)?.[0])).reduce((a, b) => a + b, 0);
  assert.ok(dropped + numbers.length >= 300_000);
});

test('log-reopen writes into a new file', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'echo one; while [ ! -e /tmp/go ]; do usleep 10000; done; rm /tmp/go; echo two'] });
  const { watch, control, pid } = await c.start();
  await eventually(() => c.logText() === 'one\n', 'one');
  fs.renameSync(path.join(c.data, 'log'), path.join(c.data, 'moved'));
  await control.request('log-reopen');
  fs.writeFileSync(`/proc/${pid}/root/tmp/go`, '');
  await watch.next('end');
  assert.equal(c.logText(), 'two\n');
  assert.match(fs.readFileSync(path.join(c.data, 'moved'), 'utf8'), /one/);
});

test('a client that does not read holds the container up for a second, then it is cut', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'head -c 8000000 /dev/zero | tr "\\\\0" x; echo end'] });
  assert.ok((await c.shim()).ok);
  const stuck = await c.attach();
  stuck.socket.pause();
  const reading = await c.attach();
  const watch = await c.watch();
  const before = Date.now();
  await (await c.connect()).request('start');
  await watch.next('end');
  const took = Date.now() - before;
  assert.ok(took > 900 && took < 5000, String(took));
  const bytes = await reading.rest();
  assert.ok(bytes.length > 8_000_000);
  assert.equal(c.logText().length, 8_000_004);
  stuck.close();
});

test('watch since a number gives what is on disk first, then what comes', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'sleep 1000'] });
  // A journal that is longer than what the shim keeps in memory.
  const old = Array.from({ length: 5000 }, (_, i) => `${i + 1} 1795449911193041106 start run=1 pid=1\n`).join('');
  fs.writeFileSync(path.join(c.data, 'journal'), old);
  await c.start();
  const all = await c.watch(0);
  const some = await c.watch(4990);
  const late = await c.watch(5001);
  await (await c.connect()).request('stop', { signal: 9, 'timeout-ms': -1 });
  for (const watch of [all, some, late]) await watch.next('end');
  assert.deepEqual(all.seen.map((l) => l.seq), Array.from({ length: 5005 }, (_, i) => i + 1));
  assert.deepEqual(some.seen.map((l) => l.seq), Array.from({ length: 15 }, (_, i) => 4991 + i));
  assert.deepEqual(late.seen.map((l) => l.kind), ['stop-requested', 'kill', 'die', 'end']);
});

test('a kill for lack of memory is told', async (t) => {
  const c = new Container(t, {
    args: ['sh', '-c', 'x=; while :; do x="$x$x$(head -c 1000000 /dev/zero | tr "\\\\0" x)"; done'],
    config: (config) => {
      (config['linux'] as Record<string, unknown>)['resources'] = { memory: { limit: 16 * 1024 * 1024 } };
    },
  });
  const { watch } = await c.start();
  await watch.next('oom');
  const die = await watch.next('die');
  assert.equal(die.pairs['oom'], '1');
  assert.equal(c.exitRecord()?.['oom'], '1');
});

test('the shim is small', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  await c.start();
  const rollup = fs.readFileSync(`/proc/${c.newestShim().pid}/smaps_rollup`, 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1] ?? 0);
  const dirty = field('Private_Dirty') + field('Private_Clean');
  t.diagnostic(`private ${dirty} kB, PSS ${field('Pss')} kB`);
  assert.ok(dirty < 500, String(dirty));
});
