/**
 * What others break behind our back: mounts, pins, runtimes, freezers, disks. Each container stays listed and can be
 * stopped, and none delays another (B8, B15, C3 of docs/continuity.md).
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, lines, useDaemon } from '../fixtures/daemon.ts';
import { alive, ended, eventually, startTime } from '../fixtures/processes.ts';
import { mooredOnly, target } from '../fixtures/target.ts';

const only = mooredOnly('another architecture');
const SERVE = ['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'];
/** One line every 20 ms, until it is stopped. */
const COUNT = ['busybox', 'sh', '-c', 'trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done'];

const runtimes = path.join('/tmp', `moored-broken-${process.pid}`);
const daemon = useDaemon({ config: { 'live-restore': true, runtimes: { copy: { path: path.join(runtimes, 'runc') }, absent: { path: '/nonexistent/runc' } } } }, async () => {
  if (target === 'moored') await daemon.ok('run', '-d', '--name', 'bystander', '-p', '18080:7', ...SERVE);
});

before(() => {
  mkdirSync(runtimes, { recursive: true });
  copyFileSync('/usr/sbin/runc', path.join(runtimes, 'runc'));
});
after(() => rmSync(runtimes, { recursive: true, force: true }));

const running = async (name: string): Promise<{ pid: number; born: string | undefined }> => {
  const { State } = await daemon.inspect(name);
  assert.equal(State.Status, 'running', JSON.stringify(State));
  return { pid: State.Pid, born: startTime(State.Pid) };
};

/** The bystander answers, and the daemon says so without delay. */
async function assertBystander(): Promise<void> {
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
  await running('bystander');
}

/** Restarts the daemon, which no broken container may delay. */
async function crashQuickly(): Promise<void> {
  await daemon.kill9();
  const started = performance.now();
  await daemon.start();
  const took = performance.now() - started;
  assert.ok(took < 10_000, `the start took ${Math.round(took)} ms`);
  await assertBystander();
}

const mountPoints = (): string[] => lines(readFileSync('/proc/self/mountinfo', 'utf8')).map((line) => line.split(' ')[4] ?? '');

/** Takes a container's root filesystem from the host's view; the container keeps its own. */
function unmountRoot(subject: Daemon, id: string): void {
  const root = mountPoints().find((point) => point.startsWith(subject.dataRoot) && point.includes(id) && point.endsWith('merged'));
  execFileSync('umount', ['-l', root ?? assert.fail('no root is mounted')]);
}

test('a root filesystem that is unmounted behind our back', only, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'rootless', ...COUNT);
  const earlier = await running('rootless');
  unmountRoot(daemon, id);
  await crashQuickly();
  assert.deepEqual(await running('rootless'), earlier);
  assert.equal(await daemon.ok('exec', id, 'echo', 'inside'), 'inside');
  assert.match(await daemon.ok('logs', '--tail', '1', id), /^line \d/);
  await daemon.ok('restart', '-t', '1', id);
  await running('rootless');
  await daemon.ok('stop', '-t', '1', id);
  await daemon.ok('rm', id);
});

test('a root filesystem that is gone when a policy restarts the container', only, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'headless', '--restart', 'always', 'busybox', 'sleep', '600');
  const { pid } = await running('headless');
  await daemon.kill9();
  unmountRoot(daemon, id);
  process.kill(pid, 'SIGKILL');
  await ended(pid);
  await daemon.start();
  await assertBystander();
  const { Status } = await daemon.untilState(id, (state) => ['restarting', 'running', 'exited'].includes(state.Status));
  assert.notEqual(Status, 'exited');
  await daemon.ok('stop', '-t', '0', id);
  assert.equal((await daemon.inspect(id)).State.Status, 'exited');
  await daemon.ok('start', id);
  await running('headless');
  await daemon.ok('rm', '-f', id);
});

test('a network namespace whose pin is gone', only, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'unpinned', '-p', '18081:7', ...SERVE);
  const earlier = await running('unpinned');
  execFileSync('umount', ['-l', path.join(daemon.execRoot, 'containers', id, 'netns')]);
  await crashQuickly();
  assert.deepEqual(await running('unpinned'), earlier);
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_081)).stdout, 'hello\n');
  assert.equal(await daemon.ok('exec', id, 'echo', 'inside'), 'inside');
  await daemon.ok('restart', '-t', '0', id);
  await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', 18_081)).code === 0, 'the server after its restart');
  execFileSync('umount', ['-l', path.join(daemon.execRoot, 'containers', id, 'netns')]);
  rmSync(path.join(daemon.execRoot, 'containers', id, 'netns'));
  await daemon.ok('stop', '-t', '0', id);
  await daemon.ok('rm', id);
});

test('a runtime that is not there', only, async () => {
  const { code, stderr } = await daemon.docker(['run', '--rm', '--runtime', 'absent', 'busybox', 'true']);
  assert.notEqual(code, 0);
  assert.match(stderr, /\/nonexistent\/runc/);
  assert.equal(await daemon.ok('ps', '-aq', '--filter', 'status=created'), '');
  await assertBystander();
});

test('a runtime that goes away under a running container', only, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'orphaned', '--runtime', 'copy', ...COUNT);
  const earlier = await running('orphaned');
  rmSync(path.join(runtimes, 'runc'));
  try {
    await crashQuickly();
    assert.deepEqual(await running('orphaned'), earlier);
    const { code, stdout, stderr } = await daemon.docker(['exec', id, 'true']);
    assert.notEqual(code, 0);
    assert.match(stdout + stderr, /OCI runtime exec failed: .*moored-broken-\d+\/runc.*no such file/);
    assert.match(await daemon.ok('logs', '--tail', '1', id), /^line \d/);
    await daemon.ok('stop', '-t', '1', id);
    assert.equal(alive(earlier.pid), false);
    assert.equal((await daemon.inspect(id)).State.Status, 'exited');
    await daemon.ok('rm', id);
  } finally {
    copyFileSync('/usr/sbin/runc', path.join(runtimes, 'runc'));
  }
});

/** The freezer of a container, whichever version of cgroups there is. */
function freeze(id: string, frozen: boolean): void {
  const v1 = `/sys/fs/cgroup/freezer/moored/${id}/freezer.state`;
  if (existsSync(v1)) {
    writeFileSync(v1, frozen ? 'FROZEN' : 'THAWED');
    return;
  }
  writeFileSync(`/sys/fs/cgroup/moored/${id}/cgroup.freeze`, frozen ? '1' : '0');
}

test('B8: frozen while away, thawed while away', only, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'cold', ...COUNT);
  await daemon.kill9();
  freeze(id, true);
  await daemon.start();
  assert.deepEqual((({ Status, Paused, Running }) => [Status, Paused, Running])((await daemon.inspect(id)).State), ['paused', true, true]);
  await daemon.kill9();
  freeze(id, false);
  await daemon.start();
  assert.equal((await daemon.inspect(id)).State.Status, 'running');
  await daemon.ok('pause', id);
  await daemon.crash();
  assert.equal((await daemon.inspect(id)).State.Status, 'paused');
  await daemon.ok('unpause', id);
  await running('cold');
  await daemon.ok('rm', '-f', id);
});

test('B8: frozen or thawed behind the back of a daemon that runs', only, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'chilled', ...COUNT);
  const { pid } = await running('chilled');
  freeze(id, true);
  await daemon.ok('stop', '-t', '2', id);
  assert.equal(alive(pid), false);
  await daemon.ok('start', id);
  const again = await running('chilled');
  freeze(id, true);
  await daemon.ok('kill', id);
  await ended(again.pid);
  await daemon.ok('start', id);
  await daemon.ok('pause', id);
  freeze(id, false);
  await daemon.ok('unpause', id);
  await running('chilled');
  freeze(id, true);
  await daemon.ok('rm', '-f', id);
});

/** A daemon whose data root is a small filesystem of its own. */
async function withSmallDisk(body: (small: Daemon) => Promise<void>): Promise<void> {
  const small = new Daemon({ config: { 'live-restore': true } });
  try {
    mkdirSync(small.dataRoot);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=48m', 'small', small.dataRoot]);
    await small.prepare();
    await body(small);
  } finally {
    await small.dispose();
  }
}

/** Takes all room there is. */
const fill = (folder: string): void => {
  try {
    execFileSync('dd', ['if=/dev/zero', `of=${path.join(folder, 'ballast')}`, 'bs=4096'], { stdio: 'ignore' });
  } catch {
    // It ends with an error when there is no room left: that is what it is for.
  }
};

/** What could not be written is tried again. */
const untilRecorded = (subject: Daemon, id: string): Promise<boolean> =>
  eventually(() => /"desired": "stopped"/.test(readFileSync(path.join(subject.dataRoot, 'containers', id, 'config.json'), 'utf8')), 'the record to be written');

test('C3: no room on the data root', only, async () => {
  await withSmallDisk(async (small) => {
    const id = await small.ok('run', '-d', '--name', 'writer', ...COUNT);
    const other = await small.ok('run', '-d', '--name', 'other', '--restart', 'unless-stopped', 'busybox', 'sleep', '600');
    const { Pid } = (await small.inspect(id)).State;
    const talker = await small.ok('run', '-d', 'busybox', 'seq', '10000');
    await small.ok('wait', talker);
    fill(small.dataRoot);
    const { code, stderr } = await small.docker(['run', '--rm', 'busybox', 'true']);
    assert.notEqual(code, 0);
    assert.match(stderr, /no space left on device/);
    const dropped = (): bigint => BigInt(/^log-dropped (\d+)$/m.exec(readFileSync(path.join(small.execRoot, 'containers', id, 'status'), 'utf8'))?.[1] ?? '0');
    await eventually(() => dropped() > 0n, 'lines to be dropped');
    await small.kill9();
    await small.start();
    assert.deepEqual((({ Status, Pid: pid }) => [Status, pid])((await small.inspect(id)).State), ['running', Pid]);
    assert.equal(await small.ok('exec', id, 'echo', 'inside'), 'inside');
    await small.ok('stop', '-t', '0', other);
    assert.equal((await small.inspect(other)).State.Status, 'exited');
    await small.ok('rm', talker);
    assert.equal((await small.request('GET', `/containers/${talker}/json`)).status, 404);
    rmSync(path.join(small.dataRoot, 'ballast'));
    await eventually(async () => /^moored: \d+ log lines dropped: /m.test((await small.docker(['logs', id])).stderr), 'the log to go on');
    assert.equal(await small.ok('run', '--rm', 'busybox', 'echo', 'room again'), 'room again');
    await small.ok('stop', '-t', '1', id);
    assert.equal((await small.inspect(id)).State.ExitCode, 0);
    await untilRecorded(small, other);
    await small.crash();
    assert.equal((await small.inspect(other)).State.Status, 'exited');
    await small.ok('rm', id, other);
    await small.assertClean();
  });
});

/** A second mount over the first that nothing can be written through: what is open stays so, as on a disk that failed. */
function readOnly(folder: string): Disposable {
  execFileSync('mount', ['--rbind', '--make-private', folder, folder]);
  execFileSync('mount', ['-o', 'remount,bind,ro', folder]);
  return { [Symbol.dispose]: () => execFileSync('umount', ['-l', folder]) };
}

test('C3: a data root that cannot be written', only, async () => {
  await withSmallDisk(async (small) => {
    const id = await small.ok('run', '-d', '--name', 'writer', ...COUNT);
    const { Pid } = (await small.inspect(id)).State;
    {
      using stuck = readOnly(small.dataRoot);
      assert.ok(stuck);
      const { code, stderr } = await small.docker(['run', '--rm', 'busybox', 'true']);
      assert.notEqual(code, 0);
      assert.match(stderr, /read-only file system/);
      assert.equal(await small.ok('exec', id, 'echo', 'inside'), 'inside');
      await small.kill9();
      assert.equal(await small.startOrDie(), false);
      assert.match(small.complaints(), /read-only file system/);
      assert.ok(alive(Pid));
    }
    await small.start();
    assert.equal((await small.inspect(id)).State.Pid, Pid);
    {
      using stuck = readOnly(small.dataRoot);
      assert.ok(stuck);
      await small.ok('stop', '-t', '1', id);
      assert.equal(alive(Pid), false);
    }
    await untilRecorded(small, id);
    await small.crash();
    assert.equal((await small.inspect(id)).State.Status, 'exited');
    await small.ok('rm', id);
  });
});
