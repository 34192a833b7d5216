/** `docker ps` and GET /containers/json: the shape, the filters, the order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { per } from '../fixtures/target.ts';

const daemon = useDaemon({}, async (fresh) => {
  await fresh.ok('volume', 'create', 'vol1');
  await fresh.ok('network', 'create', 'net1');
  await fresh.ok('run', '-d', '--name', 'one', '-l', 'color=red', '-v', 'vol1:/data', '--expose', '8080', 'busybox', 'sleep', '600');
  await fresh.ok('run', '-d', '--name', 'two', '-l', 'color=blue', '--network', 'net1', '-p', '18080:80', 'busybox', 'sleep', '600');
  await fresh.ok('create', '--name', 'three', '-l', 'color', 'busybox', 'echo', 'a b', "it's");
  await fresh.docker(['run', '--name', 'four', 'busybox', 'sh', '-c', 'exit 3']);
  await fresh.ok('pause', 'one');
});
const names = async (...args: string[]): Promise<string[]> => lines(await daemon.ok('ps', '--format', '{{.Names}}', ...args));

test('running ones, all, the last ones, newest first', async () => {
  assert.deepEqual(await names(), ['two', 'one']);
  assert.deepEqual(await names('-a'), ['four', 'three', 'two', 'one']);
  assert.deepEqual(await names('-n', '2'), ['four', 'three']);
  assert.deepEqual(await names('-l'), ['four']);
});

test('filters', async () => {
  const cases: [string[], string[]][] = [
    [['status=running'], ['two']],
    [['status=paused'], ['one']],
    [['status=created'], ['three']],
    [['status=exited'], ['four']],
    [['status=exited', 'status=created'], ['four', 'three']],
    [['exited=3'], ['four']],
    [['exited=0'], []],
    [['label=color'], ['three', 'two', 'one']],
    [['label=color=red'], ['one']],
    [['label=color=red', 'label=other'], []],
    [['name=o'], ['four', 'two', 'one']],
    [['name=^one$'], ['one']],
    [['name=/one'], ['one']],
    [['ancestor=busybox'], ['four', 'three', 'two', 'one']],
    [['ancestor=busybox:latest'], ['four', 'three', 'two', 'one']],
    [['ancestor=nothing'], []],
    [['volume=vol1'], ['one']],
    [['volume=/data'], ['one']],
    [['network=net1'], ['two']],
    [['network=bridge', 'status=paused'], ['one']],
    [['before=two'], ['one']],
    [['since=two'], ['four', 'three']],
    [['publish=18080'], ['two']],
    [['expose=8080/tcp'], ['one']],
    [['health=none'], ['four', 'three', 'two', 'one']],
    [['is-task=true'], []],
  ];
  for (const [filters, wanted] of cases) assert.deepEqual(await names('-a', ...filters.flatMap((filter) => ['-f', filter])), wanted, filters.join(' '));
  const id = (await daemon.inspect('two')).Id as string;
  assert.deepEqual(await names('-a', '-f', `id=${id.slice(0, 10)}`), ['two']);
});

test('filters that are wrong', async () => {
  const ask = (filters: unknown) => daemon.request('GET', `/containers/json?filters=${encodeURIComponent(JSON.stringify(filters))}`);
  const unknown = await ask({ colour: ['red'] });
  assert.equal(unknown.status, 400);
  assert.match(unknown.message(), per({ moored: /^invalid filter 'colour'$/, dockerd: /[Ii]nvalid filter 'colour'/ }));
  assert.equal((await ask({ status: ['sleeping'] })).status, 400);
  assert.equal((await ask({ exited: ['x'] })).status, per({ moored: 400, dockerd: 500 }));
  assert.equal((await ask('text')).status, per({ moored: 400, dockerd: 500 }));
  assert.deepEqual((await ask({ label: { 'color=blue': true } })).json().map((container: { Names: string[] }) => container.Names), [['/two']]);
});

test('the shape of the list', async () => {
  const all = (await daemon.request('GET', '/containers/json?all=1')).json();
  const [four, three, two, one] = all;
  const image = (await daemon.request('GET', '/images/busybox/json')).json().Id;
  assert.match(two.Id, /^[0-9a-f]{64}$/);
  assert.deepEqual([two.Names, two.Image, two.ImageID, two.Command, two.State, two.Labels, two.HostConfig.NetworkMode], [['/two'], 'busybox', image, 'sleep 600', 'running', { color: 'blue' }, 'net1']);
  assert.match(two.Status, /^Up (Less than a second|\d+ seconds?|About a minute)$/);
  assert.match(one.Status, /^Up .* \(Paused\)$/);
  assert.equal(one.State, 'paused');
  assert.equal(three.Status, 'Created');
  assert.match(four.Status, /^Exited \(3\) /);
  assert.equal(three.Command, `echo 'a b' it's`);
  assert.ok(Number.isInteger(two.Created) && Math.abs(two.Created - Math.floor(performance.timeOrigin / 1000)) < 600);
  assert.deepEqual(two.Ports.filter((port: { IP: string }) => port.IP === '0.0.0.0'), [{ IP: '0.0.0.0', PrivatePort: 80, PublicPort: 18080, Type: 'tcp' }]);
  assert.deepEqual(one.Ports, [{ PrivatePort: 8080, Type: 'tcp' }]);
  assert.deepEqual(three.Ports, []);
  assert.deepEqual(one.Mounts.map(({ Type, Name, Destination, Driver, Mode, RW }: Record<string, unknown>) => ({ Type, Name, Destination, Driver, Mode, RW })), [{ Type: 'volume', Name: 'vol1', Destination: '/data', Driver: 'local', Mode: 'z', RW: true }]);
  assert.equal(two.NetworkSettings.Networks.net1.IPAddress, (await daemon.inspect('two')).NetworkSettings.Networks.net1.IPAddress);
  assert.equal('SizeRootFs' in two, false);
});

test('sizes, when asked for', async () => {
  const [two] = (await daemon.request('GET', '/containers/json?size=1')).json();
  assert.ok(two.SizeRootFs > 500_000);
});

test('ids in full and short, and what the table shows', async () => {
  const id = (await daemon.inspect('two')).Id as string;
  assert.deepEqual(lines(await daemon.ok('ps', '-q', '-f', 'name=two')), [id.slice(0, 12)]);
  assert.deepEqual(lines(await daemon.ok('ps', '-q', '--no-trunc', '-f', 'name=two')), [id]);
  assert.match(await daemon.ok('ps', '-f', 'name=two'), /0\.0\.0\.0:18080->80\/tcp/);
});

test('limit must be a number', async () => {
  assert.equal((await daemon.request('GET', '/containers/json?limit=x')).status, per({ moored: 400, dockerd: 500 }));
});
