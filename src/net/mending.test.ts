/** What others do to links, rules and settings while no daemon is there: a start puts it right, says so, and touches nothing of theirs. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { eventually } from '../../test/fixtures/processes.ts';
import type { Sandbox } from '../core/ports/network.ts';
import { run } from '../sys/spawn.ts';
import { ensureSysctl, readSysctl } from '../sys/sysctl.ts';
import { HOST, PEER, publish, TestHost } from './network.fixture.ts';
import type { Network } from './network.ts';

let host: TestHost;
let network: Network;
const running: { containerId: string; sandbox: Sandbox }[] = [];

before(async () => {
  host = new TestHost();
  network = host.daemon();
  await network.restore([]);
  const own = (await network.create({ name: 'own', driver: 'bridge', enableIpv4: true, enableIpv6: true, internal: false, attachable: false, ingress: false, options: {}, labels: {}, ipam: { driver: 'default', options: {}, config: [] } })).network;
  for (const [name, on, port] of [['web', network.resolve('bridge'), 9500], ['api', own, 9501]] as const) {
    const request = host.request(name, on.id, { portBindings: publish(80, port) });
    const { sandbox, sockets } = await network.up(request);
    network.closeSockets(sockets);
    running.push({ containerId: request.containerId, sandbox });
    await host.serve(name, 80);
  }
});
after(() => {
  network[Symbol.dispose]();
  host.close();
});

async function restart(): Promise<void> {
  network[Symbol.dispose]();
  network = host.daemon();
  await network.restore(running);
}

async function assertReached(): Promise<void> {
  assert.equal(await host.ask('peer', 'tcp', { host: HOST.v4, port: 9500 }), `web sees ${PEER.v4}`);
  assert.equal(await host.ask('peer', 'udp', { host: HOST.v4, port: 9501 }), `api sees ${PEER.v4}`);
  assert.equal(await host.ask('peer', 'tcp', { host: HOST.v6, port: 9501 }), `api sees ${PEER.v6}`);
  assert.match(await host.ask('web', 'tcp', { host: HOST.v4, port: 9501 }), /^api sees/);
}

/** Our rules, without handles and in the kernel's order. */
const rules = (): Promise<string> => host.nft('list', 'table', 'inet', 'moored');
/** Links and their addresses; the host's ends of containers' links have random ones of their own. */
const links = async (): Promise<string[]> =>
  (await run(['ip', '-o', 'addr'])).stdout.split('\n').filter((line) => !line.includes('inet6 fe80')).map((line) => line.split(/\s+/).slice(1, 4).join(' ')).toSorted();
const ip = (...words: string[]): Promise<unknown> => run(['ip', ...words]);

const DAMAGES: Record<string, () => Promise<unknown>> = {
  'our table deleted': () => host.nft('delete', 'table', 'inet', 'moored'),
  'the whole rule set flushed': () => host.nft('flush', 'ruleset'),
  'a published port taken out of its map': () => host.nft('delete', 'element', 'inet', 'moored', 'anyport4', '{ tcp . 9500 }'),
  'rules of somebody else in our chains': () => host.nft('insert', 'rule', 'inet', 'moored', 'forward', 'drop'),
  'a chain emptied': () => host.nft('flush', 'chain', 'inet', 'moored', 'forward'),
  'the policy of a chain changed': () => host.nft('add', 'chain', 'inet', 'moored', 'forward', '{ policy drop; }'),
  'the default bridge deleted': () => ip('link', 'delete', 'docker0'),
  'a bridge down and without addresses': async () => {
    await ip('link', 'set', 'docker0', 'down');
    await ip('addr', 'flush', 'dev', 'docker0');
  },
  'a link taken out of its bridge': () => ip('link', 'set', running[0]?.sandbox.endpoints[0]?.hostLink ?? '', 'nomaster'),
  'the link of a container deleted': () => ip('link', 'delete', running[1]?.sandbox.endpoints[0]?.hostLink ?? ''),
  'forwarding switched off': () => {
    ensureSysctl('net.ipv4.ip_forward', '0');
    ensureSysctl('net.ipv6.conf.all.forwarding', '0');
    return Promise.resolve();
  },
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`${what}: right again after a start`, async () => {
    await host.nft('add', 'table', 'ip', 'theirs');
    const before = [await rules(), await links()];
    await damage();
    await restart();
    await assertReached();
    if (!what.startsWith('forwarding')) assert.deepEqual([await rules(), await links()], before);
    assert.equal(readSysctl('net.ipv4.ip_forward'), '1');
    if (!what.includes('whole')) assert.match(await host.nft('list', 'ruleset'), /table ip theirs/);
    assert.deepEqual(network.pending(), []);
  });
}

test('a bridge that is made again has the address that containers know', async () => {
  const mac = async (): Promise<string> => (await run(['cat', '/sys/class/net/docker0/address'])).stdout;
  const before = await mac();
  await ip('link', 'delete', 'docker0');
  await restart();
  assert.equal(await mac(), before);
});

test('a filter of somebody else that drops what is forwarded is said, and left alone', async () => {
  await host.nft('add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }');
  await restart();
  // Looked for behind the start.
  await eventually(() => /chain FORWARD of table ip filter drops forwarded packets by default/.test(network.pending().join()), 'what hinders');
  assert.match(await host.nft('list', 'chain', 'ip', 'filter', 'FORWARD'), /policy drop/);
  await host.nft('delete', 'table', 'ip', 'filter');
});

test('ten starts leave rules, links and addresses as they were', async () => {
  const before = [await host.nft('-a', 'list', 'ruleset'), await links()];
  for (let n = 0; n < 10; n += 1) await restart();
  assert.deepEqual([await host.nft('-a', 'list', 'ruleset'), await links()], before);
});
