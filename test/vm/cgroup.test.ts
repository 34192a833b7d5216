/** cgroup v2, with containers below /moored and with systemd's scopes. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Host } from './host.ts';
import { useHost } from './host.ts';

const LIMITS = '--memory 64m --memory-reservation 32m --memory-swap 96m --cpus 0.5 --pids-limit 50 --cpuset-cpus 0';

async function limitsStand(host: Host): Promise<void> {
  await host.ok(`docker run -d --name limited ${LIMITS} busybox sleep 100000`);
  const read = async (...files: readonly string[]): Promise<string[]> => Promise.all(files.map((file) => host.cgroupFile('limited', file)));
  assert.deepEqual(
    await read('memory.max', 'memory.low', 'memory.swap.max', 'cpu.max', 'pids.max', 'cpuset.cpus'),
    ['67108864', '33554432', '33554432', '50000 100000', '50', '0'],
  );
  await host.ok('docker update --memory 80m --memory-swap 160m --cpus 0.25 --pids-limit 60 limited');
  assert.deepEqual(await read('memory.max', 'memory.swap.max', 'cpu.max', 'pids.max'), ['83886080', '83886080', '25000 100000', '60']);
  // The runtime has applied them, and they hold for the next run too.
  await host.ok('docker restart -t 0 limited');
  assert.deepEqual(await read('memory.max', 'memory.swap.max', 'cpu.max', 'pids.max'), ['83886080', '83886080', '25000 100000', '60']);
}

async function countersAndProcesses(host: Host): Promise<void> {
  await host.ok('docker run -d --name busy busybox sh -c "sleep 98765 & sleep 98766"');
  await host.until('docker top busy | grep -q 98765');
  assert.match(await host.ok('docker top busy'), /sleep 98766/);
  const [cpu = '', memory = '', pids = ''] = (await host.ok(`docker stats --no-stream --format '{{.CPUPerc}},{{.MemUsage}},{{.PIDs}}' busy`)).split(',');
  assert.match(cpu, /^\d+\.\d+%$/);
  assert.match(memory, /^[1-9][\d.]*[KM]iB \/ 1\.\d+GiB$/);
  // The shell may have become the second one.
  assert.match(pids, /^[23]$/);
}

async function freezing(host: Host): Promise<void> {
  await host.ok('docker run -d --name frozen busybox sleep 100000');
  await host.ok('docker pause frozen');
  assert.match(await host.cgroupFile('frozen', 'cgroup.events'), /^frozen 1$/m);
  await host.ok('systemctl kill -s KILL moored && sleep 1');
  await host.until('docker version >/dev/null');
  assert.equal(await host.inspect('frozen', '{{.State.Status}}'), 'paused');
  await host.ok('docker unpause frozen');
  assert.match(await host.cgroupFile('frozen', 'cgroup.events'), /^frozen 0$/m);
  await host.ok('docker pause frozen && docker rm -f frozen');
}

async function outOfMemory(host: Host): Promise<void> {
  const { code } = await host.machine.run(`docker run --name greedy --memory 16m busybox sh -c 'x=a; while :; do x=$x$x; done'`, 300_000);
  assert.equal(code, 137);
  assert.equal(await host.inspect('greedy', '{{.State.OOMKilled}} {{.State.ExitCode}}'), 'true 137');
}

async function survivingKill(host: Host): Promise<void> {
  await host.ok(`docker run -d --name survivor --memory 64m busybox sh -c 'i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done'`);
  const before = await host.runs();
  for (let round = 0; round < 3; round += 1) {
    await host.ok('systemctl kill -s KILL moored && sleep 1');
    await host.until('docker version >/dev/null');
    assert.equal(await host.runs(), before);
  }
  const lines = (await host.ok('docker logs survivor')).split('\n').map(Number);
  assert.deepEqual(lines, lines.map((_line, index) => index + 1));
  assert.equal(await host.cgroupFile('survivor', 'memory.max'), '67108864');
}

const CASES = { 'limits stand, and are changed': limitsStand, 'top and stats': countersAndProcesses, 'frozen stays frozen': freezing, 'OOM': outOfMemory, 'kill -9 of the daemon': survivingKill };

suite('cgroup v2', () => {
  const host = useHost({ 'live-restore': true });

  test('the host is what it should be', async () => {
    assert.equal(await host().ok(`docker info -f '{{.CgroupVersion}} {{.CgroupDriver}}'`), '2 cgroupfs');
  });
  for (const [name, body] of Object.entries(CASES)) test(`cgroupfs: ${name}`, () => body(host()));

  test('removed containers leave no cgroup', async () => {
    await host().removeAll();
    await host().until('[ -z "$(find /sys/fs/cgroup/moored -mindepth 1 -type d)" ] && [ -z "$(cat /sys/fs/cgroup/moored-shims/cgroup.procs)" ]');
  });

  test('another cgroup driver: what ran before runs on', async () => {
    await host().ok('docker run -d --name old busybox sleep 100000');
    const before = await host().runs();
    await host().configure({ 'live-restore': true, 'exec-opts': ['native.cgroupdriver=systemd'] });
    await host().ok('systemctl restart moored');
    assert.equal(await host().runs(), before);
    assert.equal(await host().ok(`docker info -f '{{.CgroupVersion}} {{.CgroupDriver}}'`), '2 systemd');
    assert.match(await host().cgroupFile('old', 'memory.max'), /^max$/);
    assert.match(await host().ok('docker top old'), /sleep 100000/);
    await host().ok('docker rm -f old');
  });

  test('systemd: a container is a scope', async () => {
    await host().ok('docker run -d --name scoped --memory 64m busybox sleep 100000');
    const scope = `moored-${await host().inspect('scoped', '{{.Id}}')}.scope`;
    assert.equal(await host().ok(`systemctl show -P MemoryMax ${scope}`), '67108864');
    assert.match(await host().ok(`systemctl show -P ControlGroup ${scope}`), /^\/system\.slice\//);
    await host().ok('systemctl daemon-reload');
    assert.equal(await host().cgroupFile('scoped', 'memory.max'), '67108864');
    await host().ok('docker rm -f scoped');
  });
  for (const [name, body] of Object.entries(CASES)) test(`systemd: ${name}`, () => body(host()));

  test('removed containers leave no scope', async () => {
    await host().removeAll();
    await host().until('! systemctl list-units --all --plain --no-legend "moored-*.scope" | grep .');
  });
});
