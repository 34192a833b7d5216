import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../../test/fixtures/processes.ts';
import { OPTION } from '../core/network/bridge.ts';
import type { NetworkPort, NetworkRecord, Sandbox, SandboxRequest } from '../core/ports/network.ts';
import { run } from '../sys/spawn.ts';
import { ensureSysctl, readSysctl } from '../sys/sysctl.ts';
import { EMPTY_ENDPOINT, HOST, PEER, TestHost, publish } from './network.fixture.ts';
import type { Network } from './network.ts';

let host: TestHost;
let network: Network;

const wish = (name: string, more: Partial<Parameters<NetworkPort['create']>[0]> = {}): Parameters<NetworkPort['create']>[0] => ({
  name, driver: 'bridge', enableIpv4: true, enableIpv6: false, internal: false, attachable: false, ingress: false,
  options: {}, labels: {}, ipam: { driver: 'default', options: {}, config: [] }, ...more,
});
const create = async (name: string, more: Partial<Parameters<NetworkPort['create']>[0]> = {}): Promise<NetworkRecord> => (await network.create(wish(name, more))).network;
const ipam = (...config: Partial<NetworkRecord['ipam']['config'][number]>[]): NetworkRecord['ipam'] =>
  ({ driver: 'default', options: {}, config: config.map((entry) => ({ subnet: '', ipRange: '', gateway: '', auxAddresses: {}, ...entry })) });

/** A running container with the server on port 80. */
async function container(name: string, on: NetworkRecord, more: Parameters<TestHost['request']>[2] = {}): Promise<{ request: SandboxRequest; sandbox: Sandbox; address: string }> {
  const request = host.request(name, on.id, more);
  const up = await network.up(request);
  network.closeSockets(up.sockets.filter(({ use }) => use === 'reserve'));
  await host.serve(name, 80);
  return { request, sandbox: up.sandbox, address: up.sandbox.endpoints[0]?.ipv4 ?? '' };
}
const web = (address: string) => ({ host: address, port: 80 });

before(async () => {
  host = new TestHost();
  network = host.daemon();
  await network.restore([]);
});
after(() => host.close());

test('networks without a subnet get the next pools that the host does not use', async () => {
  await run(['ip', 'route', 'add', '172.19.5.0/24', 'via', PEER.v4]);
  const first = await create('first');
  const second = await create('second');
  assert.deepEqual([first, second].map(({ ipam: { config } }) => [config[0]?.subnet, config[0]?.gateway]), [['172.18.0.0/16', '172.18.0.1'], ['172.20.0.0/16', '172.20.0.1']]);
  assert.match((await run(['ip', 'addr', 'show', first.bridge])).stdout, /inet 172\.18\.0\.1\/16/);
  await assert.rejects(network.create(wish('first')), /^MooredError: network with name first already exists$/);
  await assert.rejects(network.create(wish('third', { ipam: ipam({ subnet: '172.18.3.0/24' }) })), /Pool overlaps with other one on this address space/);
  await assert.rejects(network.create(wish('third', { ipam: ipam({ subnet: '10.0.0.1/24' }) })), /^MooredError: invalid network config:\ninvalid subnet 10\.0\.0\.1\/24: it should be 10\.0\.0\.0\/24$/);
});

test('containers of one network reach each other, those of another do not, except by published ports', async () => {
  const a = await container('a', network.resolve('first'));
  const b = await container('b', network.resolve('first'));
  const c = await container('c', network.resolve('second'), { portBindings: publish(80, 8300) });
  assert.equal(await host.ask('a', 'tcp', web(b.address)), `b sees ${a.address}`);
  assert.match(await host.ask('a', 'tcp', web(c.address)), /no answer: timeout/);
  assert.match(await host.ask('a', 'tcp', { host: HOST.v4, port: 8300 }), /^c sees/);
  assert.match(await host.ask('peer', 'tcp', { host: HOST.v4, port: 8300 }), /^c sees/);
});

test('static addresses, ranges and reserved ones', async () => {
  const net = await create('static', { ipam: ipam({ subnet: '10.9.0.0/24', ipRange: '10.9.0.128/30', gateway: '10.9.0.254', auxAddresses: { router: '10.9.0.129' } }) });
  const up = async (name: string, address = '') => {
    const request = host.request(name, net.id, { endpoint: { ipv4Address: address } });
    return (await network.up(request)).sandbox.endpoints[0];
  };
  assert.equal((await up('s1', '10.9.0.7'))?.ipv4, '10.9.0.7');
  await assert.rejects(up('s2', '10.9.0.7'), /Address already in use/);
  await assert.rejects(up('s2', '10.9.0.254'), /Address already in use/);
  await assert.rejects(up('s2', '10.8.0.1'), /invalid config for network static: invalid endpoint settings:\nno configured subnet or ip-range contain the IP address 10\.8\.0\.1$/);
  await assert.rejects(up('s2', '0.0.0.0'), /invalid IPv4 address: 0\.0\.0\.0/);
  const on = (name: string, address: string) => network.up(host.request('s2', network.resolve(name).id, { endpoint: { ipv4Address: address } }));
  await assert.rejects(on('bridge', '172.17.0.9'), /user specified IP address is supported on user defined networks only/);
  await assert.rejects(on('first', '172.18.0.9'), /user specified IP address is supported only when connecting to networks with user configured subnets/);
  assert.deepEqual([(await up('s3'))?.ipv4, (await up('s4'))?.ipv4, (await up('s5'))?.ipv4], ['10.9.0.128', '10.9.0.130', '10.9.0.131']);
  await assert.rejects(up('s6'), /no available IPv4 addresses on this network's address pools: static/);
});

test('an internal network has no way out or in', async () => {
  const net = await create('inside', { internal: true });
  await host.serve('peer', 91);
  const one = await container('i1', net, { portBindings: publish(80, 8400) });
  await container('i2', net);
  assert.deepEqual(one.sandbox.ports, []);
  assert.match(await host.ask('i2', 'tcp', web(one.address)), /^i1 sees/);
  assert.match(await host.ask('i1', 'tcp', { host: PEER.v4, port: 91 }), /no answer/);
  assert.match(await host.ask('i1', 'tcp', { host: HOST.v4, port: 8300 }), /no answer/);
});

for (const bridged of ['0', '1']) {
  test(`without inter-container communication only published ports are reached (br_netfilter ${bridged})`, async () => {
    const before = readSysctl('net.bridge.bridge-nf-call-iptables');
    if (!ensureSysctl('net.bridge.bridge-nf-call-iptables', bridged)) return;
    const net = await create(`apart${bridged}`, { options: { [OPTION.icc]: 'false' } });
    const [p1, p2] = [`p1-${bridged}`, `p2-${bridged}`];
    const one = await container(p1, net, { portBindings: publish(80, 8500 + Number(bridged)) });
    await container(p2, net);
    await host.serve('peer', 80 + Number(bridged));
    const published = { host: HOST.v4, port: 8500 + Number(bridged) };
    assert.match(await host.ask(p2, 'tcp', web(one.address)), /no answer/);
    assert.match(await host.ask(p2, 'tcp', published), new RegExp(`^${p1} sees`));
    assert.match(await host.ask(p1, 'tcp', published), new RegExp(`^${p1} sees`));
    assert.equal(await host.ask(p2, 'tcp', { host: PEER.v4, port: 80 + Number(bridged) }), `peer sees ${HOST.v4}`);
    ensureSysctl('net.bridge.bridge-nf-call-iptables', before ?? '');
  });
}

test('IPv6: addresses at once, published, from other hosts and from the host', async () => {
  const net = await create('six', { enableIpv6: true });
  const six = await container('v6', net, { portBindings: publish(80, 8600) });
  const [endpoint] = six.sandbox.endpoints;
  assert.match(endpoint?.ipv6 ?? '', /^fd12:3456:7890::2$/);
  for (const proto of ['tcp', 'udp'] as const) {
    assert.equal(await host.ask('peer', proto, { host: HOST.v6, port: 8600 }), `v6 sees ${PEER.v6}`);
    assert.match(await host.ask('', proto, { host: HOST.v6, port: 8600 }), /^v6 sees/);
    assert.match(await host.ask('v6', proto, { host: HOST.v6, port: 8600 }), /^v6 sees/);
  }
  await host.serve('peer', 93);
  assert.equal(await host.ask('v6', 'tcp', { host: PEER.v6, port: 93 }), `peer sees ${HOST.v6}`);
  assert.match(await host.ask('peer', 'tcp', { host: endpoint?.ipv6 ?? '', port: 80 }), /no answer/);
});

test('a v4-only container is offered to v6 clients by relays, a v6 one to ::1 only', async () => {
  const four = host.request('four', network.resolve('first').id, { portBindings: publish(80, 8700) });
  const up = await network.up(four);
  const address = up.sandbox.endpoints[0]?.ipv4;
  assert.deepEqual(up.sockets.map(({ fd: _, ...socket }) => socket), [
    { use: 'reserve' }, { use: 'relay-tcp', address, port: 80 }, { use: 'reserve' }, { use: 'relay-udp', address, port: 80 },
  ]);
  network.closeSockets(up.sockets);
  await network.down(four.containerId, up.sandbox);
});

test('a running container joins and leaves networks; the way out and the published ports follow', async () => {
  const alpha = await create('alpha');
  const beta = await create('beta');
  const { request, sandbox } = await container('roamer', beta, { portBindings: publish(80, 8800) });
  const probe = () => host.ask('peer', 'tcp', { host: HOST.v4, port: 8800 });
  const gateway = async () => /default via (\S+) dev (\S+)/.exec((await run(['nsenter', `--net=${host.pin('roamer')}`, 'ip', 'route'])).stdout)?.slice(1, 3);
  assert.deepEqual(await gateway(), [beta.ipam.config[0]?.gateway, 'eth0']);
  const both = await network.connect(request.containerId, sandbox, { networkId: alpha.id, request: EMPTY_ENDPOINT, dnsNames: [] });
  assert.deepEqual(both.endpoints.map(({ link }) => link), ['eth0', 'eth1']);
  // By name the first network leads out.
  assert.deepEqual(await gateway(), [alpha.ipam.config[0]?.gateway, 'eth1']);
  assert.match(await probe(), /^roamer sees/);
  const left = await network.disconnect(request.containerId, both, alpha.id);
  assert.deepEqual(await gateway(), [beta.ipam.config[0]?.gateway, 'eth0']);
  assert.match(await probe(), /^roamer sees/);
  const again = await network.connect(request.containerId, left, { networkId: alpha.id, request: { ...EMPTY_ENDPOINT, gwPriority: -1, macAddress: '02:00:00:00:00:77' }, dnsNames: [] });
  assert.equal(again.endpoints[1]?.macAddress, '02:00:00:00:00:77');
  assert.deepEqual(await gateway(), [beta.ipam.config[0]?.gateway, 'eth0']);
  await assert.rejects(network.remove(beta.id), /network beta has active endpoints/);
  await network.down(request.containerId, again);
  await network.settled();
  await network.remove(beta.id);
  assert.doesNotMatch((await run(['ip', 'link'])).stdout, new RegExp(`${beta.bridge}|${again.endpoints[0]?.hostLink}`));
  assert.doesNotMatch(await host.nft('list', 'ruleset'), new RegExp(beta.bridge));
  assert.throws(() => network.resolve('beta'), /network beta not found/);
});

test('a restart finds the networks, and what belongs to nobody is removed', async () => {
  await run(['ip', 'link', 'add', 'veth1234567', 'type', 'veth', 'peer', 'name', 'veth7654321']);
  await run(['ip', 'link', 'set', 'veth1234567', 'alias', 'moored dead']);
  await run(['ip', 'link', 'add', 'mine', 'type', 'bridge']);
  const before = network.list().map(({ id, name }) => `${id} ${name}`).toSorted();
  network = host.daemon();
  await network.restore([]);
  assert.deepEqual(network.list().map(({ id, name }) => `${id} ${name}`).toSorted(), before);
  const links = (await run(['ip', 'link'])).stdout;
  assert.doesNotMatch(links, /veth/);
  assert.match(links, /mine/);
});

test('options of the default network wait while a container uses it, and then apply', async () => {
  const one = await container('pinned', network.resolve('bridge'));
  network = host.daemon({ bip: '10.77.0.1/24' });
  await network.restore([{ containerId: one.request.containerId, sandbox: one.sandbox }]);
  assert.match(network.pending().join(), /options of the default network wait until no running container uses it: bip/);
  assert.equal(network.resolve('bridge').ipam.config[0]?.subnet, '172.17.0.0/16');
  assert.match(await host.ask('', 'tcp', web(one.address)), /^pinned sees/);
  await network.down(one.request.containerId, one.sandbox);
  network = host.daemon({ bip: '10.77.0.1/24', fixedCidr: '10.77.0.64/26' });
  await network.restore([]);
  assert.deepEqual(network.pending(), []);
  assert.match((await run(['ip', 'addr', 'show', 'docker0'])).stdout, /inet 10\.77\.0\.1\/24/);
  const { address } = await container('moved', network.resolve('bridge'));
  assert.equal(address, '10.77.0.64');
});

test('a foreign filter that drops what is forwarded is named', async () => {
  await host.nft('add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }');
  network = host.daemon({ bip: '10.77.0.1/24', fixedCidr: '10.77.0.64/26' });
  await network.restore([]);
  // Looked for behind the start.
  await eventually(() => /chain FORWARD of table ip filter drops forwarded packets by default/.test(network.pending().join()), 'what hinders');
  await host.nft('delete table ip filter');
});

test('without packet filter rules every port is served by a relay', async () => {
  network = host.daemon({ iptables: false, ip6tables: false, bip: '10.77.0.1/24' });
  await network.restore([]);
  const up = await network.up(host.request('plain', network.resolve('bridge').id, { portBindings: { '80/tcp': [{ hostIp: '127.0.0.1', hostPort: '8900' }] } }));
  assert.deepEqual(up.sockets.map(({ use }) => use), ['relay-tcp']);
  network.closeSockets(up.sockets);
});
