/** Volumes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';

const daemon = useDaemon();

test('create, inspect, list, remove', async () => {
  assert.equal(await daemon.ok('volume', 'create', '--label', 'a=b', 'one'), 'one');
  const volume = (await daemon.request('GET', '/volumes/one')).json();
  assert.deepEqual([volume.Name, volume.Driver, volume.Labels, volume.Scope], ['one', 'local', { a: 'b' }, 'local']);
  assert.ok(volume.Mountpoint.startsWith(daemon.dataRoot));
  assert.match(volume.CreatedAt, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$/);
  const list = (await daemon.request('GET', '/volumes')).json();
  assert.deepEqual(list.Volumes.map(({ Name }: { Name: string }) => Name), ['one']);
  await daemon.ok('volume', 'rm', 'one');
  const gone = await daemon.request('GET', '/volumes/one');
  assert.deepEqual([gone.status, gone.message()], [404, 'get one: no such volume']);
});

test('creating again is no error; anonymous ones get a name', async () => {
  const make = (body: unknown) => daemon.request('POST', '/volumes/create', { body });
  assert.equal((await make({ Name: 'twice' })).status, 201);
  assert.equal((await make({ Name: 'twice' })).status, 201);
  const anonymous = (await make({})).json();
  assert.match(anonymous.Name, /^[0-9a-f]{64}$/);
  await daemon.ok('volume', 'rm', 'twice', anonymous.Name);
});

test('data stays when containers go', async () => {
  await daemon.ok('run', '--rm', '-v', 'data:/d', 'busybox', 'sh', '-c', 'echo kept > /d/f');
  assert.equal(await daemon.ok('run', '--rm', '-v', 'data:/d:ro', 'busybox', 'sh', '-c', 'cat /d/f; touch /d/x 2>/dev/null || echo refused'), 'kept\nrefused');
  await daemon.ok('volume', 'rm', 'data');
});

test('one that is in use is not removed', async () => {
  const id = await daemon.ok('create', '-v', 'used:/d', 'busybox', 'true');
  const answer = await daemon.request('DELETE', '/volumes/used');
  assert.deepEqual([answer.status, answer.message()], [409, `remove used: volume is in use - [${id}]`]);
  await daemon.ok('rm', id);
  assert.equal((await daemon.request('DELETE', '/volumes/used')).status, 204);
  assert.equal((await daemon.request('DELETE', '/volumes/used')).status, 404);
  assert.equal((await daemon.request('DELETE', '/volumes/used?force=1')).status, 204);
});

test('names, drivers and options that cannot be', async () => {
  const make = (body: unknown) => daemon.request('POST', '/volumes/create', { body });
  const name = await make({ Name: '../up' });
  assert.equal(name.status, 400);
  assert.match(name.message(), /"\.\.\/up" includes invalid characters for a local volume name, only "\[a-zA-Z0-9\]\[a-zA-Z0-9_\.-\]" are allowed/);
  const driver = await make({ Name: 'x', Driver: 'nothing' });
  assert.equal(driver.status, 404);
  assert.match(driver.message(), /nothing.*not found|looking up volume plugin nothing/);
  assert.equal((await make({ Name: 'x', DriverOpts: { nonsense: '1' } })).status, 400);
});

test('local driver options: tmpfs and bind', async () => {
  await daemon.ok('volume', 'create', '-o', 'type=tmpfs', '-o', 'device=tmpfs', '-o', 'o=size=1m', 'memory');
  assert.match(await daemon.ok('run', '--rm', '-v', 'memory:/m', 'busybox', 'grep', ' /m ', '/proc/mounts'), /^tmpfs \/m tmpfs .*size=1024k/);
  await daemon.ok('volume', 'create', '-o', 'type=none', '-o', 'o=bind', '-o', `device=${daemon.dir}/home`, 'bound');
  await daemon.ok('run', '--rm', '-v', 'bound:/b', 'busybox', 'touch', '/b/seen');
  assert.equal(await daemon.ok('run', '--rm', '-v', `${daemon.dir}/home:/b`, 'busybox', 'ls', '/b/seen'), '/b/seen');
  await daemon.ok('volume', 'rm', 'memory', 'bound');
});

test('filters', async () => {
  await daemon.ok('volume', 'create', '--label', 'color=red', 'red');
  await daemon.ok('volume', 'create', 'plain');
  const id = await daemon.ok('create', '-v', 'plain:/d', 'busybox', 'true');
  const names = async (...filters: string[]): Promise<string[]> => (await daemon.ok('volume', 'ls', '-q', ...filters.flatMap((filter) => ['-f', filter]))).split('\n').filter(Boolean).toSorted();
  assert.deepEqual(await names('label=color'), ['red']);
  assert.deepEqual(await names('label=color=blue'), []);
  assert.deepEqual(await names('dangling=true'), ['red']);
  assert.deepEqual(await names('dangling=false'), ['plain']);
  assert.deepEqual(await names('name=la'), ['plain']);
  assert.deepEqual(await names('driver=local'), ['plain', 'red']);
  assert.equal((await daemon.request('GET', `/volumes?filters=${encodeURIComponent('{"x":["y"]}')}`)).status, 400);
  await daemon.ok('rm', id);
  await daemon.ok('volume', 'rm', 'red', 'plain');
});

test('prune', async () => {
  const anonymous = (await daemon.request('POST', '/volumes/create', { body: {} })).json().Name as string;
  await daemon.ok('volume', 'create', 'named');
  const pruned = (await daemon.request('POST', `/volumes/prune?filters=${encodeURIComponent('{"all":["true"]}')}`)).json();
  const names = pruned.VolumesDeleted as string[] | undefined;
  if (daemon.engine === 'moored') assert.deepEqual(names?.toSorted(), [anonymous, 'named'].toSorted());
  await daemon.docker(['volume', 'rm', anonymous, 'named']);
});

test('volumes-from', async () => {
  await daemon.ok('create', '--name', 'giver', '-v', 'given:/g', '-v', '/anon', 'busybox', 'true');
  assert.equal(await daemon.ok('run', '--rm', '--volumes-from', 'giver:ro', 'busybox', 'sh', '-c', 'touch /g/x 2>/dev/null || echo refused; ls -d /anon'), 'refused\n/anon');
  await daemon.ok('rm', '-v', 'giver');
  await daemon.ok('volume', 'rm', 'given');
});
