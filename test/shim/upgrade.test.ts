/** The verb `upgrade`: the shim's process goes on as another binary, and nobody notices but who asks for its version. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import * as dgram from 'node:dgram';
import { once } from 'node:events';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { busyboxRootfs, Container, eventually, SHIM, unframe } from './harness.ts';
import type { Client, Pairs } from './harness.ts';

const BOUNDED = { timeout: 60_000 };

async function upgrade(client: Client, file: string = SHIM): Promise<Pairs> {
  const got = await client.request('upgrade', { path: file });
  assert.match(got['contract'] ?? '', /^1\.\d+$/);
  return got;
}

/** Lines `1`, `2`, … each once and in order. Gives how many. */
function countLines(text: string): number {
  const lines = text.split('\n').slice(0, -1);
  const wrong = lines.findIndex((line, index) => line !== String(index + 1));
  assert.equal(wrong, -1, `line ${wrong + 1} is ${JSON.stringify(lines[wrong]?.slice(0, 60))}`);
  return lines.length;
}

/** Counts as fast as it can until the file appears. */
const COUNT = ['sh', '-c', 'i=0; while [ ! -e /tmp/enough-$0 ]; do i=$((i+1)); echo $i; done'];

function counting(t: TestContext, spec: Record<string, string | number | boolean> = {}): { c: Container; enough: () => void } {
  const name = `${process.pid}-${Math.random().toString(36).slice(2)}`;
  const c = new Container(t, { args: [...COUNT, name], spec });
  const file = path.join(busyboxRootfs(), 'tmp', `enough-${name}`);
  t.after(() => fs.rmSync(file, { force: true }));
  return { c, enough: () => fs.writeFileSync(file, '') };
}

test('fifty upgrades in a row under load: every line once and in order, for the log and for an attached client, the pids the same', BOUNDED, async (t) => {
  const { c, enough } = counting(t);
  const { control, pid, watch } = await c.start();
  const shim = c.newestShim().pid;
  const attached = await c.attach();
  for (let i = 0; i < 50; i++) assert.equal((await upgrade(control))['pid'], String(shim));
  const state = await control.request('state');
  assert.equal(state['pid'], String(pid));
  assert.equal(state['run'], '1');
  enough();
  const die = await watch.next('die');
  assert.equal(die.pairs['exit-code'], '0', 'the process is still its child');
  await watch.next('end');
  const { stdout } = unframe(await attached.rest());
  assert.equal(await c.shimGone(), 0);
  const log = c.logText();
  assert.ok(countLines(log) > 1000);
  // It may have come after the first lines.
  assert.ok(log.endsWith(stdout) && stdout.length > log.length / 2, `${stdout.length} of ${log.length} bytes`);
  assert.deepEqual(watch.seen.map((l) => l.kind), ['start', 'die', 'end'], 'nothing is invented, nothing told twice');
  assert.deepEqual(fs.readdirSync(c.dir).filter((name) => /sock|std|\.new|pid/.test(name)), [], 'and it cleans up as ever');
});

test('upgrades while the log rotates and is compressed', BOUNDED, async (t) => {
  const { c, enough } = counting(t, { 'log-max-size': 300_000, 'log-max-file': 1000, 'log-compress': true });
  const { control, watch } = await c.start();
  for (let i = 0; i < 15; i++) await upgrade(control);
  enough();
  await watch.next('end');
  await c.shimGone();
  const number = (name: string): number => Number(/^log\.(\d+)/.exec(name)?.[1] ?? 0);
  const files = fs.readdirSync(c.data).filter((name) => /^log(\.\d+(\.gz)?)?$/.test(name)).toSorted((a, b) => number(b) - number(a));
  assert.ok(files.some((name) => name.endsWith('.gz')));
  const text = files.map((name) => {
    const file = path.join(c.data, name);
    return name.endsWith('.gz') ? spawnSync('gzip', ['-dc', file], { maxBuffer: 1 << 26 }).stdout.toString() : fs.readFileSync(file, 'utf8');
  }).join('');
  assert.ok(countLines(text.split('\n').filter((line) => line !== '').map((line) => (JSON.parse(line) as { log: string }).log).join('')) > 1000);
});

test('a line that is half read stays one line, whichever stream it is on', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'printf one; printf err >&2; read x; echo two; echo or >&2'], spec: { stdin: true } });
  assert.ok((await c.shim()).ok);
  const [watch, control, attached] = [await c.watch(), await c.connect(), await c.attach({ stdin: true })];
  await control.request('start');
  await attached.until((bytes) => bytes.length >= 8 + 3 + 8 + 3);
  await upgrade(control);
  attached.socket.write('go\n');
  await watch.next('end');
  await c.shimGone();
  assert.deepEqual(c.log().map((l) => `${l.stream} ${l.log}`).toSorted(), ['stderr error\n', 'stdout onetwo\n']);
});

test('stdin that the container has not read yet is not lost, and its end comes when it should', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'while [ ! -e /tmp/read ]; do usleep 5000; done; cat | wc -c; rm /tmp/read'], spec: { stdin: true, 'stdin-once': true } });
  const { control, pid, watch } = await c.start();
  const attached = await c.attach({ stdin: true });
  for (let i = 0; i < 300; i++) attached.socket.write(Buffer.alloc(1000, 'x'));
  attached.socket.end();
  // The pipe and the shim's buffer take what they can, the rest waits in the socket.
  await eventually(() => attached.socket.writableLength < 200_000, 'some was taken');
  for (let i = 0; i < 3; i++) await upgrade(control);
  fs.writeFileSync(`/proc/${pid}/root/tmp/read`, '');
  await watch.next('end');
  await c.shimGone();
  assert.equal(c.logText().trim(), '300000');
  assert.equal(unframe(await attached.rest()).stdout.trim(), '300000');
});

test('a terminal stays a terminal', BOUNDED, async (t) => {
  const c = new Container(t, { terminal: true, args: ['sh', '-c', 'echo ready; while read x; do stty size; echo "got $x"; done'], spec: { stdin: true } });
  const { control } = await c.start();
  const attached = await c.attach({ stdin: true });
  await eventually(() => c.logText().includes('ready'), 'ready');
  for (let i = 0; i < 3; i++) {
    await upgrade(control);
    await control.request('resize', { rows: 30 + i, cols: 90 });
    attached.socket.write(`word${i}\n`);
    await attached.until((bytes) => bytes.includes(`got word${i}`));
    assert.match((await attached.until(() => true)).toString(), new RegExp(`${30 + i} 90`));
  }
});

test('an upgrade between two runs changes neither the delay nor the count', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'echo run; exit 3'], spec: { restart: 'on-failure', 'restart-max': 15 } });
  const { control, watch } = await c.start();
  for (let i = 0; i < 4; i++) await watch.next('die');
  const before = await control.request('state');
  assert.equal(before['state'], 'restarting');
  await upgrade(control);
  await upgrade(control);
  const after = await control.request('state');
  assert.deepEqual({ ...after, 'next-restart-at': '' }, { ...before, 'next-restart-at': '' });
  assert.equal(after['next-restart-at'], before['next-restart-at']);
  const next = await watch.next('start');
  assert.ok(next.time >= BigInt(before['next-restart-at'] ?? 0), 'not sooner');
  assert.equal(next.pairs['run'], '5');
  assert.equal((await watch.next('die')).pairs['delay-ms'], '1600');
});

test('a stop goes on: the kill comes when it is due', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 1; done'], spec: { restart: 'always' } });
  const { control, watch } = await c.start();
  await eventually(() => c.logText().includes('ready'), 'ready');
  await control.request('stop', { signal: 15, 'timeout-ms': 700 });
  await upgrade(control);
  const die = await watch.next('die');
  assert.deepEqual([die.pairs['exit-signal'], die.pairs['restarting']], ['9', '0']);
  await watch.next('end');
});

test('probes go on, also the one that is under way', BOUNDED, async (t) => {
  const c = new Container(t, {
    args: ['sleep', '1000'],
    spec: { 'health-process': 'health.json', 'health-command': 'probe', 'health-interval-ms': 50, 'health-timeout-ms': 20_000, 'health-retries': 2 },
  });
  const flag = `/tmp/probed-${c.id}`;
  fs.writeFileSync(path.join(c.dir, 'health.json'), JSON.stringify({
    terminal: false, user: { uid: 0, gid: 0 }, args: ['sh', '-c', `echo begun; while [ ! -e ${flag} ]; do usleep 5000; done; echo ended; exit 1`], env: ['PATH=/bin'], cwd: '/', noNewPrivileges: true,
  }));
  const { control, pid, watch } = await c.start();
  const { pairs } = await watch.next('exec-start');
  await upgrade(control);
  assert.equal(c.status()['health'], 'starting');
  fs.writeFileSync(`/proc/${pid}/root${flag}`, '');
  t.after(() => fs.rmSync(path.join(busyboxRootfs(), flag), { force: true }));
  const die = await watch.next('exec-die');
  assert.equal(die.pairs['exec'], pairs['exec']);
  assert.equal(die.pairs['exit-code'], '1', 'its own exit code: it is still a child');
  await upgrade(control);
  assert.equal((await watch.next('health')).pairs['status'], 'unhealthy');
  const [first = ''] = fs.readFileSync(path.join(c.dir, 'health'), 'utf8').split('\n').slice(1);
  assert.match(first, / 1 begun%0Aended%0A$/, 'all of its output');
});

test('a watch goes on with the next number, and an exec session is upgraded like a container', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  const { control, watch } = await c.start();
  const dir = await c.exec(['sh', '-c', 'read x; echo "got $x"; exit 7'], { stdin: true });
  const exec = await c.connect(dir);
  await upgrade(exec);
  await exec.request('start');
  const attached = await c.attach({ stdin: true }, dir);
  await upgrade(exec);
  attached.socket.write('it\n');
  assert.equal(unframe(await attached.rest()).stdout, 'got it\n');
  await eventually(() => c.exitRecord(path.join(dir, 'exit'))?.['exit-code'] === '7', 'exit record');
  await upgrade(control);
  await control.request('stop', { signal: 9, 'timeout-ms': -1 });
  await watch.next('end');
  assert.deepEqual(watch.seen.map((l) => l.seq), watch.seen.map((_, index) => index + 1));
});

interface Handled { _handle: { fd: number } }

async function bound(t: TestContext, host: string): Promise<{ fd: number; port: number; close: () => void }> {
  const server = net.createServer();
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  t.after(() => server.close());
  return { fd: (server as unknown as Handled)._handle.fd, port: (server.address() as net.AddressInfo).port, close: () => server.close() };
}

test('published ports: reserved, listening, and streams that are under way', BOUNDED, async (t) => {
  const target = net.createServer((socket) => socket.on('data', (chunk) => socket.write(chunk)).on('error', () => undefined));
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  t.after(() => target.close());
  const published = await bound(t, '::1');
  const reserved = await bound(t, '127.0.0.1');
  const held = await bound(t, '127.0.0.1');
  const c = new Container(t, {
    args: ['sleep', '1000'], fds: [published.fd, reserved.fd, held.fd],
    spec: { port: [`relay-tcp 4 127.0.0.1 ${(target.address() as net.AddressInfo).port}`, 'reserve 5'], hold: ['6 resolver-tcp'] },
  });
  const { control } = await c.start();
  for (const one of [published, reserved, held]) one.close();
  const stream = net.connect({ port: published.port, host: '::1' });
  t.after(() => stream.destroy());
  // More than the sockets take: at every upgrade some of it is in the shim's pipes.
  const sent = Buffer.alloc(8_000_000, 'stream of bytes');
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  stream.write(sent);
  for (let i = 0; i < 10; i++) {
    await upgrade(control);
    const fresh = net.connect({ port: published.port, host: '::1' });
    fresh.write('hello');
    assert.equal(String((await once(fresh, 'data'))[0]), 'hello');
    fresh.destroy();
  }
  await eventually(() => chunks.reduce((sum, chunk) => sum + chunk.length, 0) >= sent.length, 'the whole stream');
  assert.ok(Buffer.concat(chunks).equals(sent));
  await assert.rejects(new Promise((resolve, reject) => net.createServer().listen(reserved.port, '127.0.0.1', () => resolve(1)).once('error', reject)), /EADDRINUSE/);
  const shim = c.newestShim().pid;
  await eventually(() => fs.readdirSync(`/proc/${shim}/task`).length === 2, 'one writer thread');
  const gone = once(stream, 'close');
  stream.destroy();
  await gone;
});

test('a UDP client goes on with the same answerer', BOUNDED, async (t) => {
  const target = dgram.createSocket('udp4', (message, from) => target.send(`${message.toString()} to ${from.port}`, from.port, from.address));
  await new Promise<void>((resolve) => target.bind(0, '127.0.0.1', resolve));
  t.after(() => target.close());
  const published = dgram.createSocket('udp6');
  await new Promise<void>((resolve) => published.bind(0, '::1', resolve));
  const { port } = published.address();
  const state = Object.getOwnPropertySymbols(published).find((s) => s.description === 'state symbol') as symbol;
  const c = new Container(t, {
    args: ['sleep', '1000'], fds: [(published as unknown as Record<symbol, { handle: { fd: number } }>)[state]?.handle.fd ?? -1],
    spec: { port: [`relay-udp 4 127.0.0.1 ${target.address().port}`] },
  });
  const { control } = await c.start();
  published.close();
  const client = dgram.createSocket('udp6');
  t.after(() => client.close());
  const answers = new Set<string>();
  for (let i = 0; i < 3; i++) {
    client.send('x', port, '::1');
    answers.add(String((await once(client, 'message'))[0]));
    await upgrade(control);
  }
  assert.equal(answers.size, 1, [...answers].join(', '));
});

test('a policy that was changed, and links that were added, count afterwards', BOUNDED, async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'], spec: { restart: 'no' } });
  const { control, pid, watch } = await c.start();
  await control.request('policy', { restart: 'always', 'keep-links': 'eth0,eth1' });
  await upgrade(control);
  process.kill(pid, 'SIGKILL');
  assert.equal((await watch.next('die')).pairs['restarting'], '1');
  await watch.next('start');
});

test('a binary that is none, of another major or hangs is refused, and the old one goes on', BOUNDED, async (t) => {
  const { c, enough } = counting(t);
  const { control, watch } = await c.start();
  const file = (name: string, text: string): string => {
    fs.writeFileSync(path.join(c.base, name), text, { mode: 0o755 });
    return path.join(c.base, name);
  };
  const refused: [string, RegExp][] = [
    ['/nowhere/moored-shim', /upgrade: .*No such file/],
    [c.base, /upgrade: .*not a program/],
    ['moored-shim', /request: invalid path/],
    ['/bin/true', /it is no shim that can be tried/],
    [file('script', '#!/bin/sh\necho ok moored-shim 9 contract 1.9\n'), /not a program/],
    [file('text', 'nothing\n'), /not a program/],
    [file('torn', '\x7fELF'), /no shim that can be tried/],
    [builtFrom(c, 'ninth', 'puts("ok moored-shim 9 contract 9.0"); return 0;'), /no shim that can be tried/],
    [builtFrom(c, 'newer', 'puts("err handover: of another version"); return 1;'), /cannot take over: handover: of another version/],
    [builtFrom(c, 'crash', '*(volatile int *)0 = 1; return 0;'), /ended by a signal/],
    [builtFrom(c, 'hang', 'for (;;) pause();'), /did not answer in time/],
  ];
  for (const [name, message] of refused) await assert.rejects(control.request('upgrade', { path: name }), message, name);
  await upgrade(control);
  enough();
  await watch.next('end');
  await c.shimGone();
  assert.ok(countLines(c.logText()) > 100);
});

test('a binary that fails only when it has begun gives back to the old one', BOUNDED, async (t) => {
  const { c, enough } = counting(t);
  const { control, watch } = await c.start();
  // Its trial is good; then it does what a shim does that cannot go on.
  const back = builtFrom(c, 'back', `
    if (argc == 2) { puts("ok moored-shim 9.9.9 contract 1.9"); return 0; }
    char exe[64];
    snprintf(exe, sizeof exe, "/proc/self/fd/%s", argv[6]);
    execl(exe, argv[0], argv[1], argv[2], "--state", argv[4], "--refused", "event loop: too many open files", (char *)0);
    return 1;`);
  for (let i = 0; i < 3; i++) {
    await assert.rejects(control.request('upgrade', { path: back }), /upgrade: event loop: too many open files/);
    await upgrade(control);
  }
  enough();
  await watch.next('end');
  await c.shimGone();
  assert.ok(countLines(c.logText()) > 100);
});

/** A program whose `main` is this. */
function builtFrom(c: Container, name: string, body: string): string {
  const file = path.join(c.base, name);
  const source = `#include <stdio.h>\n#include <unistd.h>\nint main(int argc, char **argv)\n{\n(void)argc; (void)argv;\n${body}\n}\n`;
  const { status, stderr } = spawnSync('gcc', ['-O1', '-x', 'c', '-', '-o', file], { input: source, encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return file;
}

test('a shim whose data root hangs is not upgraded, and says so', BOUNDED, async (t) => {
  // A FIFO in place of the log: its writes block as a hung file system's do.
  const c = new Container(t, { args: ['sh', '-c', 'yes | head -c 400000; sleep 1000'] });
  const log = path.join(c.data, 'log');
  spawnSync('mkfifo', [log]);
  const reader = fs.openSync(log, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  t.after(() => fs.closeSync(reader));
  assert.ok((await c.shim()).ok);
  const [control, attached] = [await c.connect(), await c.attach()];
  await control.request('start');
  await attached.until((bytes) => bytes.length > 200_000); // many times what the FIFO takes, encoded
  await assert.rejects(control.request('upgrade', { path: SHIM }), /the log is not being written/);
  assert.equal((await control.request('state'))['state'], 'running');
});
