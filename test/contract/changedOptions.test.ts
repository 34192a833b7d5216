/**
 * S6 of docs/continuity.md: options that matter to running containers, changed over a `kill -9`. What runs stays reachable
 * and manageable; what has to wait for it is said in `docker info` and in the log, and counts as soon as nothing waits.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon } from '../fixtures/daemon.ts';
import { alive, eventually, startTime } from '../fixtures/processes.ts';
import { target } from '../fixtures/target.ts';

const skip = target === 'dockerd' ? 'dockerd 20.10 refuses, or loses what runs' : false;
/** An address of its own: without one the default network keeps what it has. */
const BASE = { 'live-restore': true, bip: '192.168.77.1/24' };
const PORT = 18_080;
const daemon = new Daemon({ config: BASE });

before(() => daemon.prepare());
after(async () => {
  try {
    if (target === 'moored') await daemon.assertClean();
  } finally {
    await daemon.dispose();
  }
});

interface Change {
  readonly config?: Readonly<Record<string, unknown>>;
  readonly flags?: readonly string[];
  /** What is said to be pending while the old container runs; absent: nothing is. */
  readonly pending?: RegExp;
  /** A container that is made with the new options, while the old one runs. */
  readonly fresh?: (id: string) => Promise<void>;
  /** The same, once nothing of the old options runs and the daemon was started again. */
  readonly applied?: (id: string) => Promise<void>;
}

const fact = async (id: string, select: (found: Awaited<ReturnType<Daemon['inspect']>>) => unknown): Promise<unknown> => select(await daemon.inspect(id));

const CHANGES: Readonly<Record<string, Change>> = {
  'the default network: bip': {
    config: { bip: '192.168.88.1/24' },
    pending: /options of the default network wait until no running container uses it: .*bip/,
    applied: async (id) => assert.equal(await fact(id, ({ NetworkSettings }) => NetworkSettings.IPAddress), '192.168.88.2'),
  },
  'the default network: bip and mtu and icc': {
    config: { bip: '192.168.89.1/24', mtu: 1400, icc: false },
    pending: /wait until no running container uses it: bip, .*icc, mtu/,
    applied: async (id) => assert.equal(await daemon.ok('exec', id, 'cat', '/sys/class/net/eth0/mtu'), '1400'),
  },
  'the default network: none': {
    config: { bridge: 'none' },
    pending: /the default network is removed when no running container uses it any more/,
  },
  'the default network: IPv6': {
    config: { ipv6: true, 'fixed-cidr-v6': 'fd00:88::/64' },
    pending: /wait until no running container uses it: ipv6/,
    applied: async (id) => assert.match(String(await fact(id, ({ NetworkSettings }) => NetworkSettings.GlobalIPv6Address)), /^fd00:88::/),
  },
  'address pools': {
    config: { 'default-address-pools': [{ base: '10.201.0.0/16', size: 24 }] },
    fresh: async () => {
      await daemon.ok('network', 'create', 'pooled');
      assert.equal((await daemon.request('GET', '/networks/pooled')).json().IPAM.Config[0].Subnet, '10.201.0.0/24');
      await daemon.ok('network', 'rm', 'pooled');
    },
  },
  'the log driver: none': {
    config: { 'log-driver': 'none' },
    fresh: async (id) => assert.equal(await fact(id, ({ HostConfig }) => HostConfig.LogConfig.Type), 'none'),
  },
  'log options and pipe size': {
    config: { 'log-opts': { 'max-size': '1m' }, 'log-pipe-size': '256k' },
    fresh: async (id) => assert.deepEqual(await fact(id, ({ HostConfig }) => HostConfig.LogConfig.Config), { 'max-size': '1m' }),
  },
  'the parent cgroup': {
    config: { 'cgroup-parent': '/moored-elsewhere' },
    fresh: async (id) => assert.match(await daemon.ok('exec', id, 'cat', '/proc/1/cgroup'), new RegExp(`/moored-elsewhere/${id}`)),
  },
  'a runtime of another name': {
    config: { 'default-runtime': 'other', runtimes: { other: { path: 'runc' } } },
    fresh: async (id) => assert.equal(await fact(id, ({ HostConfig }) => HostConfig.Runtime), 'other'),
  },
  'execution options: shm size, ulimits, privileges, ipc': {
    config: { 'default-shm-size': '8m', 'default-ulimits': { nofile: { Name: 'nofile', Soft: 99, Hard: 99 } }, 'no-new-privileges': true, 'default-ipc-mode': 'shareable', init: false, dns: ['10.1.1.1'] },
    fresh: async (id) => assert.equal(await daemon.ok('exec', id, 'sh', '-c', 'ulimit -n'), '99'),
  },
  'the exec root': {
    flags: ['--exec-root', path.join(daemon.dir, 'elsewhere')],
    pending: /exec-root .*elsewhere waits until no container of .*exec runs/,
    applied: (id) => {
      assert.ok(existsSync(path.join(daemon.dir, 'elsewhere/containers', id)));
      return Promise.resolve();
    },
  },
  'live restore by flag instead of by file': { flags: ['--live-restore'], config: { 'live-restore': undefined } },
  'no firewall of ours any more': { config: { iptables: false, ip6tables: false } },
};

/** Containers that must not notice: a published server on the default network, and one on a network of its own. */
async function startKept(): Promise<string[]> {
  await daemon.ok('network', 'create', 'own');
  const serve = ['busybox', 'sh', '-c', 'echo started; exec nc -ll -p 7 -e cat'];
  const ids = [
    await daemon.ok('run', '-d', '--name', 'kept', '-p', `${PORT}:7`, ...serve),
    await daemon.ok('run', '-d', '--name', 'kept-own', '--network', 'own', '-p', `${PORT + 1}:7`, ...serve),
  ];
  for (const port of [PORT, PORT + 1]) await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', port)).code === 0, 'the server');
  return ids;
}

const notices = async (): Promise<string> => ((await daemon.request('GET', '/info')).json().Warnings as string[]).join('\n');

/** Reachable, listed, with its log, and open to every verb. */
async function assertUntouched(id: string, port: number, before: { pid: number; born: string | undefined; address: unknown }): Promise<void> {
  const { State, NetworkSettings } = await daemon.inspect(id);
  assert.deepEqual([State.Status, State.Pid, startTime(State.Pid)], ['running', before.pid, before.born]);
  assert.equal(address(NetworkSettings), before.address);
  assert.equal((await daemon.talk('tcp', '127.0.0.1', port)).stdout, 'hello\n', 'its port does not answer');
  assert.equal(await daemon.ok('logs', id), 'started');
  assert.equal(await daemon.ok('exec', id, 'echo', 'inside'), 'inside');
  await daemon.ok('pause', id);
  await daemon.ok('unpause', id);
  assert.match(await daemon.ok('stats', '--no-stream', '--format', '{{.PIDs}}', id), /^[1-9]/);
}

// oxlint-disable-next-line typescript/no-explicit-any -- the API's
const address = (settings: any): unknown => Object.values<any>(settings.Networks).map(({ IPAddress }) => IPAddress)[0];

for (const [name, change] of Object.entries(CHANGES)) {
  test(`S6: changed while containers run: ${name}`, { skip }, async () => {
    const ids = await startKept();
    const earlier = await Promise.all(ids.map(async (id) => {
      const { State, NetworkSettings } = await daemon.inspect(id);
      return { pid: State.Pid as number, born: startTime(State.Pid), address: address(NetworkSettings) };
    }));
    await daemon.kill9();
    daemon.configure({ ...BASE, ...change.config });
    const logged = daemon.log().length;
    await daemon.start(change.flags);
    for (const [index, id] of ids.entries()) await assertUntouched(id, PORT + index, earlier[index] ?? assert.fail());
    if (change.pending === undefined) assert.doesNotMatch(await notices(), /wait/);
    else {
      assert.match(await notices(), change.pending);
      assert.match(daemon.log().slice(logged), change.pending);
    }
    await withFresh(change.fresh);
    await daemon.ok('restart', '-t', '0', 'kept-own');
    await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', PORT + 1)).code === 0, 'the server after its restart');
    for (const id of ids) {
      await daemon.ok('stop', '-t', '0', id);
      await daemon.ok('rm', id);
    }
    assert.deepEqual(earlier.filter(({ pid }) => alive(pid)), []);
    await daemon.ok('network', 'rm', 'own');
    await daemon.kill9();
    await daemon.start(change.flags);
    assert.doesNotMatch(await notices(), /wait|is removed when/);
    await withFresh(change.applied);
    await daemon.kill9();
    daemon.configure(BASE);
    await daemon.start();
  });
}

async function withFresh(check: Change['fresh']): Promise<void> {
  if (check === undefined) return;
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  await check(id);
  await daemon.ok('rm', '-f', id);
}

test('S6: another storage driver: containers stay with theirs', { skip }, async () => {
  const [id = '', own = ''] = await startKept();
  const writes = async (): Promise<void> => {
    await daemon.ok('exec', id, 'sh', '-c', 'echo kept > /file');
    assert.equal(await daemon.ok('exec', id, 'cat', '/file'), 'kept');
  };
  await writes();
  await daemon.kill9();
  daemon.configure({ ...BASE, 'storage-driver': 'vfs' });
  const logged = daemon.log().length;
  await daemon.start();
  assert.equal((await daemon.request('GET', '/info')).json().Driver, 'vfs');
  assert.equal((await daemon.inspect(id)).State.Running, true);
  await writes();
  assert.match(await daemon.ok('diff', id), /A \/file/);
  assert.match(await notices(), /storage-driver vfs .*2 containers .*overlay2/);
  assert.match(daemon.log().slice(logged), /storage-driver vfs .*2 containers .*overlay2/);
  await daemon.ok('restart', '-t', '0', id);
  assert.equal(await daemon.ok('exec', id, 'cat', '/file'), 'kept');
  await daemon.ok('rm', '-f', id, own);
  await daemon.ok('network', 'rm', 'own');
  assert.doesNotMatch(await notices(), /storage-driver/);
  await daemon.kill9();
  daemon.configure(BASE);
  await daemon.start();
});

test('S6: the data root moved with its content, the same path leading there', { skip }, async () => {
  const [id = '', own = ''] = await startKept();
  await daemon.kill9();
  const moved = path.join(daemon.dir, 'moved');
  // What is mounted stays where it is; the rest can be moved with nobody noticing.
  renameSync(daemon.dataRoot, moved);
  execFileSync('ln', ['-s', moved, daemon.dataRoot]);
  await daemon.start();
  assert.equal((await daemon.talk('tcp', '127.0.0.1', PORT)).stdout, 'hello\n');
  assert.equal((await daemon.inspect(id)).State.Running, true);
  assert.equal(await daemon.ok('logs', id), 'started');
  assert.equal(await daemon.ok('exec', id, 'echo', 'inside'), 'inside');
  await daemon.ok('restart', '-t', '0', id);
  await daemon.ok('rm', '-f', id, own);
  await daemon.ok('network', 'rm', 'own');
  await daemon.kill9();
  rmSync(daemon.dataRoot);
  renameSync(moved, daemon.dataRoot);
  await daemon.start();
});

/** Lines with a number, as fast as they are asked for: `kill -USR1` makes the next hundred. */
const COUNTER = 'n=0; trap \'i=0; while [ $i -lt 100 ]; do n=$((n+1)); i=$((i+1)); echo line $n; done\' USR1; echo started; while :; do sleep 0.1; done';
/** What is in a container's log files, of all turns; empty while one is being turned. */
function readLogs(folder: string): string {
  try {
    const files = readdirSync(folder).filter((name) => name.includes('-json.log'));
    return files.map((name) => readFileSync(path.join(folder, name), 'utf8')).join('');
  } catch {
    return '';
  }
}
const counted = (text: string): number[] => text.split('\n').flatMap((line) => (/^line \d+$/.test(line) ? [Number(line.slice(5))] : []));

test('S6: the data root moved with its content to another path', { skip }, async () => {
  const roots = [daemon.dataRoot, path.join(daemon.dir, 'moved')] as const;
  await daemon.ok('network', 'create', 'own');
  await daemon.ok('volume', 'create', 'kept-volume');
  const server = await daemon.ok('run', '-d', '--name', 'kept', '-p', `${PORT}:7`, '-v', 'kept-volume:/v', '--restart', 'always', 'busybox', 'sh', '-c', 'echo started; exec nc -ll -p 7 -e cat');
  const writer = await daemon.ok('run', '-d', '--name', 'writer', '--network', 'own', '--log-opt', 'max-size=1k', '--log-opt', 'max-file=50', 'busybox', 'sh', '-c', COUNTER);
  const pids = await Promise.all([server, writer].map(async (id) => (await daemon.inspect(id)).State.Pid as number));
  const write = async (lines: number): Promise<void> => {
    process.kill(pids[1] ?? assert.fail(), 'SIGUSR1');
    await eventually(() => roots.some((root) => readLogs(path.join(root, 'containers', writer)).match(/"log":"line \d+\\n"/g)?.length === lines), `${lines} lines in the log`);
  };
  await write(100);
  for (const [index, [from, to]] of [roots, [roots[1], roots[0]] as const].entries()) {
    await daemon.kill9();
    renameSync(from, to);
    // Nobody has told the shim yet, and its log turns several times.
    await write(200 + index * 200);
    await daemon.start(['--data-root', to]);
    assert.deepEqual(await Promise.all([server, writer].map(async (id) => (await daemon.inspect(id)).State.Pid as number)), pids);
    assert.doesNotMatch(await notices(), /wait|no record/);
    assert.equal((await daemon.request('GET', '/info')).json().DockerRootDir, to);
    assert.equal((await daemon.talk('tcp', '127.0.0.1', PORT)).stdout, 'hello\n');
    assert.equal(await daemon.ok('exec', server, 'sh', '-c', 'echo x >> /v/file; echo inside'), 'inside');
    await write(300 + index * 200);
    assert.deepEqual(counted(await daemon.ok('logs', writer)), Array.from({ length: 300 + index * 200 }, (_, n) => n + 1));
    const { Mounts, LogPath, HostsPath } = await daemon.inspect(server);
    assert.deepEqual([Mounts[0].Source, LogPath, HostsPath], [path.join(to, 'volumes/kept-volume/_data'), path.join(to, 'containers', server, `${server}-json.log`), path.join(to, 'containers', server, 'hosts')]);
  }
  // Its shim restarts it by itself, from a bundle that names the root as it is now.
  await daemon.kill9();
  process.kill(pids[0] ?? assert.fail(), 'SIGKILL');
  await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', PORT)).stdout === 'hello\n', 'the server after its restart');
  await daemon.start(['--data-root', roots[0]]);
  const { State, RestartCount } = await daemon.inspect(server);
  assert.deepEqual([State.Status, RestartCount], ['running', 1]);
  assert.equal(await daemon.ok('exec', server, 'cat', '/v/file'), 'x\nx');
  for (const id of [server, writer]) {
    await daemon.ok('restart', '-t', '0', id);
    await daemon.ok('stop', '-t', '0', id);
    await daemon.ok('start', id);
    await daemon.ok('rm', '-f', id);
  }
  await daemon.ok('network', 'rm', 'own');
  await daemon.ok('volume', 'rm', 'kept-volume');
});

test('S6: another data root: the one in use stays until none of its containers runs', { skip }, async () => {
  const [id = '', own = ''] = await startKept();
  const elsewhere = path.join(daemon.dir, 'other-data');
  await daemon.kill9();
  await daemon.start(['--data-root', elsewhere]);
  assert.match(await notices(), /data-root .*other-data waits until no container of .*data runs/);
  assert.equal((await daemon.request('GET', '/info')).json().DockerRootDir, daemon.dataRoot);
  assert.equal((await daemon.inspect(id)).State.Running, true);
  await daemon.ok('rm', '-f', id, own);
  await daemon.ok('network', 'rm', 'own');
  await daemon.kill9();
  await daemon.start(['--data-root', elsewhere]);
  assert.deepEqual([(await daemon.request('GET', '/info')).json().DockerRootDir, await daemon.ok('ps', '-aq')], [elsewhere, '']);
  await daemon.kill9();
  await daemon.start();
});

test('S6: the data root moved, and the old path given: nothing is ended, and the right path finds all', { skip }, async () => {
  const [id = '', own = ''] = await startKept();
  const before = await daemon.inspect(id);
  const moved = path.join(daemon.dir, 'moved');
  await daemon.kill9();
  renameSync(daemon.dataRoot, moved);
  await daemon.start();
  const listed = await daemon.inspect(id);
  assert.deepEqual([listed.State.Pid, alive(before.State.Pid)], [before.State.Pid, true]);
  assert.match(await notices(), new RegExp(`container ${id.slice(0, 12)}.*no record in ${daemon.dataRoot}`));
  assert.equal((await daemon.talk('tcp', '127.0.0.1', PORT)).stdout, 'hello\n');
  await daemon.kill9();
  rmSync(daemon.dataRoot, { recursive: true });
  await daemon.start(['--data-root', moved]);
  const after = await daemon.inspect(id);
  assert.deepEqual([after.State.Pid, after.State.Status, after.Name], [before.State.Pid, 'running', '/kept']);
  await daemon.ok('rm', '-f', id, own);
  await daemon.ok('network', 'rm', 'own');
  await daemon.kill9();
  renameSync(moved, daemon.dataRoot);
  await daemon.start();
});
