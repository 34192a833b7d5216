/** stop, kill, restart, pause, wait, rename, rm, update, start: what they do, and what they refuse in which words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { alive, eventually } from '../fixtures/processes.ts';
import { mooredOnly, per } from '../fixtures/target.ts';

const daemon = useDaemon();
const sleeper = (...args: string[]): Promise<string> => daemon.ok('run', '-d', ...args, 'busybox', 'sleep', '600');
const post = (path: string, body?: unknown) => daemon.request('POST', path, body === undefined ? {} : { body });
const TRAP = 'trap "echo term; exit 0" TERM; trap "echo usr1; exit 9" USR1; echo ready; while :; do sleep 0.05; done';
const trapping = async (...args: string[]): Promise<string> => {
  const id = await daemon.ok('run', '-d', ...args, 'busybox', 'sh', '-c', TRAP);
  await eventually(async () => (await daemon.ok('logs', id)).includes('ready'), 'the trap');
  return id;
};

test('stop: SIGTERM first', async () => {
  const id = await trapping();
  assert.equal(await daemon.ok('stop', id), id);
  const { State } = await daemon.inspect(id);
  assert.deepEqual([State.Status, State.Running, State.Pid, State.ExitCode], ['exited', false, 0, 0]);
  assert.ok(Date.parse(State.FinishedAt) >= Date.parse(State.StartedAt));
  assert.match(await daemon.ok('logs', id), /term$/);
  await daemon.ok('rm', id);
});

test('stop: SIGKILL when the time is over', async () => {
  const id = await sleeper();
  const started = performance.now();
  await daemon.ok('stop', '-t', '1', id);
  const took = performance.now() - started;
  assert.ok(took > 900 && took < 8000, `${took} ms`);
  assert.equal((await daemon.inspect(id)).State.ExitCode, 137);
  await daemon.ok('rm', id);
});

test('stop: the container’s own signal and time', async () => {
  const id = await trapping('--stop-signal', 'SIGUSR1', '--stop-timeout', '30');
  await daemon.ok('stop', id);
  assert.equal((await daemon.inspect(id)).State.ExitCode, 9);
  await daemon.ok('rm', id);
});

test('what is done already is 304', async () => {
  const id = await sleeper();
  assert.deepEqual([(await post(`/containers/${id}/start`)).status, (await post(`/containers/${id}/start`)).text], [304, '']);
  await daemon.ok('kill', id);
  await daemon.untilState(id, (state) => !state.Running);
  assert.equal((await post(`/containers/${id}/stop`)).status, 304);
  await daemon.ok('rm', id);
});

test('kill: any signal, by name or number, to what runs', async () => {
  const id = await trapping();
  await daemon.ok('kill', '-s', 'USR1', id);
  assert.equal((await daemon.untilState(id, (state) => !state.Running)).ExitCode, 9);
  const stopped = await post(`/containers/${id}/kill`);
  assert.equal(stopped.status, 409);
  assert.match(stopped.message(), new RegExp(`^[Cc]annot kill container: ${id}: [Cc]ontainer ${id} is not running$`));
  await daemon.ok('start', id);
  assert.equal((await post(`/containers/${id}/kill?signal=SIGNONSENSE`)).message(), per({ moored: 'invalid signal: SIGNONSENSE', dockerd: 'Invalid signal: SIGNONSENSE' }));
  await daemon.ok('kill', '-s', '9', id);
  assert.equal((await daemon.untilState(id, (state) => !state.Running)).ExitCode, 137);
  await daemon.ok('rm', id);
});

test('restart: another process, the same container', async () => {
  const id = await sleeper();
  const before = (await daemon.inspect(id)).State;
  await daemon.ok('restart', '-t', '0', id);
  const after = await daemon.inspect(id);
  assert.notEqual(after.State.Pid, before.Pid);
  assert.ok(Date.parse(after.State.StartedAt) > Date.parse(before.StartedAt));
  assert.equal(after.RestartCount, 0);
  assert.equal(alive(before.Pid), false);
  await daemon.ok('rm', '-f', id);
});

test('restart starts what is stopped; files written stay', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'echo x >> /count; wc -l < /count');
  await daemon.untilState(id, (state) => !state.Running);
  await daemon.ok('restart', id);
  await daemon.untilState(id, (state) => !state.Running);
  assert.equal(await daemon.ok('logs', id), '1\n2');
  await daemon.ok('rm', id);
});

test('pause and unpause', async () => {
  const id = await sleeper();
  await daemon.ok('pause', id);
  const { State } = await daemon.inspect(id);
  assert.deepEqual([State.Status, State.Running, State.Paused], ['paused', true, true]);
  const twice = await post(`/containers/${id}/pause`);
  assert.equal(twice.status, 409);
  assert.equal(twice.message(), `Container ${id} is already paused`);
  const start = await post(`/containers/${id}/start`);
  assert.deepEqual([start.status, start.message()], [409, 'cannot start a paused container, try unpause instead']);
  await daemon.ok('unpause', id);
  const again = await post(`/containers/${id}/unpause`);
  assert.deepEqual([again.status, again.message()], [500, `Container ${id} is not paused`]);
  await daemon.ok('rm', '-f', id);
});

test('a paused one can be stopped and removed', async () => {
  const id = await sleeper();
  await daemon.ok('pause', id);
  await daemon.ok('stop', '-t', '0', id);
  assert.equal((await daemon.inspect(id)).State.Status, 'exited');
  await daemon.ok('start', id);
  await daemon.ok('pause', id);
  await daemon.ok('rm', '-f', id);
});

test('wait: for the end, at once when there is none to wait for, and for removal', async () => {
  const id = await daemon.ok('create', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.05; done; exit 5');
  assert.deepEqual((await post(`/containers/${id}/wait`)).json().StatusCode, 0);
  const next = await daemon.openRequest('POST', `/containers/${id}/wait?condition=next-exit`);
  const removed = await daemon.openRequest('POST', `/containers/${id}/wait?condition=removed`);
  assert.deepEqual([next.statusCode, removed.statusCode], [200, 200]);
  await daemon.ok('start', id);
  await daemon.ok('exec', id, 'touch', '/go');
  const body = async (answer: AsyncIterable<unknown>): Promise<{ StatusCode: number }> => {
    let text = '';
    for await (const chunk of answer) text += String(chunk);
    return JSON.parse(text);
  };
  assert.equal((await body(next)).StatusCode, 5);
  assert.equal(await daemon.ok('wait', id), '5');
  await daemon.ok('rm', id);
  assert.equal((await body(removed)).StatusCode, 5);
  assert.equal((await post(`/containers/${id}/wait`)).status, 404);
});

test('wait: a condition that does not exist', mooredOnly('dockerd 20.10 takes any'), async () => {
  const id = await daemon.ok('create', 'busybox', 'true');
  const answer = await post(`/containers/${id}/wait?condition=never`);
  assert.equal(answer.status, 400);
  assert.match(answer.message(), /invalid condition: "never"/);
  await daemon.ok('rm', id);
});

test('rename', async () => {
  const id = await sleeper('--name', 'before');
  await daemon.ok('run', '-d', '--name', 'other', 'busybox', 'sleep', '600');
  await daemon.ok('rename', 'before', 'after');
  assert.equal((await daemon.inspect('after')).Name, '/after');
  assert.equal((await daemon.request('GET', '/containers/before/json')).status, 404);
  const taken = await post('/containers/after/rename?name=other');
  assert.equal(taken.status, 409);
  assert.match(taken.message(), /The container name "\/other" is already in use by container "?[0-9a-f]{64}"?\. You have to remove \(or rename\) that container to be able to reuse that name\.$/);
  assert.equal((await post('/containers/after/rename?name=')).status, 400);
  assert.match((await post('/containers/after/rename?name=a%2Fb')).message(), /Invalid container name \(\/?a\/b\), only \[a-zA-Z0-9\]\[a-zA-Z0-9_\.-\] are allowed/);
  assert.ok((await post('/containers/after/rename?name=after')).status >= 400);
  await daemon.ok('rm', '-f', id, 'other');
});

test('rm: refused while it runs, forced, twice', async () => {
  const id = await sleeper('--name', 'stubborn');
  const refused = await daemon.request('DELETE', '/containers/stubborn');
  assert.equal(refused.status, 409);
  assert.match(
    refused.message(),
    per({ moored: /^cannot remove container "\/stubborn": container is running: stop the container before removing or force remove$/, dockerd: /You cannot remove a running container [0-9a-f]{64}\. Stop the container before attempting removal or force remove/ }),
  );
  assert.equal((await daemon.request('DELETE', `/containers/${id}?force=1`)).status, 204);
  const gone = await daemon.request('DELETE', '/containers/stubborn');
  assert.deepEqual([gone.status, gone.message()], [404, 'No such container: stubborn']);
});

test('rm -v removes anonymous volumes and keeps named ones', async () => {
  const id = await daemon.ok('create', '-v', '/anonymous', '-v', 'kept:/named', 'busybox', 'true');
  await daemon.ok('rm', '-v', id);
  assert.equal(await daemon.ok('volume', 'ls', '-q'), 'kept');
  await daemon.ok('volume', 'rm', 'kept');
});

test('a container is found by id, unique prefix and name; names win', async () => {
  const id = await sleeper('--name', 'findme');
  for (const name of [id, id.slice(0, 8), 'findme', '/findme'.slice(1)]) assert.equal((await daemon.inspect(name)).Id, id);
  const named = await daemon.ok('run', '-d', '--name', id.slice(0, 6), 'busybox', 'sleep', '600');
  assert.equal((await daemon.inspect(id.slice(0, 6))).Id, named);
  await daemon.ok('rm', '-f', id, named);
});

test('restart policies: on-failure counts, always goes on, and a stop is a stop', async () => {
  const failing = await daemon.ok('run', '-d', '--restart', 'on-failure:2', 'busybox', 'sh', '-c', 'exit 4');
  await eventually(async () => {
    const { State, RestartCount } = await daemon.inspect(failing);
    return RestartCount === 2 && State.Status === 'exited' && State.ExitCode === 4;
  }, 'two restarts');
  const always = await daemon.ok('run', '-d', '--restart', 'always', 'busybox', 'sh', '-c', 'sleep 0.2');
  await eventually(async () => (await daemon.inspect(always)).RestartCount >= 2, 'restarts');
  await daemon.ok('stop', '-t', '0', always);
  assert.equal((await daemon.inspect(always)).State.Status, 'exited');
  const calm = await daemon.ok('run', '-d', '--restart', 'on-failure', 'busybox', 'true');
  await daemon.untilState(calm, (state) => state.Status === 'exited');
  assert.equal((await daemon.inspect(calm)).RestartCount, 0);
  await daemon.ok('rm', failing, always, calm);
});

test('a restarting container refuses exec, and can be removed', async () => {
  const id = await daemon.ok('run', '-d', '--restart', 'always', 'busybox', 'false');
  await daemon.untilState(id, (state) => state.Status === 'restarting');
  const answer = await post(`/containers/${id}/exec`, { Cmd: ['true'] });
  assert.equal(answer.status, 409);
  await daemon.ok('rm', '-f', id);
});

test('update: limits and policy', async () => {
  const id = await sleeper('-m', '64m');
  const warnings = (await post(`/containers/${id}/update`, { Memory: 134_217_728, MemorySwap: 268_435_456, RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 3 } })).json();
  assert.deepEqual(warnings.Warnings ?? [], []);
  const { HostConfig } = await daemon.inspect(id);
  assert.deepEqual([HostConfig.Memory, HostConfig.MemorySwap, HostConfig.RestartPolicy], [134_217_728, 268_435_456, { Name: 'on-failure', MaximumRetryCount: 3 }]);
  await daemon.ok('update', '--cpus', '0.5', '--pids-limit', '50', id);
  assert.equal((await daemon.inspect(id)).HostConfig.NanoCpus, 500_000_000);
  assert.ok((await post(`/containers/${id}/update`, { Memory: 1 })).status >= 400);
  // Refused, or dropped with a warning where the kernel has no such weights; never tried.
  const weight = await post(`/containers/${id}/update`, { BlkioWeight: 2000 });
  assert.ok(weight.status === 400 || weight.json().Warnings.length > 0, weight.text);
  await daemon.ok('rm', '-f', id);
});

test('OOM is told', async () => {
  const id = await daemon.ok('run', '-d', '-m', '16m', '--memory-swap', '16m', 'busybox', 'sh', '-c', 'x=a; while :; do x=$x$x; done');
  const state = await daemon.untilState(id, (now) => !now.Running, 40_000);
  assert.deepEqual([state.OOMKilled, state.ExitCode], [true, 137]);
  await daemon.ok('rm', id);
});

test('start of what cannot start leaves it as it was', async () => {
  const id = await daemon.ok('create', 'busybox', 'no-such-command');
  const answer = await post(`/containers/${id}/start`);
  assert.equal(answer.status, 400);
  assert.match(answer.message(), /executable file not found/);
  assert.equal((await daemon.inspect(id)).State.Status, 'created');
  await daemon.ok('rm', id);
});

test('prune', async () => {
  const kept = await daemon.ok('create', '-l', 'keep=1', 'busybox', 'true');
  const gone = await daemon.ok('create', 'busybox', 'true');
  const pruned = (await post(`/containers/prune?filters=${encodeURIComponent('{"label!":["keep=1"]}')}`)).json();
  assert.ok(pruned.ContainersDeleted.includes(gone) && !pruned.ContainersDeleted.includes(kept));
  assert.equal((await daemon.request('GET', `/containers/${kept}/json`)).status, 200);
  await daemon.ok('rm', kept);
});

test('health', async () => {
  const id = await sleeper('--health-cmd', 'test ! -e /sick || { echo ouch; exit 1; }', '--health-interval', '200ms', '--health-retries', '2', '--health-timeout', '5s');
  assert.equal((await daemon.inspect(id)).State.Health.Status, 'starting');
  await daemon.untilState(id, (state) => state.Health.Status === 'healthy');
  assert.match((await daemon.ok('ps', '--filter', `id=${id}`, '--format', '{{.Status}}')), /\(healthy\)$/);
  await daemon.ok('exec', id, 'touch', '/sick');
  const { Health } = await daemon.untilState(id, (state) => state.Health.Status === 'unhealthy');
  assert.ok(Health.FailingStreak >= 2);
  assert.ok(Health.Log.length <= 5);
  assert.deepEqual([Health.Log.at(-1).ExitCode, Health.Log.at(-1).Output], [1, 'ouch\n']);
  await daemon.ok('stop', '-t', '0', id);
  const after = (await daemon.inspect(id)).State.Health;
  // The last one may be a probe that the stop cut short.
  assert.ok(after.Status === 'unhealthy' && after.Log.some((probe: { Output: string }) => probe.Output === 'ouch\n'), JSON.stringify(after));
  await daemon.ok('rm', '-f', id);
});
