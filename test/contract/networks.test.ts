/** Networks: their making, addresses, reach, and refusals. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';
import { mooredOnly } from '../fixtures/target.ts';

const daemon = useDaemon();
const ECHO = ['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'];
const says = async (from: string, address: string): Promise<string> => (await daemon.docker(['exec', from, 'sh', '-c', `echo hi | nc -w 2 ${address} 7`])).stdout;
// oxlint-disable-next-line typescript/no-explicit-any -- tests say what they expect
const inspect = async (name: string): Promise<any> => (await daemon.request('GET', `/networks/${name}`)).json();

test('three networks are there from the start, and stay', async () => {
  const list = (await daemon.request('GET', '/networks')).json() as { Name: string; Driver: string; Scope: string }[];
  assert.deepEqual(list.map(({ Name, Driver, Scope }) => `${Name} ${Driver} ${Scope}`).toSorted(), ['bridge bridge local', 'host host local', 'none null local']);
  for (const name of ['bridge', 'host', 'none']) {
    const answer = await daemon.request('DELETE', `/networks/${name}`);
    assert.deepEqual([answer.status, answer.message()], [403, `${name} is a pre-defined network and cannot be removed`]);
  }
});

test('create, inspect, remove', async () => {
  const created = await daemon.request('POST', '/networks/create', { body: { Name: 'one', Labels: { a: 'b' }, IPAM: { Config: [{ Subnet: '10.77.0.0/24', Gateway: '10.77.0.9', IPRange: '10.77.0.128/25' }] } } });
  assert.equal(created.status, 201);
  const network = await inspect('one');
  assert.match(network.Id, /^[0-9a-f]{64}$/);
  assert.deepEqual([network.Name, network.Driver, network.Scope, network.Internal, network.Attachable, network.Ingress, network.EnableIPv6, network.Labels], ['one', 'bridge', 'local', false, false, false, false, { a: 'b' }]);
  assert.deepEqual(network.IPAM.Config, [{ Subnet: '10.77.0.0/24', IPRange: '10.77.0.128/25', Gateway: '10.77.0.9' }]);
  assert.deepEqual(network.Containers, {});
  const id = await daemon.ok('run', '-d', '--name', 'inside', '--network', 'one', 'busybox', 'sleep', '600');
  const { Containers } = await inspect(network.Id.slice(0, 12));
  assert.equal(Containers[id].Name, 'inside');
  assert.equal(Containers[id].IPv4Address, '10.77.0.128/24');
  const refused = await daemon.request('DELETE', '/networks/one');
  assert.equal(refused.status, 403);
  assert.match(refused.message(), /network one .*has active endpoints/);
  await daemon.ok('rm', '-f', id);
  assert.equal((await daemon.request('DELETE', '/networks/one')).status, 204);
  const gone = await daemon.request('GET', '/networks/one');
  assert.equal(gone.status, 404);
  assert.match(gone.message(), /network one not found/);
});

test('what cannot be', async () => {
  await daemon.ok('network', 'create', '--subnet', '10.78.0.0/24', 'mine');
  const make = (body: Record<string, unknown>) => daemon.request('POST', '/networks/create', { body });
  const again = await make({ Name: 'mine', CheckDuplicate: true });
  assert.deepEqual([again.status, again.message()], [409, 'network with name mine already exists']);
  const overlap = await make({ Name: 'other', IPAM: { Config: [{ Subnet: '10.78.0.128/25' }] } });
  assert.equal(overlap.status, 403);
  assert.match(overlap.message(), /[Pp]ool overlaps with other one on this address space/);
  assert.ok((await make({ Name: 'other', IPAM: { Config: [{ Subnet: 'nonsense' }] } })).status >= 400);
  assert.ok((await make({ Name: 'other', IPAM: { Config: [{ Subnet: '10.79.0.0/24', Gateway: '10.80.0.1' }] } })).status >= 400);
  assert.equal((await make({ Name: 'other', Driver: 'nothing' })).status, 404);
  assert.ok((await make({ Name: '' })).status >= 400);
  assert.equal((await make({ Name: 'host' })).status, 403);
  await daemon.ok('network', 'rm', 'mine');
});

test('addresses: the first free one, a chosen one, one that is taken', async () => {
  await daemon.ok('network', 'create', '--subnet', '10.81.0.0/24', 'fixed');
  const first = await daemon.ok('run', '-d', '--network', 'fixed', 'busybox', 'sleep', '600');
  assert.equal((await daemon.inspect(first)).NetworkSettings.Networks.fixed.IPAddress, '10.81.0.2');
  assert.equal((await daemon.inspect(first)).NetworkSettings.Networks.fixed.Gateway, '10.81.0.1');
  const chosen = await daemon.ok('run', '-d', '--network', 'fixed', '--ip', '10.81.0.77', 'busybox', 'sleep', '600');
  assert.equal(await daemon.ok('exec', chosen, 'sh', '-c', "ip -o -4 addr show eth0 | awk '{print $4}'"), '10.81.0.77/24');
  const taken = await daemon.docker(['run', '--name', 'taken', '--network', 'fixed', '--ip', '10.81.0.77', 'busybox', 'true']);
  assert.equal(taken.code, 125);
  assert.match(taken.stderr, /Address already in use/);
  const outside = await daemon.docker(['run', '--name', 'outside', '--network', 'fixed', '--ip', '10.99.9.9', 'busybox', 'true']);
  assert.equal(outside.code, 125);
  assert.match((await daemon.docker(['run', '--name', 'nonet', '--ip', '172.17.0.77', 'busybox', 'true'])).stderr, /user specified IP address is supported (only when connecting to networks with user configured subnets|on user defined networks only)/);
  await daemon.docker(['rm', '-f', first, chosen, 'taken', 'outside', 'nonet']);
  await daemon.ok('network', 'rm', 'fixed');
});

test('containers of one network reach each other, of two they do not', async () => {
  await daemon.ok('network', 'create', 'left');
  await daemon.ok('network', 'create', 'right');
  for (const [name, network] of [['aa', 'left'], ['bb', 'left'], ['cc', 'right']] as const) await daemon.ok('run', '-d', '--name', name, '--network', network, ...ECHO);
  const address = async (name: string, network: string): Promise<string> => (await daemon.inspect(name)).NetworkSettings.Networks[network].IPAddress as string;
  await eventually(async () => (await says('aa', await address('bb', 'left'))) === 'hi\n', 'b to answer');
  assert.equal(await says('aa', await address('cc', 'right')), '');
  await daemon.ok('network', 'connect', '--alias', 'sea', 'right', 'aa');
  assert.equal(await says('aa', await address('cc', 'right')), 'hi\n');
  assert.ok((await daemon.inspect('aa')).NetworkSettings.Networks.right.Aliases.includes('sea'));
  await daemon.ok('network', 'disconnect', 'right', 'aa');
  assert.equal(await says('aa', await address('cc', 'right')), '');
  assert.equal(await daemon.ok('exec', 'aa', 'sh', '-c', 'ls /sys/class/net | wc -l'), '2');
  await daemon.ok('rm', '-f', 'aa', 'bb', 'cc');
  await daemon.ok('network', 'rm', 'left', 'right');
});

test('connect and disconnect: refusals, and a stopped container', async () => {
  await daemon.ok('network', 'create', 'late');
  const id = await daemon.ok('create', '--name', 'stopped', 'busybox', 'sleep', '600');
  await daemon.ok('network', 'connect', 'late', 'stopped');
  await daemon.ok('start', 'stopped');
  assert.deepEqual(Object.keys((await daemon.inspect(id)).NetworkSettings.Networks).toSorted(), ['bridge', 'late']);
  assert.equal(await daemon.ok('exec', id, 'sh', '-c', 'ls -d /sys/class/net/eth* | wc -l'), '2');
  const twice = await daemon.request('POST', '/networks/late/connect', { body: { Container: id } });
  assert.equal(twice.status, 403);
  assert.match(twice.message(), /endpoint with name stopped already exists in network late/);
  await daemon.ok('network', 'disconnect', '-f', 'late', 'stopped');
  const again = await daemon.request('POST', '/networks/late/disconnect', { body: { Container: id } });
  assert.ok(again.status >= 400);
  assert.match(again.message(), /is not connected to (the )?network late/);
  assert.equal((await daemon.request('POST', '/networks/host/connect', { body: { Container: id } })).status, 400);
  await daemon.ok('rm', '-f', 'stopped');
  await daemon.ok('network', 'rm', 'late');
});

test('names resolve on a user-defined network', async () => {
  await daemon.ok('network', 'create', 'named');
  await daemon.ok('run', '-d', '--name', 'server', '--network', 'named', '--network-alias', 'harbour', 'busybox', 'sleep', '600');
  const address = (await daemon.inspect('server')).NetworkSettings.Networks.named.IPAddress as string;
  for (const name of ['server', 'harbour']) {
    const { stdout } = await daemon.docker(['run', '--rm', '--network', 'named', 'busybox', 'nslookup', '-type=a', name]);
    assert.ok(stdout.includes(address), `${name}: ${stdout}`);
  }
  await daemon.ok('rm', '-f', 'server');
  await daemon.ok('network', 'rm', 'named');
});

test('--internal: no way out', async () => {
  const peer = daemon.peer();
  const server = daemon.sessionInside(['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'], peer);
  await daemon.ok('network', 'create', '--internal', 'closed');
  await daemon.ok('run', '-d', '--name', 'prisoner', '--network', 'closed', 'busybox', 'sleep', '600');
  assert.equal(await says('prisoner', '10.99.0.2'), '');
  await daemon.ok('rm', '-f', 'prisoner');
  await daemon.ok('network', 'rm', 'closed');
  server.kill();
  await server.result();
});

test('icc off: members do not reach each other', async () => {
  await daemon.ok('network', 'create', '-o', 'com.docker.network.bridge.enable_icc=false', 'apart');
  await daemon.ok('run', '-d', '--name', 'xx', '--network', 'apart', ...ECHO);
  await daemon.ok('run', '-d', '--name', 'yy', '--network', 'apart', 'busybox', 'sleep', '600');
  assert.equal(await says('yy', (await daemon.inspect('xx')).NetworkSettings.Networks.apart.IPAddress), '');
  await daemon.ok('rm', '-f', 'xx', 'yy');
  await daemon.ok('network', 'rm', 'apart');
});

test('bridge options', async () => {
  await daemon.ok('network', 'create', '-o', 'com.docker.network.bridge.name=quay0', '-o', 'com.docker.network.driver.mtu=1400', 'tuned');
  const id = await daemon.ok('run', '-d', '--network', 'tuned', 'busybox', 'sleep', '600');
  assert.equal(await daemon.ok('exec', id, 'cat', '/sys/class/net/eth0/mtu'), '1400');
  assert.equal((await daemon.inside(['ip', 'link', 'show', 'quay0'])).code, 0);
  await daemon.ok('rm', '-f', id);
  await daemon.ok('network', 'rm', 'tuned');
  assert.notEqual((await daemon.inside(['ip', 'link', 'show', 'quay0'])).code, 0);
});

test('IPv6', async () => {
  await daemon.ok('network', 'create', '--ipv6', '--subnet', 'fd00:77::/64', 'six');
  const id = await daemon.ok('run', '-d', '--network', 'six', 'busybox', 'sleep', '600');
  const network = (await daemon.inspect(id)).NetworkSettings.Networks.six;
  assert.match(network.GlobalIPv6Address, /^fd00:77::/);
  assert.equal(network.GlobalIPv6PrefixLen, 64);
  assert.equal(network.IPv6Gateway, 'fd00:77::1');
  assert.match(await daemon.ok('exec', id, 'ip', '-6', 'addr', 'show', 'eth0'), /fd00:77::/);
  await eventually(async () => (await daemon.docker(['exec', id, 'ping6', '-c', '1', '-W', '1', 'fd00:77::1'])).code === 0, 'the gateway', 10_000);
  await daemon.ok('rm', '-f', id);
  await daemon.ok('network', 'rm', 'six');
});

test('filters and prune', async () => {
  await daemon.ok('network', 'create', '--label', 'tide=high', 'flood');
  await daemon.ok('network', 'create', 'ebb');
  const names = async (...filters: string[]): Promise<string[]> => lines(await daemon.ok('network', 'ls', '--format', '{{.Name}}', ...filters.flatMap((filter) => ['-f', filter]))).toSorted();
  assert.deepEqual(await names('label=tide'), ['flood']);
  assert.deepEqual(await names('type=custom'), ['ebb', 'flood']);
  assert.deepEqual(await names('type=builtin'), ['bridge', 'host', 'none']);
  assert.deepEqual(await names('driver=null'), ['none']);
  assert.deepEqual(await names('name=eb'), ['ebb']);
  const id = await daemon.ok('run', '-d', '--network', 'ebb', 'busybox', 'sleep', '600');
  const pruned = (await daemon.request('POST', '/networks/prune')).json();
  assert.deepEqual(pruned.NetworksDeleted, ['flood']);
  await daemon.ok('rm', '-f', id);
  await daemon.ok('network', 'rm', 'ebb');
});

test('host network', async () => {
  const { stdout, stderr } = await daemon.docker(['run', '--rm', '--network', 'host', '-p', '1:1', 'busybox', 'readlink', '/proc/self/ns/net']);
  assert.equal(stdout.trim(), (await daemon.inside(['readlink', '/proc/self/ns/net'])).stdout.trim());
  assert.match(stderr, /Published ports are discarded when using host network mode/);
});

test('several networks at creation', mooredOnly('dockerd 20.10 takes one'), async () => {
  await daemon.ok('network', 'create', 'n1');
  await daemon.ok('network', 'create', 'n2');
  const created = await daemon.request('POST', '/v1.44/containers/create?name=many', { body: { Image: 'busybox', Cmd: ['sleep', '600'], HostConfig: { NetworkMode: 'n1' }, NetworkingConfig: { EndpointsConfig: { n1: {}, n2: { Aliases: ['second'] } } } } });
  assert.equal(created.status, 201, created.text);
  await daemon.ok('start', 'many');
  assert.deepEqual(Object.keys((await daemon.inspect('many')).NetworkSettings.Networks).toSorted(), ['n1', 'n2']);
  const old = await daemon.request('POST', '/v1.43/containers/create', { body: { Image: 'busybox', Cmd: ['true'], NetworkingConfig: { EndpointsConfig: { n1: {}, n2: {} } } } });
  assert.equal(old.status, 400);
  await daemon.ok('rm', '-f', 'many');
  await daemon.ok('network', 'rm', 'n1', 'n2');
});

test('how networks are shown', mooredOnly('fields of Docker 28'), async () => {
  const host = await inspect('host');
  assert.deepEqual([host.IPAM, host.Containers, host.Options, host.ConfigFrom, host.ConfigOnly], [{ Driver: 'default', Options: null, Config: null }, {}, {}, { Network: '' }, false]);
  const bridge = await inspect('bridge');
  assert.deepEqual([bridge.IPAM.Options, bridge.EnableIPv4, bridge.Options['com.docker.network.bridge.default_bridge']], [null, true, 'true']);
  await daemon.ok('network', 'create', '--ipv6', '--subnet', '10.83.0.0/24', '--subnet', 'fd00:83::/64', '--aux-address', 'router=10.83.0.9', 'shown');
  const shown = await inspect('shown');
  assert.deepEqual(shown.IPAM, { Driver: 'default', Options: {}, Config: [{ Subnet: '10.83.0.0/24', Gateway: '10.83.0.1', AuxiliaryAddresses: { router: '10.83.0.9' } }, { Subnet: 'fd00:83::/64', Gateway: 'fd00:83::1' }] });
  await daemon.ok('network', 'rm', 'shown');
});

test('several networks: static addresses of both families, the gateway by priority, aliases by API version', mooredOnly('fields of Docker 28'), async () => {
  await daemon.ok('network', 'create', '--ipv6', '--subnet', '10.84.0.0/24', '--subnet', 'fd00:84::/64', 'aaa');
  await daemon.ok('network', 'create', '--subnet', '10.85.0.0/24', 'zzz');
  const id = await daemon.ok('run', '-d', '--network', 'name=aaa,ip=10.84.0.50,ip6=fd00:84::50,alias=first', '--network', 'name=zzz,gw-priority=5,link-local-ip=169.254.7.7', 'busybox', 'sleep', '600');
  const { aaa, zzz } = (await daemon.inspect(id)).NetworkSettings.Networks;
  assert.deepEqual([aaa.IPAddress, aaa.GlobalIPv6Address, aaa.Aliases, aaa.IPAMConfig, zzz.GwPriority, zzz.IPAMConfig], ['10.84.0.50', 'fd00:84::50', ['first'], { IPv4Address: '10.84.0.50', IPv6Address: 'fd00:84::50' }, 5, { LinkLocalIPs: ['169.254.7.7'] }]);
  assert.match(await daemon.ok('exec', id, 'ip', 'route'), /^default via 10\.85\.0\.1 /);
  assert.match(await daemon.ok('exec', id, 'ip', 'addr'), /169\.254\.7\.7\/16/);
  const older = (await daemon.request('GET', `/v1.44/containers/${id}/json`)).json();
  assert.deepEqual(older.NetworkSettings.Networks.aaa.Aliases, ['first', id.slice(0, 12)]);
  await daemon.ok('rm', '-f', id);
  await daemon.ok('network', 'rm', 'aaa', 'zzz');
});
