/** `docker run`: exit codes, what goes in and comes out, foreground and background. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { alive } from '../fixtures/processes.ts';

const daemon = useDaemon();
const run = (...args: string[]) => daemon.docker(['run', '--rm', ...args]);

test('output goes to the client, stdout and stderr apart', async () => {
  const { code, stdout, stderr } = await run('busybox', 'sh', '-c', 'echo out; echo err >&2');
  assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: 'out\n', stderr: 'err\n' });
});

test('the exit code is the process’s', async () => {
  for (const wanted of [0, 1, 3, 125, 255]) assert.equal((await run('busybox', 'sh', '-c', `exit ${wanted}`)).code, wanted);
});

test('a process that ends by a signal: 128 and the number', async () => {
  assert.equal((await run('--init', 'busybox', 'sh', '-c', 'kill -9 $$')).code, 137);
  assert.equal((await run('--init', 'busybox', 'sh', '-c', 'kill -15 $$')).code, 143);
});

test('a command that does not exist: 127, and one that cannot be executed: 126', async () => {
  const missing = await daemon.docker(['run', '--name', 'missing', 'busybox', 'no-such-command']);
  assert.equal(missing.code, 127);
  assert.match(missing.stderr, /Error response from daemon: .*exec: "no-such-command": executable file not found in \$PATH/);
  const state = (await daemon.inspect('missing')).State;
  assert.equal(state.ExitCode, 127);
  assert.equal(state.Status, 'created');
  assert.equal(state.StartedAt, '0001-01-01T00:00:00Z');
  assert.match(state.Error, /executable file not found/);
  const forbidden = await run('busybox', '/etc');
  assert.equal(forbidden.code, 126);
  assert.match(forbidden.stderr, /permission denied|is a directory/);
});

test('what the daemon refuses: 125', async () => {
  const unknown = await run('--network', 'no-such-network', 'busybox', 'true');
  assert.equal(unknown.code, 125);
  assert.match(unknown.stderr, /network no-such-network not found/);
  const image = await daemon.docker(['run', '--rm', '--pull=never', 'no-such-image:1', 'true']);
  assert.equal(image.code, 125);
  assert.match(image.stderr, /No such image: no-such-image:1/);
});

test('--rm removes the container and its anonymous volumes when it ended', async () => {
  await daemon.ok('run', '--rm', '--name', 'gone', '-v', '/anonymous', 'busybox', 'true');
  assert.equal(await daemon.ok('ps', '-aq', '--filter', 'name=^gone$'), '');
  assert.equal(await daemon.ok('volume', 'ls', '-q'), '');
});

test('-d prints the id, and the container runs', async () => {
  const id = await daemon.ok('run', '-d', '--name', 'background', 'busybox', 'sleep', '600');
  assert.match(id, /^[0-9a-f]{64}$/);
  const { State, Id, Name, Path, Args } = await daemon.inspect('background');
  assert.deepEqual([Id, Name, Path, Args], [id, '/background', 'sleep', ['600']]);
  assert.deepEqual([State.Status, State.Running, State.Paused, State.Restarting, State.Dead, State.ExitCode, State.FinishedAt], ['running', true, false, false, false, 0, '0001-01-01T00:00:00Z']);
  assert.ok(alive(State.Pid));
  await daemon.ok('rm', '-f', 'background');
  assert.equal(alive(State.Pid), false);
});

test('stdin reaches the process, to its last byte, and then its end', async () => {
  const bytes = Buffer.alloc(100_000, 'moored ');
  const { code, stdout } = await daemon.docker(['run', '-i', '--rm', 'busybox', 'sh', '-c', 'wc -c; echo done'], { stdin: bytes });
  assert.deepEqual([code, stdout], [0, '100000\ndone\n']);
});

test('bytes come out as they went in', async () => {
  const bytes = Buffer.from(Array.from({ length: 65_536 }, (_, index) => (index * 7 + (index >> 8)) & 255));
  const session = daemon.session(['run', '-i', '--rm', 'busybox', 'sh', '-c', 'cat | md5sum; echo']);
  session.closeStdin(bytes);
  assert.equal((await session.result()).stdout.split(' ')[0], createHash('md5').update(bytes).digest('hex'));
});

test('much output in a short life comes whole', async () => {
  const { stdout } = await run('busybox', 'sh', '-c', 'seq 1 50000');
  const found = lines(stdout);
  assert.equal(found.length, 50_000);
  assert.equal(found.at(-1), '50000');
});

test('without -i stdin is empty', async () => {
  assert.equal((await daemon.docker(['run', '--rm', 'busybox', 'cat'], { stdin: 'ignored' })).stdout, '');
});

test('a signal to the client reaches the process', async () => {
  const session = daemon.session(['run', '--rm', 'busybox', 'sh', '-c', 'trap "echo caught; exit 7" USR1; echo ready; while :; do sleep 0.1; done']);
  await session.until('ready');
  session.kill('SIGUSR1');
  const { code, stdout } = await session.result();
  assert.deepEqual([code, stdout], [7, 'ready\ncaught\n']);
});

test('--cidfile, --entrypoint, working folder, environment, labels and hostname', async () => {
  const cidfile = `${daemon.dir}/cid`;
  const { stdout } = await daemon.docker(['run', '--rm', '--cidfile', cidfile, '--entrypoint', '/bin/sh', '-w', '/new/place', '-e', 'A=1', '-e', 'FROM_CLIENT', '-l', 'x=y', '-h', 'ship.example.org', 'busybox', '-c', 'pwd; echo $A $FROM_CLIENT $HOME; hostname'], { env: { FROM_CLIENT: '2' } });
  assert.equal(stdout, '/new/place\n1 2 /root\nship.example.org\n');
  assert.match(readFileSync(cidfile, 'utf8'), /^[0-9a-f]{64}$/);
});

test('many at once', async () => {
  const results = await Promise.all(Array.from({ length: 8 }, (_, index) => run('busybox', 'sh', '-c', `echo ${index}; exit ${index}`)));
  assert.deepEqual(results.map(({ code, stdout }) => [code, stdout]), Array.from({ length: 8 }, (_, index) => [index, `${index}\n`]));
});

test('-i without input: it is over from the start, however long that takes', async () => {
  const results = await Promise.all(Array.from({ length: 8 }, () => daemon.docker(['run', '--rm', '-i', 'busybox', 'cat'], { stdin: '' })));
  assert.deepEqual(results.map(({ code, stdout }) => [code, stdout]), results.map(() => [0, '']));
});
