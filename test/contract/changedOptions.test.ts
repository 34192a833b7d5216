/**
 * S6 of docs/continuity.md: options that matter to running containers, changed over a `kill -9`. What runs stays reachable
 * and manageable; what has to wait for it is said in `docker info` and in the log, and counts as soon as nothing waits.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
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
  /** What is said to be for new containers, or for the next start of these, as long as they run. */
  readonly keeps?: { readonly created?: string; readonly started?: string };
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
    keeps: { created: 'log-driver' },
    fresh: async (id) => assert.equal(await fact(id, ({ HostConfig }) => HostConfig.LogConfig.Type), 'none'),
  },
  'log options and pipe size': {
    config: { 'log-opts': { 'max-size': '1m' }, 'log-pipe-size': '256k' },
    keeps: { created: 'log-opts', started: 'log-pipe-size' },
    fresh: async (id) => assert.deepEqual(await fact(id, ({ HostConfig }) => HostConfig.LogConfig.Config), { 'max-size': '1m' }),
  },
  'the parent cgroup': {
    config: { 'cgroup-parent': '/moored-elsewhere' },
    keeps: { started: 'cgroup-parent' },
    fresh: async (id) => assert.match(await daemon.ok('exec', id, 'cat', '/proc/1/cgroup'), new RegExp(`/moored-elsewhere/${id}`)),
  },
  'a runtime of another name': {
    config: { 'default-runtime': 'other', runtimes: { other: { path: 'runc' } } },
    keeps: { created: 'default-runtime' },
    fresh: async (id) => assert.equal(await fact(id, ({ HostConfig }) => HostConfig.Runtime), 'other'),
  },
  'execution options: shm size, ulimits, privileges, ipc': {
    config: { 'default-shm-size': '8m', 'default-ulimits': { nofile: { Name: 'nofile', Soft: 99, Hard: 99 } }, 'no-new-privileges': true, 'default-ipc-mode': 'shareable', init: true, dns: ['10.1.1.1'] },
    keeps: { created: 'default-ipc-mode, default-shm-size', started: 'default-ulimits, dns, init, no-new-privileges' },
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
  'no firewall of ours any more': { config: { iptables: false, ip6tables: false }, keeps: { started: 'ip6tables, iptables' } },
  'no relays': {
    config: { 'userland-proxy': false },
    keeps: { started: 'userland-proxy' },
    fresh: async () => {
      const id = await daemon.ok('run', '-d', '-p', `${PORT + 2}:7`, 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
      await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', PORT + 2)).code === 0, 'the server');
      assert.equal((await daemon.talk('tcp', '::1', PORT + 2)).code, 1, 'a relay answers');
      assert.equal((await daemon.talk('tcp', '::1', PORT)).stdout, 'hello\n', 'the relay of a container that runs');
      await daemon.ok('rm', '-f', id);
    },
  },
  'execution options: the cgroup driver': { config: { 'exec-opts': ['native.cgroupdriver=cgroupfs'] }, keeps: { started: 'exec-opts' } },
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
    const kept = keptLines(change.keeps ?? {});
    assert.deepEqual((await notices()).split('\n').filter((line) => line.includes('changed since')), kept.map((line) => `WARNING: ${line}`));
    for (const line of kept) assert.ok(daemon.log().slice(logged).includes(`msg="${line}"`), `not in the log: ${line}`);
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
    assert.doesNotMatch(await notices(), /wait|is removed when|changed since/);
    await withFresh(change.applied);
    await daemon.kill9();
    daemon.configure(BASE);
    await daemon.start();
  });
}

const keptLines = ({ created, started }: NonNullable<Change['keeps']>): string[] => [
  ...(created === undefined ? [] : [`changed since 2 running containers were created, and for new ones only: ${created}`]),
  ...(started === undefined ? [] : [`changed since 2 running containers were started, and for their next start: ${started}`]),
];

async function withFresh(check: Change['fresh']): Promise<void> {
  if (check === undefined) return;
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  await check(id);
  await daemon.ok('rm', '-f', id);
}

test('S6: changed in the file and reloaded: what counts from the next start is said', { skip }, async () => {
  const [id = '', own = ''] = await startKept();
  await daemon.reload({ ...BASE, bip: '192.168.90.1/24', mtu: 1400, 'log-pipe-size': '256k' });
  assert.match(await notices(), /changed in the configuration file, and for the daemon's next start: bip, mtu/);
  assert.match(await notices(), /changed since 2 running containers were started, and for their next start: log-pipe-size/);
  await daemon.reload(BASE);
  assert.doesNotMatch(await notices(), /next start: bip/);
  await daemon.ok('rm', '-f', id, own);
  await daemon.ok('network', 'rm', 'own');
  assert.doesNotMatch(await notices(), /changed/);
});

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
