/** Who reaches which ports of containers: links where containers are kept apart, gateway modes, trusted links of the host. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OPTION } from '../core/network/bridge.ts';
import type { NetworkRecord, Sandbox, SandboxRequest } from '../core/ports/network.ts';
import { EMPTY_ENDPOINT, HOST, PEER, publish, TestHost } from './network.fixture.ts';
import type { Network } from './network.ts';
import { run } from '../sys/spawn.ts';

let host: TestHost;
let network: Network;

before(async () => {
  host = new TestHost();
  network = host.daemon({ icc: false });
  await network.restore([]);
});
after(() => {
  network[Symbol.dispose]();
  host.close();
});

interface Up {
  readonly request: SandboxRequest;
  readonly sandbox: Sandbox;
  readonly ipv4: string;
  readonly ipv6: string;
}

async function up(name: string, on: NetworkRecord, more: Parameters<TestHost['request']>[2] = {}): Promise<Up> {
  const request = host.request(name, on.id, more);
  const { sandbox, sockets } = await network.up(request);
  network.closeSockets(sockets);
  await host.serve(name, 80, 81);
  const [endpoint] = sandbox.endpoints;
  return { request, sandbox, ipv4: endpoint?.ipv4 ?? '', ipv6: endpoint?.ipv6 ?? '' };
}

const create = async (name: string, options: Record<string, string>, more: Partial<Parameters<Network['create']>[0]> = {}): Promise<NetworkRecord> =>
  (await network.create({ name, driver: 'bridge', enableIpv4: true, enableIpv6: false, internal: false, attachable: false, ingress: false, options, labels: {}, ipam: { driver: 'default', options: {}, config: [] }, ...more })).network;

const hears = (from: string, address: string, port = 80, proto: 'tcp' | 'udp' = 'tcp'): Promise<string> => host.ask(from, proto, { host: address, port });

test('containers kept apart: a link opens the ports it names, to the one that has it, as long as both run', async () => {
  const bridge = network.resolve('bridge');
  const child = await up('child', bridge);
  const parent = await up('parent', bridge, { links: [{ containerId: child.request.containerId, ports: ['80/tcp', '80/udp'] }] });
  await up('stranger', bridge);
  assert.equal(await hears('parent', child.ipv4), `child sees ${parent.ipv4}`);
  assert.equal(await hears('parent', child.ipv4, 80, 'udp'), `child sees ${parent.ipv4}`);
  const refused = await Promise.all([hears('parent', child.ipv4, 81), hears('child', parent.ipv4), hears('stranger', child.ipv4), hears('stranger', parent.ipv4)]);
  assert.deepEqual(refused.map((text) => text.slice(0, 9)), ['no answer', 'no answer', 'no answer', 'no answer']);
  // A daemon's restart finds the link again.
  const running = [child, parent].map(({ request, sandbox }) => ({ containerId: request.containerId, sandbox }));
  network[Symbol.dispose]();
  network = host.daemon({ icc: false });
  await network.restore(running);
  assert.equal(await hears('parent', child.ipv4), `child sees ${parent.ipv4}`);
  const without = await network.link(parent.request.containerId, parent.sandbox, []);
  assert.match(await hears('parent', child.ipv4), /no answer/);
  await network.link(parent.request.containerId, without, parent.sandbox.links ?? []);
  await network.down(child.request.containerId, child.sandbox);
  await network.settled();
  assert.doesNotMatch(await host.nft('list', 'set', 'inet', 'moored', 'links4'), /elements/);
  // Whoever has the address next is not linked to.
  const heir = await up('heir', bridge);
  assert.equal(heir.ipv4, child.ipv4);
  assert.match(await hears('parent', heir.ipv4), /no answer/);
});

test('gateway mode routed: published ports at the container’s own address, without translation', async () => {
  const routed = await create('routed', { [OPTION.gatewayMode4]: 'routed', [OPTION.gatewayMode6]: 'routed' }, { enableIpv6: true });
  const one = await up('r1', routed, { portBindings: publish(80, 9400) });
  assert.deepEqual(one.sandbox.ports.map(({ proto, hostIp, hostPort }) => `${proto} ${hostIp} ${hostPort}`), ['tcp 0.0.0.0 0', 'tcp :: 0', 'udp 0.0.0.0 0', 'udp :: 0']);
  assert.match(await hears('peer', one.ipv4), /^r1 sees 192\.0\.2\.9/);
  assert.match(await hears('peer', one.ipv6), /^r1 sees 2001:db8::9/);
  assert.match(await hears('peer', one.ipv4, 81), /no answer/);
  assert.match(await hears('peer', HOST.v4, 9400), /no answer/);
  assert.equal((await run(['nsenter', `--net=${host.pin('peer')}`, 'busybox', 'ping', '-c', '1', '-W', '2', one.ipv4])).code, 0);
  // What it asks leaves with its own address.
  await host.serve('peer', 94);
  assert.match(await hears('r1', PEER.v4, 94), new RegExp(`^peer sees ${one.ipv4.replaceAll('.', '\\.')}`));
});

test('gateway modes of each family apart: v4 translated, v6 routed', async () => {
  const mixed = await create('mixed', { [OPTION.gatewayMode6]: 'routed' }, { enableIpv6: true });
  const one = await up('m1', mixed, { portBindings: { '80/tcp': [{ hostIp: '', hostPort: '9401' }] } });
  assert.deepEqual(one.sandbox.ports.map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`), ['0.0.0.0 9401', ':: 0']);
  assert.match(await hears('peer', HOST.v4, 9401), /^m1 sees/);
  assert.match(await hears('peer', one.ipv6), /^m1 sees/);
  assert.match(await hears('peer', one.ipv4), /no answer/);
});

test('trusted links of the host reach published ports at the container’s own address', async () => {
  const trusting = await create('trusting', { [OPTION.trusted]: 'uplink:other0' });
  const one = await up('t1', trusting, { portBindings: { '80/tcp': [{ hostIp: '', hostPort: '9402' }] } });
  assert.match(await hears('peer', one.ipv4), /^t1 sees/);
  assert.match(await hears('peer', one.ipv4, 81), /no answer/);
});

test('--allow-direct-routing: published ports at the container’s own address from anywhere', async () => {
  const plain = await create('plain', {});
  const one = await up('d1', plain, { portBindings: { '80/tcp': [{ hostIp: '', hostPort: '9403' }] } });
  assert.match(await hears('peer', one.ipv4), /no answer/);
  const running = [{ containerId: one.request.containerId, sandbox: one.sandbox }];
  network[Symbol.dispose]();
  network = host.daemon({ icc: false, allowDirectRouting: true });
  await network.restore(running);
  assert.match(await hears('peer', one.ipv4), /^d1 sees/);
  assert.match(await hears('peer', one.ipv4, 81), /no answer/);
  assert.match(await hears('peer', HOST.v4, 9403), /^d1 sees/);
  network[Symbol.dispose]();
  network = host.daemon({ icc: false });
  await network.restore(running);
  assert.match(await hears('peer', one.ipv4), /no answer/);
});

test('gateway mode isolated: the host itself has no address there', async () => {
  await assert.rejects(create('open', { [OPTION.gatewayMode4]: 'isolated' }), /gateway mode 'isolated' can only be used for an internal network/);
  const alone = await create('alone', { [OPTION.gatewayMode4]: 'isolated' }, { internal: true });
  const [a, b] = [await up('a1', alone), await up('a2', alone)];
  assert.doesNotMatch((await run(['ip', 'addr', 'show', alone.bridge])).stdout, /inet /);
  assert.match(await hears('a1', b.ipv4), /^a2 sees/);
  assert.match(await hears('', a.ipv4), /no answer/);
});

test('modes and links that are none', async () => {
  await assert.rejects(create('odd', { [OPTION.gatewayMode4]: 'sideways' }), /unknown gateway mode sideways/);
  await assert.rejects(create('odd', { [OPTION.trusted]: 'a/b' }), /invalid interface name "a\/b"/);
});

test('link-local addresses beside the one that was chosen', async () => {
  const local = await create('local', {});
  const one = await up('l1', local, { endpoint: { ...EMPTY_ENDPOINT, linkLocalIps: ['169.254.34.68', 'fe80::34'] } });
  await up('l2', local, { endpoint: { ...EMPTY_ENDPOINT, linkLocalIps: ['169.254.34.69'] } });
  const addresses = (await run(['nsenter', `--net=${host.pin('l1')}`, 'ip', '-o', 'addr', 'show', 'eth0'])).stdout;
  assert.match(addresses, new RegExp(`inet ${one.ipv4}/`));
  assert.match(addresses, /inet 169\.254\.34\.68\/16/);
  assert.match(await hears('l2', '169.254.34.68'), /^l1 sees 169\.254\.34\.69/);
});
