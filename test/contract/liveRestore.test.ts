/**
 * The promises of docs/continuity.md, each named by its id: what a container and its user see when the daemon goes away
 * by `kill -9` and comes back.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { streamText, UPGRADE } from '../fixtures/http.ts';
import { alive, ended, eventually, startTime } from '../fixtures/processes.ts';
import { mooredOnly } from '../fixtures/target.ts';

const daemon = useDaemon({ config: { 'live-restore': true } });
const post = (path: string, body?: unknown) => daemon.request('POST', path, body === undefined ? {} : { body });
const COUNTER = 'i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done';

test('S4: after kill -9 everything is as it was', async () => {
  await daemon.ok('network', 'create', 'steady');
  const id = await daemon.ok('run', '-d', '--name', 'same', '--network', 'steady', '-p', '18080:80', '--restart', 'always', '-l', 'a=b', 'busybox', 'nc', '-ll', '-p', '80', '-e', 'cat');
  const before = await daemon.inspect(id);
  const born = startTime(before.State.Pid);
  await daemon.kill9();
  assert.equal(startTime(before.State.Pid), born);
  await daemon.start();
  const after = await daemon.inspect('same');
  assert.deepEqual(after.State, before.State);
  assert.deepEqual(after.NetworkSettings, before.NetworkSettings);
  assert.deepEqual(after.HostConfig, before.HostConfig);
  assert.deepEqual(after.Config, before.Config);
  assert.deepEqual(after.Mounts, before.Mounts);
  assert.equal(after.RestartCount, 0);
  await daemon.ok('rm', '-f', id);
  await daemon.ok('network', 'rm', 'steady');
});

test('S4: no event of a start, stop or death is invented', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  const now = Math.floor(Date.now() / 1000);
  await daemon.crash();
  const events = lines((await daemon.request('GET', `/events?since=${now}&until=${Math.ceil(Date.now() / 1000)}&filters=${encodeURIComponent(JSON.stringify({ container: [id], event: ['stop', 'die', 'kill', 'restart', 'destroy'] }))}`)).text);
  assert.deepEqual(events, []);
  await daemon.ok('rm', '-f', id);
});

test('B1: the log has no gap, in order, stamped when it was written', mooredOnly('dockerd stamps at the restart'), async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', COUNTER);
  const { LogPath } = await daemon.inspect(id);
  const count = (): number => (existsSync(LogPath) ? lines(readFileSync(LogPath, 'utf8')).length : 0);
  await eventually(() => count() > 5, 'lines');
  await daemon.kill9();
  const atDeath = count();
  await eventually(() => count() > atDeath + 20, 'lines while away');
  await daemon.start();
  const text = await daemon.ok('logs', '-t', id);
  const found = lines(text).map((line) => line.split(' '));
  assert.ok(found.length > atDeath + 20);
  assert.deepEqual(found.map((words) => Number(words[2])), found.map((_, index) => index + 1));
  const times = found.map((words) => Date.parse(words[0] ?? ''));
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0));
  assert.ok(Math.max(...gaps) < 1500, `a gap of ${Math.max(...gaps)} ms`);
  await daemon.ok('rm', '-f', id);
});

test('A4, B1: a container that says a lot is not blocked, and nothing is lost', mooredOnly('dockerd’s pipe fills up'), async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.05; done; seq 1 300000; touch /finished; sleep 600');
  const { State } = await daemon.inspect(id);
  await daemon.kill9();
  writeFileSync(`/proc/${State.Pid}/root/go`, '');
  await eventually(() => existsSync(`/proc/${State.Pid}/root/finished`), 'the writer to finish', 40_000);
  await daemon.start();
  const { stdout } = await daemon.docker(['logs', id]);
  assert.equal(stdout.length, 1_988_895);
  assert.ok(stdout.endsWith('\n300000\n'));
  await daemon.ok('rm', '-f', id);
});

test('B1, B2: died while away: exit code, time, last words', mooredOnly('dockerd loses the last words'), async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.05; done; echo last words; exit 42');
  const { State } = await daemon.inspect(id);
  await daemon.kill9();
  const away = Date.now();
  writeFileSync(`/proc/${State.Pid}/root/go`, '');
  await ended(State.Pid);
  const dead = Date.now();
  await eventually(() => Date.now() > dead + 1500, 'some time');
  await daemon.start();
  const after = (await daemon.inspect(id)).State;
  assert.deepEqual([after.Status, after.ExitCode, after.OOMKilled], ['exited', 42, false]);
  const finished = Date.parse(after.FinishedAt);
  assert.ok(finished >= away && finished <= dead + 1000, after.FinishedAt);
  assert.equal(await daemon.ok('logs', id), 'last words');
  assert.equal(await daemon.ok('wait', id), '42');
  await daemon.ok('rm', id);
});

test('B2: --rm is carried out for one that died while away', mooredOnly('dockerd 20.10 leaves the volume'), async () => {
  const id = await daemon.ok('run', '-d', '--rm', '-v', '/anonymous', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.05; done');
  const { State } = await daemon.inspect(id);
  await daemon.kill9();
  writeFileSync(`/proc/${State.Pid}/root/go`, '');
  await ended(State.Pid);
  await daemon.start();
  await eventually(async () => (await daemon.request('GET', `/containers/${id}/json`)).status === 404, 'its removal');
  assert.equal(await daemon.ok('volume', 'ls', '-q'), '');
});

test('A5: restarted while away, and counted', mooredOnly('dockerd restarts nothing while away'), async () => {
  const id = await daemon.ok('run', '-d', '--restart', 'always', 'busybox', 'sh', '-c', 'echo started; while [ ! -e /tmp/die ]; do sleep 0.05; done; rm /tmp/die; exit 3');
  const { State, LogPath } = await daemon.inspect(id);
  await daemon.kill9();
  writeFileSync(`/proc/${State.Pid}/root/tmp/die`, '');
  await ended(State.Pid);
  await eventually(() => lines(readFileSync(LogPath, 'utf8')).length === 2, 'the second start');
  await daemon.start();
  const after = await daemon.inspect(id);
  assert.equal(after.State.Running, true);
  assert.equal(after.RestartCount, 1);
  assert.notEqual(after.State.Pid, State.Pid);
  assert.ok(Date.parse(after.State.StartedAt) > Date.parse(State.StartedAt));
  await daemon.ok('rm', '-f', id);
});

test('A5: on-failure:N goes on counting while away', mooredOnly('dockerd restarts nothing while away'), async () => {
  const id = await daemon.ok('run', '-d', '--restart', 'on-failure:3', 'busybox', 'sh', '-c', 'echo run; while [ ! -e /tmp/die ]; do sleep 0.05; done; rm /tmp/die; exit 3');
  const { State, LogPath } = await daemon.inspect(id);
  let pid = State.Pid as number;
  await daemon.kill9();
  for (let run = 2; run <= 5; run += 1) {
    writeFileSync(`/proc/${pid}/root/tmp/die`, '');
    await ended(pid);
    if (run <= 4) {
      await eventually(() => lines(readFileSync(LogPath, 'utf8')).length === run, `run ${run}`);
      pid = await eventually(() => childOf(id), 'its process');
    }
  }
  await daemon.start();
  const after = await daemon.inspect(id);
  assert.deepEqual([after.State.Status, after.State.ExitCode, after.RestartCount], ['exited', 3, 3]);
  await daemon.ok('rm', id);
});

test('unless-stopped stays stopped, always comes back', async () => {
  const stopped = await daemon.ok('run', '-d', '--restart', 'unless-stopped', 'busybox', 'sleep', '600');
  await daemon.ok('stop', '-t', '0', stopped);
  const always = await daemon.ok('run', '-d', '--restart', 'always', 'busybox', 'sleep', '600');
  await daemon.ok('stop', '-t', '0', always);
  await daemon.crash();
  await daemon.untilState(always, (state) => state.Running);
  assert.equal((await daemon.inspect(stopped)).State.Running, false);
  await daemon.ok('rm', '-f', stopped, always);
});

test('B13: a policy works at once for a restored container', async () => {
  const id = await daemon.ok('run', '-d', '--restart', 'always', 'busybox', 'sleep', '600');
  await daemon.crash();
  const { Pid } = (await daemon.inspect(id)).State;
  process.kill(Pid, 'SIGKILL');
  await daemon.untilState(id, (state) => state.Running && state.Pid !== Pid && state.Pid > 0);
  assert.equal((await daemon.inspect(id)).RestartCount, 1);
  await daemon.ok('rm', '-f', id);
});

test('A6, B7: health goes on while away, and carries on', mooredOnly('dockerd does not probe while away'), async () => {
  // The last five probes are kept: they must reach back beyond a daemon's start on a busy machine.
  const id = await daemon.ok('run', '-d', '--health-cmd', 'test ! -e /tmp/sick', '--health-interval', '1500ms', '--health-start-period', '60s', '--health-start-interval', '200ms', '--health-retries', '2', 'busybox', 'sleep', '600');
  await daemon.untilState(id, (state) => state.Health.Status === 'healthy');
  const { State } = await daemon.inspect(id);
  await daemon.crash();
  assert.equal((await daemon.inspect(id)).State.Health.Status, 'healthy');
  await daemon.kill9();
  const away = Date.now();
  writeFileSync(`/proc/${State.Pid}/root/tmp/sick`, '');
  await eventually(() => Date.now() > away + 4500, 'some probes');
  const back = Date.now();
  await daemon.start();
  const { Health } = (await daemon.inspect(id)).State;
  assert.equal(Health.Status, 'unhealthy');
  assert.ok(Health.FailingStreak >= 2);
  assert.ok(Health.Log.some((probe: { Start: string; ExitCode: number }) => probe.ExitCode === 1 && Date.parse(probe.Start) < back), 'no probe was made while away');
  await daemon.ok('rm', '-f', id);
});

test('A7, B4: an exec session runs on; it can be inspected, and its exit code is the real one', mooredOnly('dockerd forgets exec sessions'), async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  const create = async (command: string): Promise<string> => (await post(`/containers/${id}/exec`, { Cmd: ['sh', '-c', command], AttachStdout: true })).json().Id as string;
  const long = await create('while [ ! -e /go ]; do echo output; sleep 0.01; done; touch /finished; exit 17');
  const short = await create('sleep 0.5; exit 18');
  await post(`/exec/${long}/start`, { Detach: true });
  await post(`/exec/${short}/start`, { Detach: true });
  const shortPid = (await daemon.request('GET', `/exec/${short}/json`)).json().Pid as number;
  await daemon.kill9();
  await ended(shortPid);
  await daemon.start();
  const running = (await daemon.request('GET', `/exec/${long}/json`)).json();
  assert.deepEqual([running.Running, running.ContainerID], [true, id]);
  const finished = (await daemon.request('GET', `/exec/${short}/json`)).json();
  assert.deepEqual([finished.Running, finished.ExitCode], [false, 18]);
  await daemon.ok('exec', id, 'touch', '/go');
  await eventually(async () => (await daemon.request('GET', `/exec/${long}/json`)).json().ExitCode === 17, 'its exit code');
  await daemon.ok('rm', '-f', id);
});

test('B4: new exec sessions in a restored container, with user, terminal, stdin', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  await daemon.crash();
  assert.equal(await daemon.ok('exec', '-u', '12:34', '-w', '/etc', id, 'sh', '-c', 'id -u; pwd'), '12\n/etc');
  assert.equal((await daemon.docker(['exec', '-i', id, 'wc', '-c'], { stdin: Buffer.alloc(100_000) })).stdout, '100000\n');
  const session = daemon.terminal(['exec', '-it', id, 'sh', '-c', 'test -t 0 && echo terminal; exit 3']);
  const { code, stdout } = await session.result();
  assert.deepEqual([code, stdout], [3, 'terminal\r\n']);
  await daemon.ok('rm', '-f', id);
});

test('A8, B5: stdin of an interactive container stays open, and reaches it again', async () => {
  const created = await post('/containers/create', { Image: 'busybox', Cmd: ['cat'], OpenStdin: true, StdinOnce: true });
  const id = created.json().Id as string;
  await daemon.ok('start', id);
  await daemon.crash();
  assert.equal((await daemon.inspect(id)).State.Running, true);
  const attached = await daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, { headers: UPGRADE });
  attached.socket.write('still here\n');
  await attached.until('still here\n');
  attached.socket.destroy();
  await daemon.ok('rm', '-f', id);
});

test('B5: closing stdin after a restore is the end of the container’s input', mooredOnly('dockerd does not pass it on'), async () => {
  const created = await post('/containers/create', { Image: 'busybox', Cmd: ['sh', '-c', 'cat; echo over'], OpenStdin: true, StdinOnce: true });
  const id = created.json().Id as string;
  await daemon.ok('start', id);
  await daemon.crash();
  const attached = await daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, { headers: UPGRADE });
  attached.socket.end('in\n');
  assert.equal(streamText(await attached.rest(), 1), 'in\nover\n');
  await daemon.ok('rm', '-f', id);
});

test('A8, B5: a terminal stays a terminal: attach, size, detach keys', async () => {
  const id = await daemon.ok('run', '-dit', 'busybox', 'sh');
  await daemon.crash();
  const session = daemon.terminal(['attach', id]);
  session.send('echo a-$((6*7))\n');
  await session.until('a-42');
  session.send('\u0010\u0011');
  await session.result();
  assert.equal((await post(`/containers/${id}/resize?h=44&w=111`)).status, 200);
  const attached = await daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, { headers: UPGRADE });
  attached.socket.write('stty size\n');
  await attached.until('44 111');
  attached.socket.end('exit 6\n');
  assert.equal((await daemon.untilState(id, (state) => !state.Running)).ExitCode, 6);
  await daemon.ok('rm', id);
});

test('A9, B8: paused stays paused; thawed while away is told', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  await daemon.ok('pause', id);
  await daemon.crash();
  assert.equal((await daemon.inspect(id)).State.Status, 'paused');
  await daemon.ok('unpause', id);
  assert.equal((await daemon.inspect(id)).State.Status, 'running');
  await daemon.ok('rm', '-f', id);
});

test('B6: every verb works on a restored container', async () => {
  const id = await daemon.ok('run', '-d', '--name', 'verbs', 'busybox', 'sh', '-c', 'trap "exit 0" TERM; while :; do echo x; sleep 0.05; done');
  await daemon.crash();
  const follow = daemon.session(['logs', '-f', '--tail', '1', id]);
  await follow.until('x\nx\n');
  const waiting = daemon.session(['wait', id]);
  await daemon.ok('top', id);
  await daemon.ok('stats', '--no-stream', id);
  writeFileSync(`${daemon.dir}/file`, 'content');
  await daemon.ok('cp', `${daemon.dir}/file`, `${id}:/tmp/file`);
  assert.equal(await daemon.ok('exec', id, 'cat', '/tmp/file'), 'content');
  assert.match(await daemon.ok('diff', id), /A \/tmp\/file/);
  await daemon.ok('commit', id, 'committed:1');
  await daemon.ok('update', '--restart', 'on-failure:2', id);
  await daemon.ok('rename', 'verbs', 'nouns');
  await daemon.ok('pause', id);
  await daemon.ok('unpause', id);
  await daemon.ok('network', 'create', 'later');
  await daemon.ok('network', 'connect', 'later', id);
  await daemon.ok('network', 'disconnect', 'later', id);
  await daemon.ok('restart', '-t', '5', id);
  await daemon.ok('stop', id);
  assert.equal((await daemon.inspect('nouns')).State.ExitCode, 0);
  await follow.result();
  await waiting.result();
  await daemon.ok('start', id);
  await daemon.ok('kill', id);
  await daemon.ok('rm', id);
  await daemon.ok('network', 'rm', 'later');
  await daemon.ok('rmi', 'committed:1');
});

test('B9: what is in use is known to be in use', async () => {
  await daemon.ok('network', 'create', 'used');
  await daemon.ok('run', '-d', '--name', 'user', '--network', 'used', '-v', 'held:/data', '-p', '18081:80', 'busybox', 'sleep', '600');
  const { IPAddress } = (await daemon.inspect('user')).NetworkSettings.Networks.used;
  await daemon.crash();
  assert.notEqual((await daemon.docker(['volume', 'rm', 'held'])).code, 0);
  assert.notEqual((await daemon.docker(['network', 'rm', 'used'])).code, 0);
  assert.notEqual((await daemon.docker(['rmi', 'busybox'])).code, 0);
  assert.match((await daemon.docker(['create', '--name', 'user', 'busybox'])).stderr, /is already in use by container/);
  const second = await daemon.docker(['run', '-d', '--name', 'second', '-p', '18081:80', 'busybox', 'sleep', '600']);
  assert.equal(second.code, 125);
  assert.match(second.stderr, /port is already allocated|address already in use/);
  await daemon.docker(['rm', '-f', 'second']);
  await daemon.ok('run', '-d', '--name', 'third', '--network', 'used', 'busybox', 'sleep', '600');
  assert.notEqual((await daemon.inspect('third')).NetworkSettings.Networks.used.IPAddress, IPAddress);
  await daemon.ok('rm', '-f', 'user', 'third');
  await daemon.ok('network', 'rm', 'used');
  await daemon.ok('volume', 'rm', 'held');
});

test('B3: events of the time before and of the time away', mooredOnly('dockerd keeps events in memory'), async () => {
  const since = Date.now() / 1000;
  const id = await daemon.ok('run', '-d', '--name', 'history', '--restart', 'on-failure:1', 'busybox', 'sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.05; done; exit 9');
  const { State } = await daemon.inspect(id);
  await daemon.kill9();
  writeFileSync(`/proc/${State.Pid}/root/tmp/go`, '');
  await ended(State.Pid);
  const pid = await eventually(() => childOf(id), 'the restart', 5000).catch(() => 0);
  if (pid > 0) await ended(pid);
  const dead = Date.now();
  await eventually(() => Date.now() > dead + 1200, 'some time');
  await daemon.start();
  const events = lines((await daemon.request('GET', `/events?since=${since.toFixed(3)}&until=${(Date.now() / 1000 + 1).toFixed(3)}&filters=${encodeURIComponent(JSON.stringify({ container: ['history'] }))}`)).text).map((line) => JSON.parse(line));
  const actions = events.map((event) => event.Action as string);
  assert.deepEqual(actions.filter((action) => ['create', 'start', 'die'].includes(action)), ['create', 'start', 'die', 'start', 'die']);
  const die = events.find((event) => event.Action === 'die');
  assert.equal(die.Actor.Attributes.exitCode, '9');
  assert.ok(die.timeNano / 1e6 <= dead, 'the event is stamped later than it happened');
  await daemon.ok('rm', id);
});

const ECHO = ['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'];

test('A1: a published port answers while away, from outside and from localhost', async () => {
  const peer = daemon.peer();
  const id = await daemon.ok('run', '-d', '-p', '18082:7', ...ECHO);
  const outside = async (): Promise<string> => (await daemon.talk('tcp', '10.99.0.1', 18082, { netns: peer })).stdout;
  const local = async (): Promise<string> => (await daemon.talk('tcp', '127.0.0.1', 18082)).stdout;
  await eventually(async () => (await outside()) === 'hello\n', 'the server');
  await daemon.kill9();
  assert.equal(await outside(), 'hello\n');
  if (daemon.engine === 'moored') {
    assert.equal(await local(), 'hello\n');
    assert.equal((await daemon.talk('tcp', '::1', 18082)).stdout, 'hello\n');
    assert.equal((await daemon.talk('tcp', 'fd00:99::1', 18082, { netns: peer })).stdout, 'hello\n');
  }
  await daemon.start();
  assert.equal(await outside(), 'hello\n');
  assert.equal(await local(), 'hello\n');
  await daemon.ok('rm', '-f', id);
});

test('A1, B12: an open connection through a published port lives on through crashes and starts', async () => {
  const peer = daemon.peer();
  const id = await daemon.ok('run', '-d', '-p', '18083:7', ...ECHO);
  await eventually(async () => (await daemon.talk('tcp', '10.99.0.1', 18083, { netns: peer })).code === 0, 'the server');
  const session = daemon.sessionInside(['busybox', 'nc', '10.99.0.1', '18083'], peer);
  for (const word of ['before', 'away', 'back']) {
    if (word === 'away') await daemon.kill9();
    if (word === 'back') await daemon.start();
    session.send(`${word}\n`);
    await session.until(`${word}\n`);
  }
  session.kill();
  await daemon.ok('rm', '-f', id);
});

test('A2: a published port stays reserved while away', mooredOnly('dockerd’s proxies die with it'), async () => {
  const id = await daemon.ok('run', '-d', '-p', '18084:80', '-p', '18084:80/udp', 'busybox', 'sleep', '600');
  await daemon.kill9();
  for (const protocol of ['bind-tcp', 'bind-udp'] as const) {
    for (const address of ['0.0.0.0', '127.0.0.1', '10.99.0.1', '::1']) {
      const { code, stderr } = await daemon.talk(protocol, address, 18084);
      assert.equal(code, 1, `${protocol} ${address}`);
      assert.match(stderr, /EADDRINUSE/);
    }
  }
  await daemon.start();
  await daemon.ok('rm', '-f', id);
  assert.equal((await daemon.talk('bind-tcp', '0.0.0.0', 18084)).code, 0);
});

test('A3: containers reach each other by address while away', async () => {
  await daemon.ok('network', 'create', 'mesh');
  await daemon.ok('run', '-d', '--name', 'left', '--network', 'mesh', ...ECHO);
  await daemon.ok('run', '-d', '--name', 'right', '--network', 'mesh', 'busybox', 'sh', '-c', 'while [ ! -e /tmp/go ]; do sleep 0.05; done; echo ping | nc -w 3 $(cat /tmp/address) 7 > /tmp/new; mv /tmp/new /tmp/answer; sleep 600');
  const address = (await daemon.inspect('left')).NetworkSettings.Networks.mesh.IPAddress as string;
  const { Pid } = (await daemon.inspect('right')).State;
  await daemon.kill9();
  writeFileSync(`/proc/${Pid}/root/tmp/address`, address);
  writeFileSync(`/proc/${Pid}/root/tmp/go`, '');
  await eventually(() => existsSync(`/proc/${Pid}/root/tmp/answer`), 'the answer');
  assert.equal(readFileSync(`/proc/${Pid}/root/tmp/answer`, 'utf8'), 'ping\n');
  await daemon.start();
  await daemon.ok('rm', '-f', 'left', 'right');
  await daemon.ok('network', 'rm', 'mesh');
});

test('B14: removing a restored container leaves nothing', async () => {
  const before = daemon.held();
  await daemon.ok('network', 'create', 'passing');
  const id = await daemon.ok('run', '-d', '--network', 'passing', '-p', '18085:80', '-v', '/anonymous', '--tmpfs', '/scratch', 'busybox', 'sleep', '600');
  await daemon.crash();
  await daemon.ok('rm', '-f', '-v', id);
  await daemon.ok('network', 'rm', 'passing');
  if (daemon.engine === 'dockerd') return;
  const after = daemon.held([id]);
  for (const kind of ['mounts', 'links', 'rules', 'cgroups', 'files'] as const) assert.deepEqual(after[kind].filter((line) => !before[kind].includes(line)), [], kind);
});

test('C2: a second daemon on the same roots is refused', mooredOnly('dockerd waits for a lock for ever'), async () => {
  const second = daemon.launch(['-H', `unix://${daemon.dir}/second.sock`, '--pidfile', `${daemon.dir}/second.pid`]);
  const [code] = (await once(second, 'exit')) as [number];
  assert.notEqual(code, 0);
  assert.ok(await daemon.answers());
});

test('C2: a stale pid file is no obstacle, even if its pid is in use', mooredOnly('dockerd refuses to start'), async () => {
  await daemon.kill9();
  assert.ok(existsSync(daemon.socket));
  writeFileSync(daemon.pidFile, String(process.pid));
  await daemon.start();
  assert.equal(readFileSync(daemon.pidFile, 'utf8').trim(), String(daemon.pid));
});

test('C5: a daemon in a crash loop makes nothing worse', mooredOnly('dockerd loses output'), async () => {
  const id = await daemon.ok('run', '-d', '-p', '18086:80', 'busybox', 'sh', '-c', COUNTER);
  const before = (await daemon.inspect(id)).State;
  for (let round = 0; round < 8; round += 1) {
    const child = daemon.launch();
    await daemon.kill9();
    const other = daemon.launch();
    await eventually(() => readFileSync(`/proc/${other.pid}/cmdline`, 'utf8') !== '', 'its start');
    await eventually(() => performance.now() % 97 > round * 10, 'a moment');
    child.kill('SIGKILL');
    other.kill('SIGKILL');
    for (const ending of [child, other]) await eventually(() => ending.exitCode !== null || ending.signalCode !== null, 'their end');
    if (round === 7) await daemon.start();
  }
  assert.deepEqual((await daemon.inspect(id)).State, before);
  const numbers = lines(await daemon.ok('logs', id)).map((line) => Number(line.split(' ')[1]));
  assert.deepEqual(numbers, numbers.map((_, index) => index + 1));
  await daemon.ok('rm', '-f', id);
});

test('S4: a graceful stop leaves containers running, and is quick', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  const { Pid } = (await daemon.inspect(id)).State;
  const events = daemon.session(['events']);
  const started = performance.now();
  const code = await daemon.stop();
  const took = performance.now() - started;
  assert.equal(code, 0);
  if (daemon.engine === 'moored') assert.ok(took < 2000, `${took} ms`);
  assert.ok(alive(Pid));
  assert.equal(existsSync(daemon.socket), false);
  await events.result();
  await daemon.start();
  assert.equal((await daemon.inspect(id)).State.Pid, Pid);
  await daemon.ok('rm', '-f', id);
});

test('C6: a shim that is killed takes no container with it', mooredOnly('another architecture'), async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', COUNTER);
  const { Pid } = (await daemon.inspect(id)).State;
  const shim = Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${Pid}/status`, 'utf8'))?.[1]);
  assert.match(readFileSync(`/proc/${shim}/cmdline`, 'utf8'), /moored-shim/);
  process.kill(shim, 'SIGKILL');
  await ended(shim);
  assert.ok(alive(Pid));
  await daemon.crash();
  const { State } = await daemon.inspect(id);
  assert.deepEqual([State.Running, State.Pid], [true, Pid]);
  const before = lines(await daemon.ok('logs', id)).length;
  await eventually(async () => lines(await daemon.ok('logs', id)).length > before + 10, 'the log to go on');
  await daemon.ok('stop', '-t', '0', id);
  await daemon.ok('rm', id);
});

/** The first process of a container, found by its cgroup: there is no daemon to ask. */
function childOf(id: string): number | undefined {
  for (const parent of ['/sys/fs/cgroup/pids/moored', '/sys/fs/cgroup/moored', '/sys/fs/cgroup/pids/docker']) {
    const file = `${parent}/${id}/cgroup.procs`;
    const pid = existsSync(file) ? lines(readFileSync(file, 'utf8'))[0] : undefined;
    if (pid !== undefined) return Number(pid);
  }
  return undefined;
}
