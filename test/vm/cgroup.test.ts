/** cgroup v2, with containers below /moored and with systemd's scopes. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Host } from './host.ts';
import { useHost } from './host.ts';

const SLEEP = ['sleep', '100000'];
const MIB = 1024 * 1024;

async function limitsStand(host: Host): Promise<void> {
  await host.run('limited', SLEEP, { HostConfig: { Memory: 64 * MIB, MemoryReservation: 32 * MIB, MemorySwap: 96 * MIB, NanoCpus: 500_000_000, PidsLimit: 50, CpusetCpus: '0' } });
  assert.deepEqual(
    await host.cgroupFiles('limited', ['memory.max', 'memory.low', 'memory.swap.max', 'cpu.max', 'pids.max', 'cpuset.cpus']),
    ['67108864', '33554432', '33554432', '50000 100000', '50', '0'],
  );
  await host.api('POST', '/containers/limited/update', { Memory: 80 * MIB, MemorySwap: 160 * MIB, NanoCpus: 250_000_000, PidsLimit: 60 });
  const changed = ['83886080', '83886080', '25000 100000', '60'];
  assert.deepEqual(await host.cgroupFiles('limited', ['memory.max', 'memory.swap.max', 'cpu.max', 'pids.max']), changed);
  // The runtime has applied them, and they hold for the next run too.
  await host.api('POST', '/containers/limited/restart?t=0');
  assert.deepEqual(await host.cgroupFiles('limited', ['memory.max', 'memory.swap.max', 'cpu.max', 'pids.max']), changed);
}

async function countersAndProcesses(host: Host): Promise<void> {
  await host.run('busy', ['sh', '-c', 'sleep 98765 & sleep 98766']);
  await host.until('/opt/api GET /containers/busy/top | grep -q 98765');
  assert.match(JSON.stringify(await host.api('GET', '/containers/busy/top')), /sleep 98766/);
  const stats = await host.api('GET', '/containers/busy/stats?stream=false');
  assert.ok(stats.cpu_stats.cpu_usage.total_usage > 0);
  assert.ok(stats.memory_stats.usage > 0 && stats.memory_stats.limit > 1024 * MIB, JSON.stringify(stats.memory_stats));
  // The shell may have become the second one.
  assert.ok([2, 3].includes(stats.pids_stats.current), JSON.stringify(stats.pids_stats));
}

async function freezing(host: Host): Promise<void> {
  await host.run('frozen', SLEEP);
  await host.api('POST', '/containers/frozen/pause');
  assert.match(await host.cgroupFile('frozen', 'cgroup.events'), /^frozen 1$/m);
  await host.crash();
  assert.equal((await host.inspect('frozen')).State.Status, 'paused');
  await host.api('POST', '/containers/frozen/unpause');
  assert.match(await host.cgroupFile('frozen', 'cgroup.events'), /^frozen 0$/m);
  await host.api('POST', '/containers/frozen/pause');
  await host.api('DELETE', '/containers/frozen?force=1');
}

async function outOfMemory(host: Host): Promise<void> {
  await host.run('greedy', ['sh', '-c', 'x=a; while :; do x=$x$x; done'], { HostConfig: { Memory: 16 * MIB } });
  assert.equal((await host.api('POST', '/containers/greedy/wait')).StatusCode, 137);
  const { OOMKilled, ExitCode } = (await host.inspect('greedy')).State;
  assert.deepEqual([OOMKilled, ExitCode], [true, 137]);
}

async function survivingKill(host: Host): Promise<void> {
  await host.run('survivor', ['sh', '-c', 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done'], { HostConfig: { Memory: 64 * MIB } });
  const before = await host.runs();
  for (let round = 0; round < 2; round += 1) {
    await host.crash();
    assert.equal(await host.runs(), before);
  }
  const lines = (await host.logs('survivor')).split('\n').map(Number);
  assert.deepEqual(lines, lines.map((_line, index) => index + 1));
  assert.equal(await host.cgroupFile('survivor', 'memory.max'), '67108864');
}

const CASES = { 'limits stand, and are changed': limitsStand, 'top and stats': countersAndProcesses, 'frozen stays frozen': freezing, 'OOM': outOfMemory, 'kill -9 of the daemon': survivingKill };

suite('cgroup v2', () => {
  const host = useHost({ 'live-restore': true });
  const driver = async (): Promise<unknown[]> => (({ CgroupVersion, CgroupDriver }) => [CgroupVersion, CgroupDriver])(await host().api('GET', '/info'));

  test('the host is what it should be', async () => {
    assert.deepEqual(await driver(), ['2', 'cgroupfs']);
  });
  for (const [name, body] of Object.entries(CASES)) test(`cgroupfs: ${name}`, () => body(host()));

  test('removed containers leave no cgroup', async () => {
    await host().removeAll();
    await host().until('[ -z "$(find /sys/fs/cgroup/moored -mindepth 1 -type d)" ] && [ -z "$(cat /sys/fs/cgroup/moored-shims/cgroup.procs)" ]');
  });

  test('another cgroup driver: what ran before runs on', async () => {
    await host().run('old', SLEEP);
    const before = await host().runs();
    await host().configure({ 'live-restore': true, 'exec-opts': ['native.cgroupdriver=systemd'] });
    await host().ok('systemctl restart moored');
    assert.equal(await host().runs(), before);
    assert.deepEqual(await driver(), ['2', 'systemd']);
    assert.match(await host().cgroupFile('old', 'memory.max'), /^max$/);
    assert.match(JSON.stringify(await host().api('GET', '/containers/old/top')), /sleep 100000/);
    await host().api('DELETE', '/containers/old?force=1');
  });

  test('systemd: a container is a scope', async () => {
    const scope = `moored-${await host().run('scoped', SLEEP, { HostConfig: { Memory: 64 * MIB } })}.scope`;
    assert.equal(await host().ok(`systemctl show -P MemoryMax ${scope}`), '67108864');
    assert.match(await host().ok(`systemctl show -P ControlGroup ${scope}`), /^\/system\.slice\//);
    await host().ok('systemctl daemon-reload');
    assert.equal(await host().cgroupFile('scoped', 'memory.max'), '67108864');
    await host().api('DELETE', '/containers/scoped?force=1');
  });
  for (const [name, body] of Object.entries(CASES)) test(`systemd: ${name}`, () => body(host()));

  test('removed containers leave no scope', async () => {
    await host().removeAll();
    await host().until('! systemctl list-units --all --plain --no-legend "moored-*.scope" | grep .');
  });
});
