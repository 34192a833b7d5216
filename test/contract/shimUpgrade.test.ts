/** `moored shim-upgrade`: the shims of running containers become this release's, with a daemon and without. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { lines, useDaemon, withDaemon } from '../fixtures/daemon.ts';
import type { Daemon } from '../fixtures/daemon.ts';
import { startTime } from '../fixtures/processes.ts';
import { recordedReleases, RELEASES, unpackEngine } from '../fixtures/releases.ts';
import { Session } from '../fixtures/session.ts';
import type { CliResult } from '../fixtures/session.ts';
import { engineCommand, target } from '../fixtures/target.ts';

const skip = target === 'dockerd' ? 'dockerd has no shims of its own' : false;
const LIVE = { 'live-restore': true };
const COUNT = 'i=0; while :; do i=$((i+1)); echo line $i; usleep 2000; done';
const daemon = useDaemon({ config: LIVE }, async () => {
  if (target !== 'moored') return;
  await daemon.ok('run', '-d', '--name', 'counter', 'busybox', 'sh', '-c', COUNT);
  await daemon.ok('run', '-d', '--name', 'web', '-p', '18080:7', '--health-cmd', 'true', '--health-interval', '100ms', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
  await daemon.ok('run', '-di', '--name', 'shell', 'busybox', 'sh');
  await daemon.ok('run', '-d', '--name', 'phoenix', '--restart', 'always', 'busybox', 'sh', '-c', 'sleep 0.2; exit 3');
});

async function upgrade(subject: Daemon, ...args: string[]): Promise<CliResult> {
  const { command, env } = engineCommand('moored');
  const roots = ['--config-file', subject.configFile, '--data-root', subject.dataRoot, '--exec-root', subject.execRoot];
  const session = new Session(spawn('nsenter', [`--net=/run/netns/${subject.netns}`, command, 'shim-upgrade', ...args, ...roots], { env }), 'moored shim-upgrade');
  session.closeStdin();
  return session.result();
}

const RUNNING = ['counter', 'web', 'shell'];

async function runs(): Promise<string[]> {
  return Promise.all(RUNNING.map(async (name) => {
    const { Id, State, RestartCount, NetworkSettings } = await daemon.inspect(name);
    return `${name} ${Id} ${State.Status} ${State.Pid} ${startTime(State.Pid)} ${State.StartedAt} ${RestartCount} ${JSON.stringify(NetworkSettings)}`;
  }));
}

/** Every line of the counter once, in order. */
async function assertCounted(): Promise<void> {
  const counted = lines(await daemon.ok('logs', 'counter')).map((line) => Number(line.replace('line ', '')));
  assert.ok(counted.length > 10);
  assert.deepEqual(counted, counted.map((_line, index) => index + 1));
}

test('S8: all shims, again and again, under a daemon that notices nothing', { skip, timeout: 120_000 }, async () => {
  const before = await runs();
  const since = String(Date.now() / 1000);
  const attached = daemon.session(['attach', 'shell']);
  const follower = daemon.session(['logs', '-f', '--tail', '1', 'counter']);
  await follower.until(/line \d+\n/);
  for (let i = 0; i < 5; i++) {
    const { code, stdout, stderr } = await upgrade(daemon, '--all');
    assert.deepEqual([code, stderr], [0, ''], stdout);
    for (const name of [...RUNNING, 'phoenix']) assert.match(stdout, new RegExp(`^${name}: \\S+ \\(contract 1\\.\\d+\\) -> \\S+ \\(contract 1\\.\\d+\\)$`, 'm'));
  }
  assert.deepEqual(await runs(), before);
  await assertCounted();
  attached.send('echo $((6 * 7))\n');
  await attached.until(/42/);
  attached.kill();
  follower.kill();
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
  const events = await daemon.ok('events', '--since', since, '--until', String(Date.now() / 1000), '--filter', 'container=counter', '--filter', 'container=shell', '--format', '{{.Action}}');
  assert.deepEqual(lines(events).filter((action) => !action.endsWith('tach')), [], 'nothing is invented');
  assert.equal((await daemon.docker(['exec', 'counter', 'sh', '-c', 'exit 9'])).code, 9);
});

test('S8: without a daemon, by name and by a beginning of the id; the next daemon finds all as it was', { skip, timeout: 120_000 }, async () => {
  const before = await runs();
  const id = (await daemon.inspect('web')).Id;
  await daemon.kill9();
  const { code, stdout } = await upgrade(daemon, 'counter', id.slice(0, 10), 'shell');
  assert.equal(code, 0);
  assert.deepEqual(lines(stdout).map((line) => line.split(':')[0]), ['counter', 'web', 'shell']);
  await daemon.start();
  assert.deepEqual(await runs(), before);
  await assertCounted();
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
});

test('an exec session goes along, and gives its exit code', { skip, timeout: 60_000 }, async () => {
  const session = daemon.session(['exec', '-i', 'counter', 'sh', '-c', 'echo ready; read x; echo "got $x"; exit 7']);
  await session.until(/ready/);
  const { code, stdout } = await upgrade(daemon, 'counter');
  assert.equal(code, 0);
  assert.match(stdout, /^counter, exec session [0-9a-f]{12}: /m);
  session.send('it\n');
  await session.until(/got it/);
  assert.equal((await session.result()).code, 7);
});

test('what cannot be done is said', { skip, timeout: 60_000 }, async () => {
  assert.deepEqual(await upgrade(daemon).then(({ code, stderr }) => [code, stderr]), [2, 'moored shim-upgrade requires the names of containers, or --all\n']);
  assert.deepEqual(await upgrade(daemon, 'nobody').then(({ code, stderr }) => [code, stderr]), [2, 'No such container: nobody\n']);
  await daemon.ok('create', '--name', 'idle', 'busybox', 'true');
  const idle = await upgrade(daemon, 'idle');
  assert.deepEqual([idle.code, idle.stderr], [1, '']);
  assert.match(idle.stdout, /^idle: shim of [0-9a-f]{12} is gone$/m);
});

test('a shim of contract 1.0 says that it cannot, and its container runs on', { skip, timeout: 120_000 }, async () => {
  const [version = ''] = recordedReleases();
  await withDaemon({ config: LIVE }, async (other) => {
    await other.kill9();
    other.program = unpackEngine(path.join(RELEASES, version), path.join(other.dir, 'release'));
    await other.start();
    await other.ok('run', '-d', '--name', 'old', 'busybox', 'sleep', '600');
    const { Pid } = (await other.inspect('old')).State;
    const { code, stdout } = await upgrade(other, '--all');
    assert.equal(code, 1);
    assert.match(stdout, new RegExp(`^old: shim of [0-9a-f]{12} \\(version ${version}, contract 1\\.0\\) cannot replace itself: it stays until its container stops$`, 'm'));
    assert.equal((await other.inspect('old')).State.Pid, Pid);
  });
});
