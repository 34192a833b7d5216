/** The daemon's own behaviour: live restore on and off, reload, refusals at the start, restart policies over a stop. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { Daemon, lines, withDaemon } from '../fixtures/daemon.ts';
import { alive, eventually } from '../fixtures/processes.ts';
import { mooredOnly, per } from '../fixtures/target.ts';

const liveRestore = async (daemon: Daemon): Promise<boolean> => (await daemon.request('GET', '/info')).json().LiveRestoreEnabled as boolean;

/** Starts a daemon that must refuse, and gives what it said. */
async function refuses(config: Record<string, unknown> | string, ...flags: string[]): Promise<{ code: number; log: string }> {
  const daemon = new Daemon();
  try {
    daemon.configure(config);
    const [code] = (await once(daemon.launch(flags), 'exit')) as [number];
    return { code, log: daemon.log() };
  } finally {
    await daemon.dispose();
  }
}

test('S1: off by default: a stop of the daemon stops the containers, and policies bring them back', async () => {
  await withDaemon({}, async (daemon) => {
    assert.equal(await liveRestore(daemon), false);
    const plain = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'trap "echo bye; exit 5" TERM; while :; do sleep 0.05; done');
    const always = await daemon.ok('run', '-d', '--restart', 'always', '--stop-timeout', '1', 'busybox', 'sleep', '600');
    const { Pid } = (await daemon.inspect(plain)).State;
    assert.equal(await daemon.stop(), 0);
    assert.equal(alive(Pid), false);
    await daemon.start();
    const { State } = await daemon.inspect(plain);
    assert.deepEqual([State.Status, State.ExitCode], ['exited', 5]);
    assert.equal(await daemon.ok('logs', plain), 'bye');
    await daemon.untilState(always, (state) => state.Running);
  });
});

test('S1: off, and killed: the next start stops what still runs', async () => {
  await withDaemon({}, async (daemon) => {
    const plain = await daemon.ok('run', '-d', '--stop-timeout', '1', 'busybox', 'sleep', '600');
    const { Pid } = (await daemon.inspect(plain)).State;
    await daemon.kill9();
    await daemon.start();
    await daemon.untilState(plain, (state) => !state.Running);
    assert.equal(alive(Pid), false);
  });
});

test('S2: on by flag', async () => {
  await withDaemon({ flags: ['--live-restore'] }, async (daemon) => {
    assert.equal(await liveRestore(daemon), true);
  });
});

test('S2: flag and file at once are refused, naming the option', async () => {
  const { code, log } = await refuses({ 'live-restore': true }, '--live-restore');
  assert.equal(code, 1);
  assert.match(log, /unable to configure the Docker daemon with file .*daemon\.json: the following directives are specified both as a flag and in the configuration file: live-restore: \(from flag: true, from file: true\)/);
});

test('S3: switched by SIGHUP, without a restart, with an event', async () => {
  await withDaemon({}, async (daemon) => {
    const since = Math.floor(Date.now() / 1000);
    const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
    const { Pid } = (await daemon.inspect(id)).State;
    await daemon.reload({ 'live-restore': true });
    await eventually(() => liveRestore(daemon), 'live restore');
    const events = lines((await daemon.request('GET', `/events?since=${since}&until=${Math.ceil(Date.now() / 1000) + 1}&filters=${encodeURIComponent('{"type":["daemon"]}')}`)).text).map((line) => JSON.parse(line));
    assert.equal(events.length, 1);
    assert.equal(events[0].Action, 'reload');
    assert.equal(events[0].Actor.Attributes['live-restore'], 'true');
    assert.equal(await daemon.stop(), 0);
    assert.ok(alive(Pid));
    await daemon.start();
    assert.equal((await daemon.inspect(id)).State.Pid, Pid);
    await daemon.reload({ 'live-restore': false });
    await eventually(async () => !(await liveRestore(daemon)), 'no live restore');
    await daemon.stop();
    assert.equal(alive(Pid), false);
  });
});

test('S3: a removed key returns to its default', mooredOnly('dockerd keeps it'), async () => {
  await withDaemon({ config: { 'live-restore': true } }, async (daemon) => {
    await daemon.reload({});
    await eventually(async () => !(await liveRestore(daemon)), 'the default');
  });
});

test('S5: an invalid file at reload changes nothing', async () => {
  await withDaemon({ config: { 'live-restore': true } }, async (daemon) => {
    for (const wrong of ['{', '{"live-restore":false,"no-such-option":1}', '{"live-restore":false,"max-concurrent-downloads":-10}']) {
      await daemon.reload(wrong);
      assert.equal(await liveRestore(daemon), true, wrong);
    }
    assert.match(daemon.log(), per({ moored: /[Ee]rror reloading configuration/, dockerd: /level=error/ }));
  });
});

test('S5: an invalid file at the start is refused, naming what is wrong', async () => {
  const prefix = /unable to configure the Docker daemon with file .*daemon\.json: /;
  for (const [config, message] of [
    ['{"a-typo":true}', /the following directives don't match any configuration option: a-typo/],
    ['{', /unexpected (EOF|end of JSON input)/],
    ['{"max-concurrent-downloads":-10}', /invalid max concurrent downloads: -10/],
  ] as const) {
    const { code, log } = await refuses(config);
    assert.equal(code, 1, config);
    assert.match(log, prefix);
    assert.match(log, message);
  }
});

test('S5: --validate', async () => {
  const good = await refuses({ 'live-restore': true, debug: true }, '--validate');
  assert.deepEqual([good.code, good.log.trim()], per({ moored: [0, 'configuration OK'], dockerd: [good.code, good.log.trim()] }));
  const bad = await refuses({ nonsense: 1 }, '--validate');
  assert.equal(bad.code, per({ moored: 1, dockerd: bad.code }));
});

test('an unknown flag', async () => {
  const { code, log } = await refuses({}, '--no-such-flag');
  assert.equal(code, 1);
  assert.match(log, /unknown flag: --no-such-flag/);
});

test('C4: SIGHUP never ends the daemon, also in a storm', async () => {
  await withDaemon({}, async (daemon) => {
    for (let index = 0; index < 50; index += 1) process.kill(daemon.pid ?? 0, 'SIGHUP');
    assert.ok(await daemon.answers());
  });
});

test('the socket, the roots and the pid file: modes, and gone after a stop', async () => {
  await withDaemon({}, async (daemon) => {
    assert.equal(statSync(daemon.socket).mode & 0o777, 0o660);
    assert.equal(statSync(daemon.dataRoot).mode & 0o007, per({ moored: 0o001, dockerd: 0o000 }) & statSync(daemon.dataRoot).mode);
    assert.ok(existsSync(daemon.pidFile));
    await daemon.stop();
    assert.deepEqual([existsSync(daemon.socket), existsSync(daemon.pidFile)], [false, false]);
  });
});

test('TCP', async () => {
  await withDaemon({ flags: ['-H', 'tcp://127.0.0.1:12375'] }, async (daemon) => {
    const { stdout } = await daemon.talk('tcp', '127.0.0.1', 12_375, { text: 'GET /_ping HTTP/1.0\r\n\r\n' });
    assert.match(stdout, /^HTTP\/1\.[01] 200 OK/);
  });
});

test('default options reach new containers: log options, ulimits, init, dns, address pools', async () => {
  const config = { 'log-opts': { 'max-size': '1m', 'max-file': '2' }, 'default-ulimits': { nofile: { Name: 'nofile', Soft: 99, Hard: 100 } }, dns: ['10.1.1.1'], bip: '192.168.77.1/24', 'default-address-pools': [{ base: '10.200.0.0/16', size: 24 }], 'default-shm-size': '8m' };
  await withDaemon({ config }, async (daemon) => {
    const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
    const found = await daemon.inspect(id);
    assert.deepEqual(found.HostConfig.LogConfig, { Type: 'json-file', Config: { 'max-file': '2', 'max-size': '1m' } });
    assert.equal(found.NetworkSettings.IPAddress, '192.168.77.2');
    // The container's own process: what runc 1.1 executes beside it has the hard limit as its soft one (Go raises it there).
    assert.equal(await daemon.ok('exec', id, 'sh', '-c', 'awk "/open files/{print \\$4,\\$5}" /proc/1/limits; cat /etc/resolv.conf | grep nameserver; df -k /dev/shm | tail -1 | awk "{print \\$2}"'), '99 100\nnameserver 10.1.1.1\n8192');
    await daemon.ok('network', 'create', 'pooled');
    assert.equal((await daemon.request('GET', '/networks/pooled')).json().IPAM.Config[0].Subnet, '10.200.0.0/24');
  });
});

test('S6: options changed across a restart: what runs stays as it was', mooredOnly('dockerd loses it'), async () => {
  await withDaemon({ config: { 'live-restore': true } }, async (daemon) => {
    const id = await daemon.ok('run', '-d', '-p', '18080:7', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
    await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', 18_080)).code === 0, 'the server');
    const before = await daemon.inspect(id);
    await daemon.stop();
    daemon.configure({ 'live-restore': true, bip: '192.168.88.1/24', 'default-address-pools': [{ base: '10.201.0.0/16', size: 24 }], 'log-opts': { 'max-size': '1m' } });
    await daemon.start();
    const after = await daemon.inspect(id);
    assert.deepEqual(after.State, before.State);
    assert.equal(after.NetworkSettings.IPAddress, before.NetworkSettings.IPAddress);
    assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
    await daemon.ok('exec', id, 'true');
    await daemon.ok('stop', '-t', '0', id);
  });
});

test('C2: a socket that is left is no obstacle; one container record that is damaged is no obstacle', mooredOnly('another store'), async () => {
  await withDaemon({ config: { 'live-restore': true } }, async (daemon) => {
    const broken = await daemon.ok('run', '-d', '--name', 'broken', 'busybox', 'sleep', '600');
    const whole = await daemon.ok('run', '-d', '--name', 'whole', 'busybox', 'sleep', '600');
    await daemon.kill9();
    writeFileSync(`${daemon.dataRoot}/containers/${broken}/config.json`, '{"schema":1, torn');
    await daemon.start();
    assert.equal((await daemon.inspect(whole)).State.Running, true);
    const listed = (await daemon.request('GET', '/containers/json?all=1')).json() as { Id: string }[];
    assert.ok(listed.some(({ Id }) => Id === broken), 'the damaged one is not listed');
    await daemon.ok('rm', '-f', broken);
    assert.equal((await daemon.request('GET', `/containers/${broken}/json`)).status, 404);
  });
});
