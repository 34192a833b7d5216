import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { Container, unframe } from './harness.ts';

test('runs a container, logs both streams and leaves an exit record', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'echo out; echo err >&2; printf tail; exit 7'] });
  const { watch, pid } = await c.start();
  assert.ok(pid > 1);
  const die = await watch.next('die');
  assert.equal(die.pairs['exit-code'], '7');
  assert.equal(die.pairs['restarting'], '0');
  await watch.next('end');
  assert.equal(await c.shimGone(), 0);
  assert.equal(c.logText('stdout'), 'out\ntail');
  assert.equal(c.logText('stderr'), 'err\n');
  const exit = c.exitRecord();
  assert.equal(exit?.['exit-code'], '7');
  assert.equal(exit?.['final'], '1');
  assert.equal(exit?.['run'], '1');
  assert.ok(BigInt(exit?.['finished-at'] ?? 0) >= BigInt(exit?.['started-at'] ?? 0));
  assert.equal(fs.statSync(path.join(c.data, 'exit')).size, 4096);
  assert.deepEqual(c.journal().map((l) => l.kind), ['start', 'die', 'end']);
  assert.equal(c.status()['state'], 'exited');
  assert.deepEqual(fs.readdirSync(c.dir).toSorted(), ['config.json', 'spec', 'status']);
  assert.match(c.runc('state', c.id), /does not exist/);
});

test('attach before start gets everything, framed, and then the end', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'cat; echo err >&2'], spec: { stdin: true, 'stdin-once': true } });
  assert.ok((await c.shim()).ok);
  const client = await c.attach({ stdin: true });
  const control = await c.connect();
  await control.request('start');
  client.socket.write('hello\n');
  client.socket.end('world\n');
  const got = unframe(await client.rest());
  assert.equal(got.stdout, 'hello\nworld\n');
  assert.equal(got.stderr, 'err\n');
  assert.equal(await c.shimGone(), 0);
  assert.equal(c.logText('stdout'), 'hello\nworld\n');
});

test('signal and stop reach the process, and stop kills after its time', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'trap "echo usr1" USR1; trap "echo term" TERM; echo up; while :; do sleep 0.05; done'] });
  assert.ok((await c.shim()).ok);
  const out = await c.attach();
  const watch = await c.watch();
  const control = await c.connect();
  await control.request('start');
  await out.until((b) => unframe(b).stdout.includes('up'));
  const told = await control.request('signal', { signal: 10 });
  await out.until((b) => unframe(b).stdout.includes('usr1'));
  await control.request('stop', { signal: 15, 'timeout-ms': 300 });
  await out.until((b) => unframe(b).stdout.includes('term'));
  const die = await watch.next('die');
  assert.equal(die.pairs['exit-code'], '137');
  assert.equal(die.pairs['exit-signal'], '9');
  await assert.rejects(async () => (await c.connect()).request('signal', { signal: 15 }));
  assert.deepEqual(watch.seen.map((l) => l.kind), ['start', 'kill', 'stop-requested', 'kill', 'kill', 'die']);
  assert.deepEqual(watch.seen.filter(({ kind }) => kind === 'kill').map(({ pairs }) => pairs['signal']), ['10', '15', '9']);
  assert.equal(told['seq'], String(watch.seen[1]?.seq));
});

test('a program that cannot be executed is told in the runtime\'s words and leaves nothing behind', async (t) => {
  const c = new Container(t, { args: ['no-such-program'] });
  const ready = await c.shim();
  assert.equal(ready.ok, false);
  assert.equal(ready.pairs['kind'], 'runtime');
  assert.match(ready.pairs['message'] ?? '', /exec: "no-such-program": executable file not found in \$PATH/);
  await c.shimGone();
  assert.deepEqual(fs.readdirSync(c.dir).toSorted(), ['config.json', 'spec']);
  assert.match(c.runc('state', c.id), /does not exist/);
});

test('a spec that cannot be read is refused', async (t) => {
  const c = new Container(t);
  fs.writeFileSync(path.join(c.dir, 'spec'), 'moored-spec 2.0\nkind container\nend\n');
  const ready = await c.shim();
  assert.equal(ready.pairs['kind'], 'spec');
  fs.writeFileSync(path.join(c.dir, 'spec'), 'moored-spec 1.0\nkind container\n');
  assert.equal((await c.shim()).pairs['kind'], 'spec');
});

test('hello, state and malformed requests', async (t) => {
  const c = new Container(t, { args: ['sleep', '100'] });
  const { control, pid } = await c.start();
  const hello = await control.request('hello');
  assert.equal(hello['contract'], '1.1');
  const state = await control.request('state');
  assert.equal(state['state'], 'running');
  assert.equal(state['pid'], String(pid));
  assert.equal(state['run'], '1');
  await assert.rejects(control.request('resize', { rows: 1, cols: 1 }), /no-terminal/);
  await assert.rejects(control.request('signal', { signal: 'x' }), /request/);
  await assert.rejects(control.request('nonsense'), /unknown verb/);
  await assert.rejects(control.request('start'), /already started/);
  control.socket.write(Buffer.alloc(5000, 0x61));
  assert.match((await control.line()) ?? '', /^err kind=request/);
  assert.equal(await control.line(), undefined);
});

test('a non-root user writes to its streams and opens /dev/stdout again', async (t) => {
  const c = new Container(t, {
    user: { uid: 1000, gid: 1000 },
    args: ['sh', '-c', 'id -u; echo direct; echo reopened >/dev/stdout; echo again >>/proc/self/fd/2'],
  });
  const { watch } = await c.start();
  const die = await watch.next('die');
  await c.shimGone();
  assert.equal(c.logText(), '1000\ndirect\nreopened\nagain\n');
  assert.equal(die.pairs['exit-code'], '0');
});

test('a 65th connection is told that the shim is busy, and has its place when another goes', async (t) => {
  const c = new Container(t, { args: ['sleep', '1000'] });
  await c.shim();
  const clients = await Promise.all(Array.from({ length: 64 }, () => c.connect()));
  for (const client of clients) await client.request('hello');
  const late = await c.connect();
  assert.match((await late.line()) ?? '', /^err kind=busy/);
  const [first, second] = clients;
  first?.close();
  assert.equal((await second?.request('hello'))?.['contract'], '1.1');
  assert.equal((await (await c.connect()).request('hello'))['contract'], '1.1');
});

test('a process that ends while its stdin is still being sent gives its client an end and no reset', async (t) => {
  const c = new Container(t, { args: ['sh', '-c', 'head -c 10; echo; echo done'], spec: { stdin: true } });
  await c.shim();
  const client = await c.attach({ stdin: true });
  let failed: Error | undefined;
  client.socket.on('error', (error) => {
    failed = error;
  });
  await (await c.connect()).request('start');
  client.socket.write(Buffer.alloc(50_000, 'x'));
  assert.equal(unframe(await client.rest()).stdout, 'xxxxxxxxxx\ndone\n');
  assert.equal(failed, undefined);
});
