/**
 * Law 5 and C3, beyond what test/contract/broken shows: records of networks, volumes, images and the engine, strangers in the
 * place of a shim, runtimes that fail or hang, a disk that hangs. Nothing that runs is harmed, everything can be stopped and
 * removed, nobody is delayed, and `moored doctor` has a word on it.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, lines, useDaemon } from '../fixtures/daemon.ts';
import { layeredArchive } from '../fixtures/images.ts';
import { alive, ended, eventually } from '../fixtures/processes.ts';
import { engineCommand } from '../fixtures/target.ts';
import { COUNTING, numberedLines } from './witnesses/counter.ts';
import { randomFrom } from './random.ts';

const tools = path.join('/tmp', `moored-crash-broken-${process.pid}`);
const runtime = path.join(tools, 'runc');
const runtimes = { odd: { path: runtime } };
const daemon = useDaemon({ config: { 'live-restore': true, runtimes } }, async () => {
  await daemon.ok('run', '-d', '--name', 'bystander', '-p', '18090:7', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
});

/** What the odd runtime does: `well`, `fails`, `hangs`. */
const runtimeBehaves = (how: string): void => writeFileSync(path.join(tools, 'mood'), how);

before(() => {
  mkdirSync(tools, { recursive: true });
  writeFileSync(runtime, `#!/bin/sh\ncase "$(cat ${tools}/mood)" in\nfails) echo 'it fails' >&2; exit 1;;\nhangs) exec sleep 1000;;\nesac\nexec /usr/sbin/runc "$@"\n`);
  chmodSync(runtime, 0o755);
  runtimeBehaves('well');
});
after(() => rmSync(tools, { recursive: true, force: true }));

async function startQuickly(): Promise<void> {
  const began = performance.now();
  await daemon.start();
  const took = performance.now() - began;
  assert.ok(took < 15_000, `the start took ${Math.round(took)} ms`);
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_090)).stdout, 'hello\n');
}

/** What the doctor says, in text. */
async function doctor(): Promise<string> {
  const { command, env } = engineCommand('moored');
  const child = spawn('nsenter', [`--net=/run/netns/${daemon.netns}`, command, 'doctor', '--data-root', daemon.dataRoot, '--exec-root', daemon.execRoot, '--config-file', daemon.configFile], { env: { ...process.env, ...env } });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return text;
}

const damages: readonly [what: string, damage: (file: string) => void][] = [
  ['damaged', (file) => writeFileSync(file, '{"schema": 1,')],
  ['cut', (file) => truncateSync(file)],
  ['missing', (file) => rmSync(file)],
  ['of a newer release', (file) => writeFileSync(file, '{"schema": 99}')],
];

test('records of networks and volumes in use: what runs is reached, and can be stopped and removed', async () => {
  const cases: { what: string; id: string; pid: number; port: number }[] = [];
  const files: string[] = [];
  for (const [index, [what]] of damages.entries()) {
    const name = `hurt${index}`;
    const network = await daemon.ok('network', 'create', name);
    const port = 18_100 + index;
    const id = await daemon.ok('run', '-d', '--network', name, '-v', `${name}:/data`, '-p', `${port}:7`, 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
    cases.push({ what, id, port, pid: (await daemon.inspect(id)).State.Pid as number });
    files.push(path.join(daemon.dataRoot, 'networks', `${network}.json`), path.join(daemon.dataRoot, 'volumes', name, 'volume.json'));
  }
  await daemon.kill9();
  for (const [index, file] of files.entries()) damages[index >> 1]?.[1](file);
  await startQuickly();
  for (const { what, id, pid, port } of cases) {
    const { State } = await daemon.inspect(id);
    assert.equal(State.Pid, pid, what);
    assert.equal((await daemon.talk('tcp', '127.0.0.1', port)).stdout, 'hello\n', `${what}: its port does not answer`);
    assert.equal(await daemon.ok('exec', id, 'echo', 'inside'), 'inside');
  }
  await daemon.ok('stop', '-t', '0', ...cases.map(({ id }) => id));
  for (const { what, id, pid, port } of cases) {
    assert.equal(alive(pid), false, what);
    await daemon.ok('rm', '-v', id);
    assert.equal((await daemon.talk('bind-tcp', '0.0.0.0', port)).code, 0, `${what}: its port is not free`);
  }
  // What the newer release wrote is left to it; the others' names are free again.
  for (const index of [0, 1, 2]) {
    await daemon.docker(['volume', 'rm', `hurt${index}`]);
    await daemon.ok('volume', 'create', `hurt${index}`);
    await daemon.ok('volume', 'rm', `hurt${index}`);
  }
  await daemon.kill9();
  for (const folder of ['networks', 'volumes']) {
    for (const left of readdirSync(path.join(daemon.dataRoot, folder)).filter((name) => files.some((file) => name.startsWith(path.basename(file, '.json')) || file.includes(`/${name}/`)))) rmSync(path.join(daemon.dataRoot, folder, left), { recursive: true });
  }
  await startQuickly();
});

test('records of images and of the engine: what runs goes on, the others are there', async () => {
  await daemon.ok('load', '-q', '-i', await layeredArchive());
  const image = await daemon.ok('images', '-q', '--no-trunc', 'busybox:layered');
  const id = await daemon.ok('run', '-d', 'busybox:layered', 'sleep', '600');
  const { Pid } = (await daemon.inspect(id)).State;
  const record = path.join(daemon.dataRoot, 'images/records', `${image.replace('sha256:', '')}.json`);
  const whole = readFileSync(record);
  // An image without its record is none: that one comes last.
  for (const [what, damage] of damages.toSorted(([a], [b]) => Number(a === 'missing') - Number(b === 'missing'))) {
    await daemon.kill9();
    damage(record);
    truncateSync(path.join(daemon.dataRoot, 'engine-id'));
    await startQuickly();
    assert.equal((await daemon.inspect(id)).State.Pid, Pid, what);
    assert.equal(await daemon.ok('run', '--rm', 'busybox', 'echo', 'works'), 'works');
    assert.notEqual((await daemon.docker(['run', '--rm', 'busybox:layered', 'true'])).code, 0, `${what}: the image is used all the same`);
    assert.equal(await daemon.ok('exec', id, 'cat', '/etc/motd'), 'second layer');
    if (what !== 'missing') writeFileSync(record, whole);
  }
  await daemon.ok('restart', '-t', '0', id);
  await daemon.ok('rm', '-f', id);
});

test('a container whose record is missing: listed with the reason, stopped, removed', async () => {
  const id = await daemon.ok('run', '-d', '--name', 'unrecorded', '-p', '18120:7', 'busybox', 'sleep', '600');
  const { Pid } = (await daemon.inspect(id)).State;
  await daemon.kill9();
  rmSync(path.join(daemon.dataRoot, 'containers', id, 'config.json'));
  await startQuickly();
  assert.match((await daemon.inspect(id)).State.Error as string, /its record is missing/);
  assert.ok(lines(await daemon.ok('ps', '-q', '--no-trunc')).includes(id));
  assert.match(await doctor(), new RegExp(`${id.slice(0, 12)}.*record`, 's'));
  await daemon.ok('stop', '-t', '0', id);
  await ended(Pid as number);
  await daemon.ok('rm', id);
});

/** Somebody who answers on a shim's socket and is none; with the shim's lock on its folder, or without. */
async function stranger(folder: string, locked: boolean): Promise<ChildProcess> {
  const script = `const net = require('node:net'), fs = require('node:fs'); process.chdir(${JSON.stringify(folder)}); fs.rmSync('shim.sock', { force: true });
    net.createServer((socket) => { socket.on('error', () => {}); socket.write('I am not it\\n'); }).listen('shim.sock', () => console.log('ready'));`;
  const argv = locked ? ['flock', '--no-fork', folder, process.execPath, '-e', script] : [process.execPath, '-e', script];
  const child = spawn(argv[0] ?? '', argv.slice(1), { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += String(chunk)));
  await eventually(() => said.includes('ready'), 'the stranger to listen');
  return child;
}

for (const locked of [false, true]) {
  test(`a stranger on shim.sock ${locked ? 'that holds the lock too' : 'alone'}: nobody waits for it, and the container can be stopped and removed`, async () => {
    const id = await daemon.ok('run', '-d', '--name', 'strange', 'busybox', 'sleep', '600');
    const { Pid } = (await daemon.inspect(id)).State;
    await daemon.kill9();
    const shim = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${Pid}/status`, 'utf8'))?.[1]);
    process.kill(shim, 'SIGKILL');
    await ended(shim);
    const other = await stranger(path.join(daemon.execRoot, 'containers', id), locked);
    try {
      await startQuickly();
      const { State } = await daemon.inspect(id);
      assert.equal(State.Pid, Pid);
      if (locked) assert.notEqual(State.Error, '', 'no reason is given');
      await daemon.ok('stop', '-t', '0', id);
      assert.equal(alive(Pid as number), false);
      await daemon.ok('rm', id);
    } finally {
      try {
        process.kill(-(other.pid ?? 0), 'SIGKILL');
      } catch {
        // It was ended with the container.
      }
    }
  });
}

test('a runtime that fails: what runs is listed, stopped and removed', async () => {
  const id = await daemon.ok('run', '-d', '--runtime', 'odd', '--name', 'failing', 'busybox', 'sleep', '600');
  const { Pid } = (await daemon.inspect(id)).State;
  runtimeBehaves('fails');
  try {
    await daemon.kill9();
    await startQuickly();
    assert.equal((await daemon.inspect(id)).State.Pid, Pid);
    const { code, stderr } = await daemon.docker(['run', '--rm', '--runtime', 'odd', 'busybox', 'true']);
    assert.notEqual(code, 0);
    assert.match(stderr, /it fails/);
    await daemon.ok('stop', '-t', '0', id);
    assert.equal(alive(Pid as number), false);
    await daemon.ok('rm', id);
  } finally {
    runtimeBehaves('well');
  }
});

test('a runtime that hangs: nobody waits for it, and what runs can be stopped and removed', async () => {
  const id = await daemon.ok('run', '-d', '--runtime', 'odd', '--name', 'hanging', 'busybox', 'sleep', '600');
  const { Pid } = (await daemon.inspect(id)).State;
  runtimeBehaves('hangs');
  try {
    await daemon.kill9();
    await startQuickly();
    assert.equal((await daemon.inspect(id)).State.Pid, Pid);
    const began = performance.now();
    await daemon.docker(['stop', '-t', '0', id]);
    assert.equal(alive(Pid as number), false);
    assert.ok(performance.now() - began < 40_000, 'the stop waited for the runtime');
    assert.equal(await daemon.ok('run', '--rm', 'busybox', 'echo', 'works'), 'works');
    await eventually(async () => (await daemon.docker(['rm', '-f', id])).code === 0, 'the container to be removed', 60_000);
  } finally {
    runtimeBehaves('well');
  }
});

/** A disk that hangs: an ext4 of its own that is frozen. Whatever happens here, a watchdog thaws it. */
function frozen(folder: string, mostSeconds: number): Disposable {
  const watchdog = spawn('sh', ['-c', `sleep ${mostSeconds}; fsfreeze -u ${folder}`], { stdio: 'ignore', detached: true });
  watchdog.unref();
  execFileSync('fsfreeze', ['-f', folder]);
  return { [Symbol.dispose]: () => {
    try {
      execFileSync('fsfreeze', ['-u', folder], { stdio: 'ignore' });
    } catch {
      // The watchdog was first.
    }
    if (watchdog.exitCode === null && watchdog.pid !== undefined) process.kill(-watchdog.pid, 'SIGKILL');
  } };
}

test('C3: a data root that hangs: what runs is seen and reached meanwhile, and all is well when it goes on', async () => {
  const subject = new Daemon({ config: { 'live-restore': true } });
  const disk = path.join(tools, 'disk');
  try {
    execFileSync('truncate', ['-s', '128M', disk]);
    execFileSync('mkfs.ext4', ['-q', '-F', disk]);
    mkdirSync(subject.dataRoot);
    execFileSync('mount', ['-o', 'loop', disk, subject.dataRoot]);
    await subject.prepare();
    const id = await subject.ok('run', '-d', '--name', 'writer', 'busybox', 'sh', '-c', COUNTING);
    const other = await subject.ok('run', '-d', '--name', 'other', '-p', '18130:7', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
    const { Pid } = (await subject.inspect(other)).State;
    let stopped: Promise<unknown>;
    {
      using hang = frozen(subject.dataRoot, 9);
      assert.ok(hang);
      assert.equal(((await subject.request('GET', '/containers/json')).json() as unknown[]).length, 2);
      assert.equal((await subject.inspect(id)).State.Running, true);
      assert.equal((await subject.talk('tcp', '127.0.0.1', 18_130)).stdout, 'hello\n');
      stopped = subject.request('POST', `/containers/${other}/stop?t=0`);
    }
    await stopped;
    assert.equal(alive(Pid as number), false);
    assert.equal((await subject.inspect(other)).State.Status, 'exited');
    const before = (await numberedLines({ daemon: subject, random: randomFrom(1) }, id)).numbers.length;
    await eventually(async () => (await numberedLines({ daemon: subject, random: randomFrom(1) }, id)).numbers.length > before + 5, 'the log to go on');
    const { numbers } = await numberedLines({ daemon: subject, random: randomFrom(1) }, id);
    assert.deepEqual(numbers, numbers.map((_, index) => index + 1), 'lines are missing');
    await subject.crash();
    assert.equal((await subject.inspect(id)).State.Running, true);
    await subject.ok('rm', '-f', id, other);
    await subject.assertClean();
  } finally {
    await subject.dispose();
    rmSync(disk, { force: true });
  }
});
