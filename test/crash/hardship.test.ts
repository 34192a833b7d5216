/** C6, B15 and law 5: shims that die or hang, records that are damaged, and daemons without live restore. */
import assert from 'node:assert/strict';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { lines, useDaemon, withDaemon } from '../fixtures/daemon.ts';
import type { Daemon } from '../fixtures/daemon.ts';
import { alive, ended, eventually } from '../fixtures/processes.ts';

const daemon = useDaemon({ config: { 'live-restore': true } });
const COUNTER = 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done';
const run = (...args: string[]): Promise<string> => daemon.ok('run', '-d', ...args);

async function shimOf(d: Daemon, id: string): Promise<number> {
  const { Pid } = (await d.inspect(id)).State;
  const shim = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${Pid}/status`, 'utf8'))?.[1]);
  assert.match(readFileSync(`/proc/${shim}/cmdline`, 'utf8'), /moored-shim/);
  return shim;
}

const numbered = async (id: string): Promise<number> => {
  const numbers = lines(await daemon.ok('logs', id)).map((line) => Number(line.split(' ')[1]));
  assert.ok(numbers.every((number, index) => index === 0 || number > (numbers[index - 1] ?? 0)), 'out of order, or twice');
  const missing = (numbers.at(-1) ?? 0) - numbers.length;
  // C6: at most the buffer that it was just writing.
  assert.ok(missing <= 2, `${missing} lines are missing`);
  return numbers.length;
};

test('C6: a shim killed under a daemon is replaced: the log goes on, stop works, the exit is unknown', async () => {
  const id = await run('busybox', 'sh', '-c', COUNTER);
  const { Pid } = (await daemon.inspect(id)).State;
  const shim = await shimOf(daemon, id);
  process.kill(shim, 'SIGKILL');
  await ended(shim);
  const status = path.join(daemon.execRoot, 'containers', id, 'status');
  const named = (): number => Number(/^shim-pid (\d+)$/m.exec(readFileSync(status, 'utf8'))?.[1]);
  await eventually(() => named() !== shim && alive(named()), 'another shim');
  assert.equal((await daemon.inspect(id)).State.Pid, Pid);
  const before = await numbered(id);
  await eventually(async () => (await numbered(id)) > before + 10, 'the log to go on');
  assert.equal(await daemon.ok('exec', id, 'echo', 'works'), 'works');
  await daemon.ok('stop', '-t', '0', id);
  assert.equal((await daemon.inspect(id)).State.ExitCode, 255);
  await daemon.ok('start', id);
  await daemon.ok('rm', '-f', id);
});

test('C6: a shim killed together with its container: the exit is unknown, the policy starts it again', async () => {
  const id = await run('busybox', 'sleep', '600');
  const restarted = await run('--restart', 'always', 'busybox', 'sleep', '600');
  for (const each of [id, restarted]) {
    const shim = await shimOf(daemon, each);
    const { Pid } = (await daemon.inspect(each)).State;
    process.kill(shim, 'SIGSTOP');
    process.kill(Pid, 'SIGKILL');
    process.kill(shim, 'SIGKILL');
    await ended(shim);
  }
  const State = (await daemon.untilState(id, ({ Status }) => Status === 'exited')) as { ExitCode: number };
  assert.equal(State.ExitCode, 255);
  await eventually(async () => {
    const { State: now } = await daemon.inspect(restarted);
    return now.Running === true && alive(now.Pid);
  }, 'it to run again');
  await daemon.ok('rm', '-f', id, restarted);
});

test('B15: a stopped shim delays nobody; its container is listed, and managed again when it goes on', async () => {
  const id = await run('--name', 'hung', 'busybox', 'sleep', '600');
  const other = await run('busybox', 'sleep', '600');
  const shim = await shimOf(daemon, id);
  const { Pid } = (await daemon.inspect(id)).State;
  await daemon.kill9();
  process.kill(shim, 'SIGSTOP');
  const began = performance.now();
  await daemon.start();
  const took = performance.now() - began;
  assert.ok(took < 5000, `the start took ${took} ms`);
  assert.equal((await daemon.inspect(other)).State.Running, true);
  const { State } = await daemon.inspect(id);
  assert.equal(State.Pid, Pid);
  assert.match(State.Error, /does not answer/);
  process.kill(shim, 'SIGCONT');
  await eventually(async () => (await daemon.inspect(id)).State.Error === '', 'it to be managed again');
  assert.equal(await daemon.ok('exec', id, 'echo', 'works'), 'works');
  assert.equal((await daemon.inspect(id)).State.Pid, Pid);
  await daemon.ok('rm', '-f', id, other);
});

test('B15: a container whose shim hangs can be removed by force, also under the daemon that knew it', async () => {
  for (const restart of [false, true]) {
    const id = await run('--restart', 'always', '-p', '20500:80', 'busybox', 'sleep', '600');
    const shim = await shimOf(daemon, id);
    const { Pid } = (await daemon.inspect(id)).State;
    process.kill(shim, 'SIGSTOP');
    if (restart) await daemon.crash();
    await daemon.ok('rm', '-f', id);
    assert.equal(alive(Pid), false);
    assert.equal(alive(shim), false);
  }
});

const damages: [name: string, damage: (d: Daemon, id: string) => void][] = [
  ['a record that is no JSON', (d, id) => writeFileSync(path.join(d.dataRoot, 'containers', id, 'config.json'), '{"schema": 1,')],
  ['an empty record', (d, id) => truncateSync(path.join(d.dataRoot, 'containers', id, 'config.json'))],
  ['a record of a newer release', (d, id) => writeFileSync(path.join(d.dataRoot, 'containers', id, 'config.json'), '{"schema": 99}')],
  ['a damaged status', (d, id) => writeFileSync(path.join(d.execRoot, 'containers', id, 'status'), 'moored-status 1.0\nstate run')],
  ['a damaged view', (d, id) => writeFileSync(path.join(d.dataRoot, 'containers', id, 'view.json'), '{"seq":')],
  ['a view without facts', (d, id) => writeFileSync(path.join(d.dataRoot, 'containers', id, 'view.json'), '{"schema":1,"seq":{"$n":"1"},"facts":{}}')],
  ['a damaged sandbox', (d, id) => writeFileSync(path.join(d.execRoot, 'containers', id, 'sandbox.json'), '[')],
];
test('law 5: whatever is damaged: listed, stoppable, removable; the others are not concerned', async () => {
  const other = await run('busybox', 'sleep', '600');
  const cases: { what: string; id: string; pid: number; port: number; network: unknown }[] = [];
  const shims: number[] = [];
  for (const [what] of damages) {
    for (const orphaned of [false, true]) {
      const port = 20_501 + cases.length;
      const id = await run('-p', `${port}:80`, '--restart', 'always', 'busybox', 'sleep', '600');
      const { State, NetworkSettings: network } = await daemon.inspect(id);
      cases.push({ what: orphaned ? `${what}, and its shim killed` : what, id, pid: State.Pid as number, port, network });
      if (orphaned) shims.push(await shimOf(daemon, id));
    }
  }
  await daemon.kill9();
  for (const shim of shims) process.kill(shim, 'SIGKILL');
  for (const [index, { id }] of cases.entries()) damages[index >> 1]?.[1](daemon, id);
  await daemon.start();
  assert.equal((await daemon.inspect(other)).State.Running, true);
  const listed = lines(await daemon.ok('ps', '-q', '--no-trunc'));
  for (const { what, id, pid, network } of cases) {
    assert.ok(alive(pid), `${what}: it was killed`);
    assert.ok(listed.includes(id), `${what}: it is not listed as running`);
    const found = await daemon.inspect(id);
    assert.equal(found.State.Pid, pid, what);
    // Only the container's own record tells which of its networks it belongs to.
    if (!what.includes('record')) assert.deepEqual(found.NetworkSettings, network, what);
  }
  await daemon.ok('stop', '-t', '1', ...cases.map(({ id }) => id));
  for (const { what, id, pid, port } of cases) {
    assert.equal(alive(pid), false, `${what}: it was not stopped`);
    assert.equal((await daemon.inspect(id)).State.Running, false, what);
    await daemon.ok('rm', id);
    assert.equal((await daemon.request('GET', `/containers/${id}/json`)).status, 404, what);
    assert.equal((await daemon.talk('bind-tcp', '0.0.0.0', port)).code, 0, `${what}: its port is not free`);
  }
  await daemon.ok('rm', '-f', other);
});

test('S1: without live restore a stop of the daemon stops containers, and policies start them again', async () => {
  await withDaemon({}, async (plain) => {
    const always = await plain.ok('run', '-d', '--restart', 'always', 'busybox', 'sh', '-c', 'trap "exit 4" TERM; echo ready; while :; do sleep 0.05; done');
    const once = await plain.ok('run', '-d', 'busybox', 'sh', '-c', 'trap "exit 5" TERM; echo ready; while :; do sleep 0.05; done');
    for (const id of [always, once]) await eventually(async () => (await plain.ok('logs', id)) === 'ready', 'its trap');
    const { Pid } = (await plain.inspect(always)).State;
    assert.equal(await plain.stop(), 0);
    assert.equal(alive(Pid), false);
    await plain.start();
    await plain.untilState(always, ({ Running }) => Running);
    assert.equal((await plain.inspect(once)).State.ExitCode, 5);
    // After kill -9 the survivors are stopped by the next start.
    await plain.ok('start', once);
    const survivor = (await plain.inspect(once)).State.Pid as number;
    await plain.kill9();
    assert.ok(alive(survivor));
    await plain.start();
    await plain.untilState(once, ({ Status }) => Status === 'exited');
    const second = (await plain.untilState(always, ({ Running }) => Running)) as { Pid: number };
    // S3: switched on, and off again, by a reload.
    await plain.reload({ 'live-restore': true });
    assert.equal((await plain.request('GET', '/info')).json().LiveRestoreEnabled, true);
    await plain.untilState(always, ({ Running }) => Running);
    const kept = (await plain.inspect(always)).State.Pid as number;
    assert.ok(second.Pid > 0);
    assert.equal(await plain.stop(), 0);
    assert.ok(alive(kept));
    await plain.start();
    assert.equal((await plain.inspect(always)).State.Pid, kept);
    await plain.reload({});
    assert.equal(await plain.stop(), 0);
    assert.equal(alive(kept), false);
    await plain.start();
    await plain.removeAll();
  });
});

test('S4: with live restore the daemon leaves at once, whoever listens', async () => {
  const id = await run('busybox', 'sh', '-c', COUNTER);
  const listeners = [daemon.session(['events']), daemon.session(['logs', '-f', id]), daemon.session(['wait', id])];
  await listeners[1]?.until('line 5');
  const began = performance.now();
  assert.equal(await daemon.stop(), 0);
  const took = performance.now() - began;
  // Well under a second where the machine has time for it.
  assert.ok(took < 2000, `${took} ms`);
  for (const listener of listeners) await listener.result();
  await daemon.start();
  await daemon.ok('rm', '-f', id);
});
