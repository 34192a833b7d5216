/** `docker exec` and `docker attach`, and the connections they take over. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { frames, streamText, UPGRADE } from '../fixtures/http.ts';
import { eventually } from '../fixtures/processes.ts';
import { mooredOnly, per } from '../fixtures/target.ts';

const daemon = useDaemon({}, async (fresh) => {
  await fresh.ok('run', '-d', '--name', 'box', '-e', 'INHERITED=yes', '-w', '/tmp', 'busybox', 'sleep', '600');
});

const createExec = async (body: Record<string, unknown>, name = 'box'): Promise<string> => {
  const answer = await daemon.request('POST', `/containers/${name}/exec`, { body });
  assert.equal(answer.status, 201, answer.text);
  return answer.json().Id as string;
};

test('exec: output, exit code, environment, folder, user', async () => {
  const { code, stdout, stderr } = await daemon.docker(['exec', '-e', 'MINE=1', 'box', 'sh', '-c', 'echo $INHERITED $MINE; pwd; echo e >&2; exit 6']);
  assert.deepEqual([code, stdout, stderr], [6, 'yes 1\n/tmp\n', 'e\n']);
  assert.equal(await daemon.ok('exec', '-w', '/etc', '-u', '1234:567', 'box', 'sh', '-c', 'pwd; id -u; id -g'), '/etc\n1234\n567');
});

test('exec: a command that is not there, or cannot be executed', async () => {
  const missing = await daemon.docker(['exec', 'box', 'no-such-command']);
  assert.equal(missing.code, per({ moored: 127, dockerd: 126 }));
  assert.match(missing.stdout + missing.stderr, /executable file not found in \$PATH/);
  assert.equal((await daemon.docker(['exec', 'box', '/etc/passwd'])).code, 126);
});

test('exec: stdin, half-closed after its last byte', async () => {
  const { code, stdout } = await daemon.docker(['exec', '-i', 'box', 'sh', '-c', 'wc -c; echo end'], { stdin: Buffer.alloc(100_000, 'x') });
  assert.deepEqual([code, stdout], [0, '100000\nend\n']);
});

test('exec: much output comes whole', async () => {
  const { stdout } = await daemon.docker(['exec', 'box', 'sh', '-c', 'head -c 3000000 /dev/zero | tr "\\0" y']);
  assert.equal(stdout.length, 3_000_000);
});

test('exec -d', async () => {
  await daemon.ok('exec', '-d', 'box', 'sh', '-c', 'echo done > /tmp/detached');
  await eventually(async () => (await daemon.docker(['exec', 'box', 'cat', '/tmp/detached'])).stdout === 'done\n', 'the file');
});

test('exec in what does not run', async () => {
  const id = await daemon.ok('create', 'busybox', 'true');
  const answer = await daemon.request('POST', `/containers/${id}/exec`, { body: { Cmd: ['true'] } });
  assert.equal(answer.status, 409);
  assert.match(answer.message(), new RegExp(`ontainer ${id} is not running`));
  assert.equal((await daemon.request('POST', '/containers/nobody/exec', { body: { Cmd: ['true'] } })).status, 404);
  assert.equal((await daemon.request('POST', '/containers/box/exec', { body: { Cmd: [] } })).message(), 'No exec command specified');
});

test('exec in a paused container is refused', async () => {
  await daemon.ok('pause', 'box');
  const answer = await daemon.request('POST', '/containers/box/exec', { body: { Cmd: ['true'] } });
  assert.equal(answer.status, 409);
  assert.equal(answer.message(), 'Container box is paused, unpause the container before exec');
  await daemon.ok('unpause', 'box');
});

test('exec inspect tells before, during and after', async () => {
  const id = await createExec({ Cmd: ['sh', '-c', 'sleep 0.3; exit 3'], AttachStdout: true, Env: ['A=b'], User: 'root' });
  const before = (await daemon.request('GET', `/exec/${id}/json`)).json();
  assert.deepEqual([before.ID, before.Running, before.ExitCode, before.Pid, before.OpenStdout, before.OpenStdin], [id, false, null, 0, true, false]);
  assert.deepEqual([before.ProcessConfig.entrypoint, before.ProcessConfig.arguments, before.ProcessConfig.user], ['sh', ['-c', 'sleep 0.3; exit 3'], 'root']);
  const running = await daemon.hijack('POST', `/exec/${id}/start`, { headers: UPGRADE, body: {} });
  await eventually(async () => {
    const { Running, Pid } = (await daemon.request('GET', `/exec/${id}/json`)).json();
    return Running && Pid > 0;
  }, 'it to run');
  assert.deepEqual((await daemon.inspect('box')).ExecIDs, [id]);
  await running.rest();
  const after = await eventually(async () => {
    const exec = (await daemon.request('GET', `/exec/${id}/json`)).json();
    return exec.Running ? undefined : exec;
  }, 'it to end');
  assert.equal(after.ExitCode, 3);
  const again = await daemon.request('POST', `/exec/${id}/start`, { body: {} });
  assert.ok(again.text.includes('has already run') || [404, 409].includes(again.status), again.text);
});

test('an exec that does not exist', async () => {
  for (const [method, path] of [['GET', '/exec/nothing/json'], ['POST', '/exec/nothing/start']] as const) {
    const answer = await daemon.request(method, path, method === 'POST' ? { body: {} } : {});
    assert.equal(answer.status, 404);
    assert.equal(answer.message(), 'No such exec instance: nothing');
  }
});

test('hijacked with Upgrade: 101, framed output', async () => {
  const id = await createExec({ Cmd: ['sh', '-c', 'cat; echo err >&2'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
  const exec = await daemon.hijack('POST', `/v1.43/exec/${id}/start`.replace('v1.43', per({ moored: 'v1.43', dockerd: 'v1.41' })), { headers: UPGRADE, body: { Detach: false, Tty: false } });
  assert.match(exec.head, /^HTTP\/1\.1 101 UPGRADED\r\n/);
  assert.match(exec.head, per({ moored: /Content-Type: application\/vnd\.docker\.multiplexed-stream/, dockerd: /Content-Type: application\/vnd\.docker\.raw-stream/ }));
  exec.socket.end('hello\n');
  const data = await exec.rest();
  assert.deepEqual([streamText(data, 1), streamText(data, 2)], ['hello\n', 'err\n']);
});

test('hijacked without Upgrade: 200, and the rest of the connection is stdin', async () => {
  const id = await createExec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true });
  const exec = await daemon.hijack('POST', `/exec/${id}/start`, { body: { Detach: false, Tty: false } });
  assert.match(exec.head, /^HTTP\/1\.1 200 OK\r\n/);
  assert.match(exec.head, /application\/vnd\.docker\.raw-stream/);
  exec.socket.write('one ');
  exec.socket.end('GET / HTTP/1.1\r\n\r\n');
  assert.equal(streamText(await exec.rest(), 1), 'one GET / HTTP/1.1\r\n\r\n');
});

test('attach: output, exit code, no stdin', async () => {
  const id = await daemon.ok('create', 'busybox', 'sh', '-c', 'echo hello; echo err >&2; exit 8');
  const session = daemon.session(['start', '-a', id]);
  const { code, stdout, stderr } = await session.result();
  assert.deepEqual([code, stdout, stderr], [8, 'hello\n', 'err\n']);
  await daemon.ok('rm', id);
});

test('attach to a running one: stdin goes in, its end goes in with StdinOnce', async () => {
  const id = await daemon.ok('create', '-i', 'busybox', 'cat');
  assert.equal((await daemon.inspect(id)).Config.StdinOnce, true);
  await daemon.ok('start', id);
  const attached = await daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, { headers: UPGRADE });
  assert.match(attached.head, /^HTTP\/1\.1 101 UPGRADED\r\n/);
  attached.socket.end('through\n');
  assert.equal(streamText(await attached.rest(), 1), 'through\n');
  assert.equal((await daemon.untilState(id, (state) => state.Status === 'exited')).ExitCode, 0);
  await daemon.ok('rm', id);
});

test('without StdinOnce the end of a client’s input is not the container’s', async () => {
  const created = await daemon.request('POST', '/containers/create', { body: { Image: 'busybox', Cmd: ['cat'], OpenStdin: true } });
  const id = created.json().Id as string;
  await daemon.ok('start', id);
  for (const word of ['first\n', 'second\n']) {
    const attached = await daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, { headers: UPGRADE });
    attached.socket.write(word);
    await attached.until(word);
    attached.socket.destroy();
  }
  assert.equal((await daemon.inspect(id)).State.Running, true);
  await daemon.ok('rm', '-f', id);
});

test('attach with logs=1 gives what was said before', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'echo early; sleep 600');
  await eventually(async () => (await daemon.ok('logs', id)) === 'early', 'the line');
  const attached = await daemon.hijack('POST', `/containers/${id}/attach?logs=1&stdout=1`, { headers: UPGRADE });
  assert.deepEqual(frames(await attached.rest()), [[1, 'early\n']]);
  await daemon.ok('rm', '-f', id);
});

test('several clients see the same', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.05; done; seq 1 200');
  const clients = await Promise.all([1, 2, 3].map(() => daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdout=1`, { headers: UPGRADE })));
  // It may be killed with the container that it ends.
  await daemon.docker(['exec', id, 'touch', '/go']);
  const seen = await Promise.all(clients.map((client) => client.rest()));
  const wanted = Array.from({ length: 200 }, (_, index) => `${index + 1}\n`).join('');
  for (const data of seen) assert.equal(streamText(data, 1), wanted);
  await daemon.ok('rm', '-f', id);
});

test('a client that reads nothing does not stop the container', mooredOnly('dockerd keeps it all in memory'), async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.05; done; head -c 20000000 /dev/zero; touch /finished; sleep 600');
  const slow = await daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdout=1`, { headers: UPGRADE });
  slow.socket.pause();
  await daemon.ok('exec', id, 'touch', '/go');
  await eventually(async () => (await daemon.docker(['exec', id, 'test', '-e', '/finished'])).code === 0, 'the writer to finish', 30_000);
  slow.socket.destroy();
  await daemon.ok('rm', '-f', id);
});

test('attach to what is not there, or does not run', async () => {
  const missing = await daemon.hijack('POST', '/containers/nobody/attach?stream=1&stdout=1', { headers: UPGRADE });
  assert.match(missing.head, /^HTTP\/1\.1 404 Not Found\r\n/);
  assert.match((await missing.rest()).toString(), /No such container: nobody/);
  const { code, stderr } = await daemon.docker(['attach', await daemon.ok('create', '--name', 'idle', 'busybox', 'true')]);
  assert.equal(code, 1);
  assert.match(stderr, /cannot attach to a stopped container/i);
});

test('top', async () => {
  const top = (await daemon.request('GET', '/containers/box/top')).json();
  assert.deepEqual(top.Titles, ['UID', 'PID', 'PPID', 'C', 'STIME', 'TTY', 'TIME', 'CMD']);
  assert.ok(top.Processes.some((row: string[]) => row.at(-1) === 'sleep 600'));
  const custom = (await daemon.request('GET', '/containers/box/top?ps_args=-o%20pid,comm')).json();
  assert.deepEqual(custom.Titles, ['PID', 'COMMAND']);
});
