/** Legacy links where containers of the default network are kept apart, and the gateway modes of user-defined ones, through the docker client. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';
import { mooredOnly } from '../fixtures/target.ts';

const daemon = useDaemon({ config: { 'live-restore': true, icc: false } });
const ECHO = ['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'];
const says = async (from: string, host: string): Promise<string> => (await daemon.docker(['exec', from, 'sh', '-c', `echo hi | nc -w 2 ${host} 7`])).stdout;

test('icc off: --link opens the exposed ports, over a crash too, until the link is removed', mooredOnly('dockerd needs br_netfilter for it'), async () => {
  const db = await daemon.ok('run', '-d', '--name', 'db', '--expose', '7', ...ECHO);
  await daemon.ok('run', '-d', '--name', 'web', '--link', 'db:store', 'busybox', 'sleep', '600');
  await daemon.ok('run', '-d', '--name', 'other', 'busybox', 'sleep', '600');
  await eventually(async () => (await says('web', 'store')) === 'hi\n', 'the linked server');
  const { IPAddress } = (await daemon.inspect(db)).NetworkSettings;
  assert.equal(await says('other', IPAddress), '');
  await daemon.crash();
  assert.equal(await says('web', 'store'), 'hi\n');
  assert.equal(await says('other', IPAddress), '');
  await daemon.ok('restart', '-t', '0', 'db');
  await eventually(async () => (await says('web', 'store')) === 'hi\n', 'the linked server after its restart');
  const missing = await daemon.docker(['rm', '--link', 'web/nothing']);
  assert.deepEqual([missing.code, /No such container: web\/nothing/.test(missing.stderr)], [1, true]);
  assert.match((await daemon.docker(['rm', '--link', 'nobody/store'])).stderr, /Cannot get parent \/nobody for link name \/nobody\/store/);
  assert.match((await daemon.docker(['rm', '--link', 'web'])).stderr, /Conflict, cannot remove the default link name of the container/);
  await daemon.ok('rm', '--link', 'web/store');
  assert.equal(await says('web', IPAddress), '');
  assert.deepEqual((await daemon.inspect('web')).HostConfig.Links, null);
  assert.doesNotMatch(await daemon.ok('exec', 'web', 'cat', '/etc/hosts'), /store/);
  await daemon.ok('rm', '-f', 'db', 'web', 'other');
});

test('a routed network: ports are shown without a port of the host', mooredOnly('dockerd 20.10 has no gateway modes'), async () => {
  await daemon.ok('network', 'create', '-o', 'com.docker.network.bridge.gateway_mode_ipv4=routed', 'open-sea');
  const id = await daemon.ok('run', '-d', '--network', 'open-sea', '-p', '18080:7', ...ECHO);
  assert.deepEqual((await daemon.inspect(id)).NetworkSettings.Ports, { '7/tcp': [{ HostIp: '0.0.0.0', HostPort: '' }] });
  assert.match(await daemon.ok('ps', '--filter', `id=${id}`, '--format', '{{.Ports}}'), /^7\/tcp$/);
  const address = (await daemon.inspect(id)).NetworkSettings.Networks['open-sea'].IPAddress as string;
  const peer = daemon.peer();
  await eventually(async () => (await daemon.talk('tcp', address, 7, { netns: peer })).stdout === 'hello\n', 'the port from another host');
  await daemon.crash();
  assert.equal((await daemon.talk('tcp', address, 7, { netns: peer })).stdout, 'hello\n');
  assert.equal((await daemon.talk('bind-tcp', '0.0.0.0', 18080)).code, 0, 'the port of the host is free');
  await daemon.ok('rm', '-f', id);
  await daemon.ok('network', 'rm', 'open-sea');
});

test('nobody is on a configuration network', mooredOnly('words'), async () => {
  await daemon.ok('network', 'create', '--config-only', '--subnet', '10.66.0.0/24', 'plan');
  const run = await daemon.docker(['run', '--name', 'lost', '--network', 'plan', 'busybox', 'true']);
  assert.deepEqual([run.code, /cannot create endpoint on configuration-only network/.test(run.stderr)], [125, true], run.stderr);
  await daemon.ok('rm', '-f', 'lost');
  await daemon.ok('network', 'rm', 'plan');
});
