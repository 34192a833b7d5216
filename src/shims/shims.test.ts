/** The real shim with the real runtime: what the daemon's side says is what the shim does. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Duplex } from 'node:stream';
import type { TestContext } from 'node:test';
import { isKind } from '../base/errors.ts';
import type { ContainerShimSpec, ExecShimSpec, JournalEntry, ShimHandle, ShimPort, ShimWatch } from '../core/ports/shim.ts';
import { run } from '../sys/spawn.ts';
import { createShims } from './shims.ts';

const SHIM = join(import.meta.dirname, '../../shim/build/moored-shim');
const RUNC = '/usr/sbin/runc';
const SIGTERM = 15;
const SIGKILL = 9;

let folder = '';
let counter = 0;
const shims: ShimPort = createShims({ shim: SHIM });

before(async () => {
  assert.equal((await run(['make', '-s', '-C', join(SHIM, '../..')])).code, 0, 'the shim is built');
  folder = await mkdtemp(join(tmpdir(), 'moored-shims-'));
  await mkdir(join(folder, 'rootfs/bin'), { recursive: true });
  for (const path of ['proc', 'dev', 'sys', 'tmp']) await mkdir(join(folder, 'rootfs', path));
  await copyFile('/bin/busybox', join(folder, 'rootfs/bin/busybox'));
  for (const applet of ['sh', 'sleep', 'cat', 'echo', 'stty', 'true']) await symlink('busybox', join(folder, 'rootfs/bin', applet));
});

after(() => rm(folder, { recursive: true, force: true }));

interface Made {
  readonly dir: string;
  readonly id: string;
  readonly data: string;
  readonly spec: ContainerShimSpec;
  readonly log: string;
}

interface Wanted {
  readonly args: readonly string[];
  readonly terminal?: boolean;
  readonly spec?: Partial<ContainerShimSpec>;
}

/** The folders and the bundle of a container; at the test's end nothing of it is left, whatever happened. */
async function container(t: TestContext, { args, terminal = false, spec = {} }: Wanted): Promise<Made> {
  const id = `mst${process.pid}x${counter++}`;
  // Longer than a socket's path may be.
  const dir = join(folder, 'a-rather-long-exec-root-'.repeat(4), 'containers', id);
  const data = join(folder, 'data', id);
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await mkdir(data, { recursive: true });
  await run([RUNC, 'spec'], { cwd: dir });
  const config: unknown = JSON.parse(await readFile(join(dir, 'config.json'), 'utf8'));
  assert.ok(typeof config === 'object' && config !== null && 'process' in config && 'root' in config);
  const bundle = {
    ...config,
    root: { path: join(folder, 'rootfs'), readonly: true },
    process: { ...Object(config.process), args, terminal },
  };
  await writeFile(join(dir, 'config.json'), JSON.stringify(bundle));
  const runtimeRoot = join(folder, 'runc');
  t.after(async () => {
    const status = await shims.readStatus(dir);
    if (status.kind === 'ok' && (await shims.liveness(dir)).shim !== 'gone') process.kill(status.value.shimPid, 'SIGKILL');
    await run([RUNC, '--root', runtimeRoot, 'delete', '--force', id]);
  });
  const log = join(data, 'x.log');
  return {
    dir, id, data, log,
    spec: {
      id, runtime: RUNC, runtimeRoot, terminal, stdin: false, exitPath: join(data, 'exit'), journalPath: join(data, 'journal'),
      log: { kind: 'json-file', path: log, maxSize: 0, maxFile: 1, compress: false, mode: 'blocking' },
      cgroup: { version: 1 }, restart: { name: 'no', maximumRetryCount: 0 }, liveRestore: true, stopSignal: SIGTERM, stopTimeoutMs: 1000,
      ...spec,
    },
  };
}

async function watchAll(handle: ShimHandle, since = 0n): Promise<{ entries: JournalEntry[]; watch: ShimWatch }> {
  const entries: JournalEntry[] = [];
  return { entries, watch: await handle.watch({ since, onEntry: (entry) => entries.push(entry) }) };
}

async function readToEnd(stream: Duplex): Promise<string> {
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  stream.destroy();
  return Buffer.concat(chunks).toString();
}

const frame = (stream: number, text: string): string => `${String.fromCharCode(stream)}\0\0\0\0\0\0${String.fromCharCode(text.length)}${text}`;

test('a container from its start to its end', async (t) => {
  const made = await container(t, { args: ['sh', '-c', 'echo out; echo err >&2; exit 7'] });
  const { handle, pid } = await shims.launch(made.dir, made.spec);
  assert.ok(pid > 0);
  const hello = await handle.hello();
  assert.match(hello.contract, /^1\./);
  assert.equal((await handle.state()).state, 'created');
  const alive = await shims.liveness(made.dir);
  assert.deepEqual([alive.shim, alive.init, alive.status.kind], ['answering', 'alive', 'ok']);
  // More at once than it takes connections: all are answered, one after another.
  const crowd = await Promise.all(Array.from({ length: 300 }, () => handle.state()));
  assert.ok(crowd.every((status) => status.pid === pid));
  const { entries, watch } = await watchAll(handle);
  const attached = await handle.attach({ stdin: false, stdout: true, stderr: true });
  const output = readToEnd(attached);
  assert.equal(await handle.start(), pid);
  assert.deepEqual(await watch.ended, { kind: 'ended' });
  assert.deepEqual(new Set([frame(1, 'out\n') + frame(2, 'err\n'), frame(2, 'err\n') + frame(1, 'out\n')]).has(await output), true);
  assert.deepEqual(entries.map((entry) => entry.kind), ['start', 'die', 'end']);
  const exit = await shims.readExit(made.spec.exitPath);
  assert.ok(exit.kind === 'ok');
  assert.equal(exit.value.exitCode, 7);
  assert.equal(exit.value.final, true);
  assert.ok(exit.value.finishedAt >= exit.value.startedAt && exit.value.startedAt > 0n);
  const journal = await shims.readJournal(made.spec.journalPath, 1n);
  assert.deepEqual(journal.entries.map((entry) => entry.kind), ['die', 'end']);
  assert.match(await readFile(made.log, 'utf8'), /^\{"log":"out\\n","stream":"stdout","time":"[^"]+Z"\}$/m);
  await gone(made.dir);
  assert.equal((await shims.liveness(made.dir)).init, 'gone');
  await assert.rejects(shims.connect(made.dir), (error) => isKind(error, 'not-found'));
});

/** The shim has left: its socket refuses. */
async function gone(dir: string): Promise<void> {
  while ((await shims.liveness(dir)).shim !== 'gone') await new Promise((resolve) => setImmediate(resolve));
}

test('a container that cannot be created is an error in the words of Docker, and nothing stays', async (t) => {
  const made = await container(t, { args: ['/no/such/thing'] });
  const before = await readdir(made.dir);
  await assert.rejects(shims.launch(made.dir, made.spec), (error) => {
    assert.ok(isKind(error, 'invalid'), String(error));
    assert.match(error.message, /^failed to create task for container: failed to create shim task: OCI runtime create failed: .*no such file or directory: unknown$/);
    return true;
  });
  assert.deepEqual(await readdir(made.dir), before);
  const list = await run([RUNC, '--root', made.spec.runtimeRoot, 'list', '-q']);
  assert.ok(!list.stdout.includes(made.id));
});

test('a spec that the shim refuses, a shim that is not there, and an abort', async (t) => {
  const made = await container(t, { args: ['sleep', '100'] });
  const before = await readdir(made.dir);
  await assert.rejects(shims.launch(made.dir, { ...made.spec, stopSignal: 99 }), /stop-signal/);
  await assert.rejects(createShims({ shim: '/nonexistent' }).launch(made.dir, made.spec), /cannot start \/nonexistent/);
  await assert.rejects(createShims({ shim: '/bin/false' }).launch(made.dir, made.spec), /died at its start/);
  const abort = new AbortController();
  const launching = shims.launch(made.dir, made.spec, { signal: abort.signal });
  setImmediate(() => abort.abort(new Error('enough')));
  await assert.rejects(launching, /enough/);
  assert.deepEqual(await readdir(made.dir), before);
  const list = await run([RUNC, '--root', made.spec.runtimeRoot, 'list', '-q']);
  assert.ok(!list.stdout.includes(made.id));
});

test('a shim that hangs at its start is ended and what it made is taken back', { timeout: 30_000 }, async (t) => {
  const made = await container(t, { args: ['sleep', '100'] });
  const before = await readdir(made.dir);
  const fake = join(folder, 'hangs');
  await writeFile(fake, '#!/bin/sh\ncd "$2"; touch status; trap "" TERM; sleep 60\n');
  await chmod(fake, 0o755);
  await assert.rejects(createShims({ shim: fake }).launch(made.dir, made.spec, { signal: AbortSignal.timeout(200) }));
  assert.deepEqual(await readdir(made.dir), before);
});

test('stdin reaches the container, and its end too', async (t) => {
  const made = await container(t, { args: ['cat'], spec: { stdin: true, stdinOnce: true } });
  const { handle } = await shims.launch(made.dir, made.spec);
  const attached = await handle.attach({ stdin: true, stdout: true, stderr: true });
  await handle.start();
  const output = readToEnd(attached);
  attached.end('hello');
  assert.equal(await output, frame(1, 'hello'));
  const { watch } = await watchAll(handle).catch(() => ({ watch: undefined }));
  await watch?.ended;
  await gone(made.dir);
  const exit = await shims.readExit(made.spec.exitPath);
  assert.equal(exit.kind === 'ok' && exit.value.exitCode, 0);
});

test('signal, stop, and what is said when nothing runs', async (t) => {
  const made = await container(t, { args: ['sh', '-c', 'trap "exit 5" USR1; while :; do sleep 0.1; done'] });
  const { handle } = await shims.launch(made.dir, made.spec);
  await handle.start();
  const { entries, watch } = await watchAll(handle);
  await handle.policy({ restart: { name: 'always', maximumRetryCount: 0 }, stopTimeoutMs: 5 });
  await assert.rejects(handle.resize(1, 1), (error) => isKind(error, 'invalid'));
  await new Promise((resolve) => setTimeout(resolve, 300)); // until the trap stands: nothing tells
  await handle.signal(10);
  await entry(entries, (one) => one.kind === 'start' && one.run === 2);
  const die = entries.find((one) => one.kind === 'die');
  assert.ok(die?.kind === 'die' && die.restarting);
  assert.equal(die.exitCode, 5);
  await handle.stop({ signal: SIGTERM, timeoutMs: 100 });
  assert.deepEqual(await watch.ended, { kind: 'ended' });
  const last = entries.findLast((one) => one.kind === 'die');
  assert.ok(last?.kind === 'die' && !last.restarting);
  assert.ok(last.exitCode === 137);
  await gone(made.dir);
  await assert.rejects(handle.signal(SIGKILL), (error) => isKind(error, 'not-found'));
});

async function entry(entries: readonly JournalEntry[], wanted: (one: JournalEntry) => boolean): Promise<void> {
  while (!entries.some(wanted)) await new Promise((resolve) => setImmediate(resolve));
}

test('a terminal: raw bytes, a size', async (t) => {
  const made = await container(t, { args: ['sh', '-c', 'read x; stty size'], terminal: true, spec: { stdin: true, consoleSize: { rows: 24, cols: 80 } } });
  const { handle } = await shims.launch(made.dir, made.spec);
  const attached = await handle.attach({ stdin: true, stdout: true, stderr: true });
  await handle.start();
  await handle.resize(33, 111);
  const output = readToEnd(attached);
  attached.write('go\n');
  assert.match(await output, /^go\r\n33 111\r\n$/);
});

test('exec sessions', async (t) => {
  const made = await container(t, { args: ['sleep', '100'] });
  const { handle } = await shims.launch(made.dir, made.spec);
  await handle.start();
  const session = async (name: string, args: readonly string[]): Promise<{ dir: string; spec: ExecShimSpec }> => {
    const dir = join(made.dir, 'execs', name);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    const process = { args, cwd: '/', env: ['PATH=/bin'], user: { uid: 0, gid: 0 } };
    await writeFile(join(dir, 'process.json'), JSON.stringify(process));
    const { id, runtime, runtimeRoot } = made.spec;
    return { dir, spec: { id, execId: name, runtime, runtimeRoot, terminal: false, stdin: true, exitPath: join(dir, 'exit') } };
  };
  const good = await session('e1', ['sh', '-c', 'cat; exit 3']);
  const exec = await shims.launchExec(good.dir, good.spec);
  const attached = await exec.handle.attach({ stdin: true, stdout: true, stderr: true });
  assert.ok((await exec.handle.start()) > 0);
  const output = readToEnd(attached);
  attached.end('in');
  assert.equal(await output, frame(1, 'in'));
  await gone(good.dir);
  const exit = await shims.readExit(good.spec.exitPath);
  assert.equal(exit.kind === 'ok' && exit.value.exitCode, 3);

  const bad = await session('e2', ['/no/such/thing']);
  const failing = await shims.launchExec(bad.dir, bad.spec);
  await assert.rejects(failing.handle.start(), (error) => {
    assert.ok(isKind(error, 'invalid'), String(error));
    assert.match(error.message, /^OCI runtime exec failed: .*no such file or directory: unknown$/);
    return true;
  });
  await gone(bad.dir);
  const failed = await shims.readExit(bad.spec.exitPath);
  assert.equal(failed.kind === 'ok' && failed.value.exitCode, 127);
  await handle.stop({ signal: SIGKILL, timeoutMs: -1 });
  await gone(made.dir);
});

test('a shim that died is replaced; the container runs on and its log too', async (t) => {
  const made = await container(t, { args: ['sh', '-c', 'while :; do echo tick; sleep 0.05; done'] });
  const first = await shims.launch(made.dir, made.spec);
  await first.handle.start();
  const { watch } = await watchAll(first.handle);
  const { pid: shimPid } = await first.handle.hello();
  process.kill(shimPid, 'SIGKILL');
  assert.equal((await watch.ended).kind, 'lost');
  const orphan = await shims.liveness(made.dir);
  assert.deepEqual([orphan.shim, orphan.init], ['gone', 'alive']);
  const { handle } = await shims.adopt(made.dir);
  const { entries, watch: again } = await watchAll(handle);
  assert.equal((await handle.state()).pid, first.pid);
  const size = (await readFile(made.log)).length;
  while ((await readFile(made.log)).length <= size) await new Promise((resolve) => setImmediate(resolve));
  await handle.stop({ signal: SIGKILL, timeoutMs: -1 });
  assert.equal((await again.ended).kind, 'ended');
  const die = entries.find((one) => one.kind === 'die');
  assert.ok(die?.kind === 'die' && die.exitCode === 'unknown');
  const seqs = entries.map((one) => one.seq);
  assert.deepEqual(seqs, seqs.toSorted((a, b) => Number(a - b)));
});

test('a shim that hangs is silent, not gone, and costs a bounded time', async (t) => {
  const made = await container(t, { args: ['sleep', '100'] });
  const { handle } = await shims.launch(made.dir, made.spec);
  await handle.start();
  const { pid } = await handle.hello();
  process.kill(pid, 'SIGSTOP');
  const alive = await shims.liveness(made.dir);
  process.kill(pid, 'SIGCONT');
  assert.deepEqual([alive.shim, alive.init], ['silent', 'alive']);
  assert.equal((await shims.liveness(made.dir)).shim, 'answering');
  await handle.stop({ signal: SIGKILL, timeoutMs: -1 });
  await gone(made.dir);
});

test('a port socket handed over is held by the shim', async (t) => {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const handleFd = Reflect.get(Object(Reflect.get(server, '_handle')), 'fd');
  const address = server.address();
  assert.ok(typeof handleFd === 'number' && typeof address === 'object' && address !== null);
  const made = await container(t, { args: ['sleep', '100'], spec: { ports: [{ kind: 'reserve', fd: handleFd }] } });
  const { handle } = await shims.launch(made.dir, made.spec);
  await new Promise((resolve) => server.close(resolve));
  const second = createServer();
  second.listen(address.port, '127.0.0.1');
  const [error]: unknown[] = await once(second, 'error');
  assert.equal(Reflect.get(Object(error), 'code'), 'EADDRINUSE');
  await handle.stop({ signal: SIGKILL, timeoutMs: -1 });
  await gone(made.dir);
});
