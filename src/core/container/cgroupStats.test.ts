import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCgroupStats, parseNetDev, parseSystemCpu } from './cgroupStats.ts';

const HOST = { readNs: 5n, systemCpuNs: 7n, onlineCpus: 2, memoryBytes: 1000n, networks: {} };

/** As a kernel 6.1 with cgroup v2 wrote them. */
const V2 = new Map([
  ['cpu.stat', 'usage_usec 23041\nuser_usec 12000\nsystem_usec 11041\nnr_periods 10\nnr_throttled 3\nthrottled_usec 4000\nnr_bursts 0\nburst_usec 0\n'],
  ['memory.current', '450560\n'],
  ['memory.max', 'max\n'],
  ['memory.stat', 'anon 131072\nfile 0\nkernel 200704\ninactive_file 4096\nworkingset_refault_anon 0\n'],
  ['memory.events', 'low 0\nhigh 0\nmax 0\noom 2\noom_kill 1\noom_group_kill 0\n'],
  ['pids.current', '3\n'],
  ['pids.max', '100\n'],
  ['io.stat', '254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0\n7:0 \n'],
]);

test('cgroup v2', () => {
  const stats = parseCgroupStats(2, V2, HOST);
  assert.deepEqual(stats.cpu, { totalNs: 23_041_000n, kernelNs: 11_041_000n, userNs: 12_000_000n, perCpuNs: [], periods: 10n, throttledPeriods: 3n, throttledNs: 4_000_000n });
  assert.equal(stats.memory.limit, 1000n);
  assert.equal(stats.memory.failCount, 2n);
  assert.equal(stats.memory.detail['inactive_file'], 4096n);
  assert.deepEqual(stats.pids, { current: 3n, limit: 100n });
  assert.deepEqual(stats.blkio.serviceBytes.map(({ op, value }) => [op, value]), [['read', 4096n], ['write', 8192n], ['discard', 0n]]);
});

test('cgroup v1', () => {
  const stats = parseCgroupStats(1, new Map([
    ['cpuacct/cpuacct.usage', '9007199254740993\n'],
    ['cpuacct/cpuacct.stat', 'user 12\nsystem 3\n'],
    ['cpuacct/cpuacct.usage_percpu', '10 20 \n'],
    ['memory/memory.limit_in_bytes', '9223372036854771712\n'],
    ['memory/memory.stat', 'total_inactive_file 8192\nhierarchical_memory_limit 9223372036854771712\n'],
    ['pids/pids.max', 'max\n'],
    ['blkio/blkio.throttle.io_service_bytes_recursive', '8:0 Read 10\n8:0 Write 20\nTotal 30\n'],
  ]), HOST);
  assert.equal(stats.cpu.totalNs, 9007199254740993n);
  assert.equal(stats.cpu.userNs, 120_000_000n);
  assert.deepEqual(stats.cpu.perCpuNs, [10n, 20n]);
  assert.equal(stats.memory.limit, 1000n);
  assert.equal(stats.pids.limit, null);
  assert.deepEqual(stats.blkio.serviceBytes.map(({ op, value }) => [op, value]), [['read', 10n], ['write', 20n]]);
});

test('a controller that is not there counts as zero', () => {
  const stats = parseCgroupStats(2, new Map(), HOST);
  assert.equal(stats.memory.usage, 0n);
  assert.deepEqual(stats.blkio, { serviceBytes: [], serviced: [] });
});

test('network and CPU of /proc', () => {
  const net = parseNetDev('Inter-|   Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0:1024 10 1 2 0 0 0 0 2048 20 3 4 0 0 0 0\n');
  assert.deepEqual(net, { eth0: { rxBytes: 1024n, rxPackets: 10n, rxErrors: 1n, rxDropped: 2n, txBytes: 2048n, txPackets: 20n, txErrors: 3n, txDropped: 4n } });
  assert.deepEqual(parseSystemCpu('cpu  1 2 3 4 5 6 7 8 100 100\ncpu0 1\ncpu1 1\nintr 5\n'), { systemCpuNs: 360_000_000n, onlineCpus: 2 });
});
