import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { SandboxUp } from '../core/ports/network.ts';
import { ensureSysctl } from '../sys/sysctl.ts';
import { HOST, PEER, TestHost, publish } from './network.fixture.ts';
import type { Network } from './network.ts';

let host: TestHost;
let network: Network;
let web: SandboxUp;
let webId: string;

before(async () => {
  host = new TestHost();
  // As on hosts without br_netfilter; the other tests have it as the kernel does.
  ensureSysctl('net.bridge.bridge-nf-call-iptables', '0');
  network = host.daemon();
  await network.restore([]);
  const request = host.request('web', network.resolve('bridge').id, { portBindings: publish(80, 8080) });
  webId = request.containerId;
  web = await network.up(request);
  await host.serve('web', 80);
});
after(() => host.close());

test('the predefined networks are there', () => {
  assert.deepEqual(network.list().map(({ name, driver }) => `${name} ${driver}`).toSorted(), ['bridge bridge', 'host host', 'none null']);
  const [config] = network.resolve('bridge').ipam.config;
  assert.deepEqual([config?.subnet, config?.gateway], ['172.17.0.0/16', '172.17.0.1']);
});

test('a container has the first free address', () => {
  const [endpoint] = web.sandbox.endpoints;
  assert.equal(endpoint?.ipv4, '172.17.0.2');
  assert.equal(endpoint.macAddress, '02:42:ac:11:00:02');
  assert.equal(endpoint.gateway4, '172.17.0.1');
});

test('both families are published under one number', () => {
  assert.deepEqual(web.sandbox.ports.filter(({ proto }) => proto === 'tcp').map(({ hostIp, hostPort }) => `${hostIp} ${hostPort}`), ['0.0.0.0 8080', ':: 8080']);
});

for (const proto of ['tcp', 'udp'] as const) {
  test(`a published ${proto} port answers another host, which keeps its address`, async () => {
    assert.equal(await host.ask('peer', proto, { host: HOST.v4, port: 8080 }), `web sees ${PEER.v4}`);
  });
  test(`a published ${proto} port answers localhost`, async () => {
    assert.equal(await host.ask('', proto, { host: '127.0.0.1', port: 8080 }), 'web sees 172.17.0.1');
  });
  test(`a published ${proto} port answers the host's own address`, async () => {
    assert.match(await host.ask('', proto, { host: HOST.v4, port: 8080 }), /^web sees/);
  });
  test(`a published ${proto} port answers the container itself`, async () => {
    assert.match(await host.ask('web', proto, { host: HOST.v4, port: 8080 }), /^web sees/);
    assert.match(await host.ask('web', proto, { host: '172.17.0.1', port: 8080 }), /^web sees/);
  });
}

test('a container reaches another one, and its published port', async () => {
  const request = host.request('client', network.resolve('bridge').id);
  const { sandbox } = await network.up(request);
  try {
    assert.equal(sandbox.endpoints[0]?.ipv4, '172.17.0.3');
    assert.equal(await host.ask('client', 'tcp', { host: '172.17.0.2', port: 80 }), 'web sees 172.17.0.3');
    assert.match(await host.ask('client', 'tcp', { host: HOST.v4, port: 8080 }), /^web sees/);
    assert.match(await host.ask('client', 'udp', { host: HOST.v4, port: 8080 }), /^web sees/);
  } finally {
    await network.down(request.containerId, sandbox);
  }
});

test('what is not published cannot be reached from another host, but the container reaches it', async () => {
  await host.serve('peer', 99);
  assert.match(await host.ask('peer', 'tcp', { host: '172.17.0.2', port: 80 }), /no answer/);
  assert.equal(await host.ask('web', 'tcp', { host: PEER.v4, port: 99 }), `peer sees ${HOST.v4}`);
});

test('a port in use by a container or a process is refused in Docker\'s words', async () => {
  const bridge = network.resolve('bridge').id;
  await assert.rejects(network.up(host.request('second', bridge, { portBindings: publish(80, 8080) })), (error: Error) => {
    assert.match(error.message, /^failed to set up container networking: driver failed programming external connectivity on endpoint second \([0-9a-f]{64}\): Bind for 0\.0\.0\.0:8080 failed: port is already allocated$/);
    return true;
  });
  await host.serve('', 8081);
  await assert.rejects(network.up(host.request('third', bridge, { portBindings: { '80/tcp': [{ hostIp: '0.0.0.0', hostPort: '8081' }] } })),
    /failed to bind host port for 0\.0\.0\.0:8081:172\.17\.0\.3:80\/tcp: address already in use$/);
});

test('restarts of the daemon change nothing, and published ports stay', async () => {
  const before = await host.nft('-a', 'list', 'ruleset');
  assert.match(before, /8080/);
  for (let i = 0; i < 3; i += 1) {
    network = host.daemon();
    await network.restore([{ containerId: webId, sandbox: web.sandbox }]);
  }
  assert.equal(await host.nft('-a', 'list', 'ruleset'), before);
  assert.equal(await host.ask('peer', 'tcp', { host: HOST.v4, port: 8080 }), `web sees ${PEER.v4}`);
});

test('what was removed meanwhile is back after a restart, and nobody gets what is in use', async () => {
  await host.nft('flush', 'chain', 'inet', 'moored', 'publish');
  await host.nft('add', 'table', 'ip', 'other');
  network = host.daemon();
  await network.restore([{ containerId: webId, sandbox: web.sandbox }]);
  assert.equal(await host.ask('peer', 'tcp', { host: HOST.v4, port: 8080 }), `web sees ${PEER.v4}`);
  assert.match(await host.nft('list', 'ruleset'), /table ip other/);
  await assert.rejects(network.up(host.request('late', network.resolve('bridge').id, { portBindings: publish(80, 8080) })), /port is already allocated/);
});

test('a port is waited for while the container that had it lets go', async () => {
  const bridge = network.resolve('bridge').id;
  const first = host.request('first', bridge, { portBindings: publish(80, 8200) });
  const up = await network.up(first);
  await network.down(first.containerId, up.sandbox);
  // As if its shim were still there.
  setTimeout(() => network.closeSockets(up.sockets), 100);
  const next = host.request('next', bridge, { portBindings: publish(80, 8200) });
  const again = await network.up(next);
  assert.equal(again.sandbox.ports.length, 4);
  network.closeSockets(again.sockets);
  await network.down(next.containerId, again.sandbox);
});

test('a UDP client that spoke to a port before it was published is served afterwards, and not after its end', async () => {
  const talk = () => host.ask('peer', 'udp', { host: HOST.v4, port: 8210, from: 5555 });
  assert.match(await talk(), /no answer/);
  const request = host.request('late-udp', network.resolve('bridge').id, { portBindings: { '80/udp': [{ hostIp: '', hostPort: '8210' }] } });
  const up = await network.up(request);
  await host.serve('late-udp', 80);
  assert.equal(await talk(), `late-udp sees ${PEER.v4}`);
  network.closeSockets(up.sockets);
  await network.down(request.containerId, up.sandbox);
  await host.serve('', 8210);
  assert.equal(await talk(), `host sees ${PEER.v4}`);
});

test('exposed ports are published on ephemeral ones, SCTP too', async () => {
  const request = host.request('exposed', network.resolve('bridge').id, { exposedPorts: ['80-81/tcp', '99/sctp'], publishAllPorts: true });
  const up = await network.up(request);
  assert.deepEqual(up.sandbox.ports.map(({ proto, containerPort, hostIp }) => `${hostIp} ${containerPort}/${proto}`), [
    '0.0.0.0 80/tcp', ':: 80/tcp', '0.0.0.0 81/tcp', ':: 81/tcp', '0.0.0.0 99/sctp',
  ]);
  assert.equal(new Set(up.sandbox.ports.map(({ hostPort }) => hostPort)).size, 3);
  assert.match(await host.nft('list', 'map', 'inet', 'moored', 'anyport4'), /sctp \. \d+ : 172\.17\.0\.\d+ \. 99/);
  network.closeSockets(up.sockets);
  await network.down(request.containerId, up.sandbox);
});

test('nothing of a container is left when it is down', async () => {
  network.closeSockets(web.sockets);
  await network.down(webId, web.sandbox);
  await network.down(webId, web.sandbox);
  const rules = await host.nft('list', 'ruleset');
  assert.doesNotMatch(rules, /8080/);
  assert.match(await host.ask('peer', 'tcp', { host: HOST.v4, port: 8080 }), /no answer: ECONNREFUSED/);
  const again = host.request('again', network.resolve('bridge').id, { portBindings: publish(80, 8080) });
  const up = await network.up(again);
  assert.equal(up.sandbox.endpoints[0]?.ipv4, '172.17.0.2');
  network.closeSockets(up.sockets);
  await network.down(again.containerId, up.sandbox);
});
