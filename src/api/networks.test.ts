import assert from 'node:assert/strict';
import { once } from 'node:events';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { systemClock } from '../base/clock.ts';
import { notFound } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { TestHost } from '../net/network.fixture.ts';
import type { AttachedContainer } from '../wire/network.ts';
import { run } from '../sys/spawn.ts';
import { networkRoutes } from './networks.ts';
import { pingRoutes } from './ping.ts';
import { createRouter } from './router.ts';
import { apiHandler, createApiServer } from './server.ts';

let host: TestHost;
let socket: string;
const calls: string[] = [];
const attached = new Map<string, AttachedContainer[]>();
let closeServer: () => unknown;

before(async () => {
  host = new TestHost();
  const networks = host.daemon();
  await networks.restore([]);
  const routes = networkRoutes({
    networks,
    clock: systemClock,
    attached: (id) => attached.get(id) ?? [],
    connect: (container, network, request) => {
      if (container === 'nobody') return Promise.reject(notFound('No such container: nobody'));
      calls.push(`connect ${container} ${network.name} ${request.ipv4Address} ${request.aliases.join()} ${request.gwPriority}`);
      return Promise.resolve();
    },
    disconnect: (container, network, { force }) => {
      calls.push(`disconnect ${container} ${network.name} ${force}`);
      return Promise.resolve();
    },
    telling: async ({ action, attributes }, _proof, act) => {
      const result = await act();
      calls.push(`${action} ${attributes['name']}`);
      return result;
    },
  });
  const router = createRouter([...pingRoutes({ swarmState: () => 'inactive' }), ...routes]);
  const server = createApiServer(apiHandler({ router, logger: silentLogger, version: '1.2.3', experimental: false }));
  socket = join(host.root, 'api.sock');
  server.http.listen(socket);
  await once(server.http, 'listening');
  closeServer = () => server.close();
});
after(async () => {
  await closeServer();
  host.close();
});

/** `docker network …`: its output, or its error. */
async function docker(...words: string[]): Promise<string> {
  const { stdout, stderr } = await run(['docker', '-H', `unix://${socket}`, 'network', ...words]);
  return `${stdout}${stderr}`.trim();
}
const inspect = async (name: string, format: string): Promise<string> => docker('inspect', name, '--format', format);

test('ls shows the predefined networks, and filters', async () => {
  assert.deepEqual((await docker('ls', '--format', '{{.Name}} {{.Driver}} {{.Scope}}')).split('\n'), ['bridge bridge local', 'host host local', 'none null local']);
  assert.equal(await docker('ls', '--format', '{{.Name}}', '--filter', 'driver=host'), 'host');
  assert.equal(await docker('ls', '--format', '{{.Name}}', '--filter', 'name=^br.dge$'), 'bridge');
  assert.equal(await docker('ls', '-q', '--filter', 'type=custom'), '');
  assert.match(await docker('ls', '--filter', 'nonsense=1'), /invalid filter 'nonsense'/);
});

test('create takes every option, inspect shows it', async () => {
  const id = await docker('create', '--subnet', '10.5.0.0/16', '--ip-range', '10.5.1.0/24', '--gateway', '10.5.0.9', '--aux-address', 'a=10.5.1.7', '--label', 'x=y', '--internal', '--attachable', '--opt', 'com.docker.network.driver.mtu=1400', 'full');
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.equal(await inspect('full', '{{.Id}} {{.Internal}} {{.Attachable}} {{.EnableIPv4}} {{.EnableIPv6}} {{json .Labels}} {{json .Options}} {{json .IPAM.Config}}'),
    `${id} true true true false {"x":"y"} {"com.docker.network.driver.mtu":"1400"} [{"AuxiliaryAddresses":{"a":"10.5.1.7"},"Gateway":"10.5.0.9","IPRange":"10.5.1.0/24","Subnet":"10.5.0.0/16"}]`);
  assert.equal(await inspect(id.slice(0, 12), '{{.Name}}'), 'full');
  assert.equal(calls.at(-1), 'create full');
  assert.match((await run(['ip', 'link', 'show', `br-${id.slice(0, 12)}`])).stdout, /mtu 1400/);
});

test("refusals in Docker's words", async () => {
  assert.equal(await docker('create', 'full'), 'Error response from daemon: network with name full already exists');
  assert.equal(await docker('create', 'bridge'), 'Error response from daemon: operation is not permitted on predefined bridge network');
  assert.equal(await docker('rm', 'bridge'), 'Error response from daemon: bridge is a pre-defined network and cannot be removed\nexit status 1');
  assert.equal(await docker('create', '-d', 'macvlan', 'm'), 'Error response from daemon: plugin "macvlan" not found');
  assert.equal(await docker('create', '-d', 'host', 'h'), 'Error response from daemon: only one instance of "host" network is allowed');
  assert.equal(await docker('create', '--subnet', '10.5.3.0/24', 'o'), 'Error response from daemon: invalid pool request: Pool overlaps with other one on this address space');
  assert.match(await docker('inspect', 'nothing'), /network nothing not found/);
  assert.match(await docker('create', '--opt', 'com.docker.network.bridge.name=a"b', 'evil'), /invalid bridge name/);
});

test('a network in use is neither removed nor pruned', async () => {
  const id = await docker('create', 'used');
  await docker('create', 'idle');
  attached.set(id, [{
    containerId: 'c'.repeat(64),
    name: 'web',
    endpoint: {
      id: 'e'.repeat(64), networkId: id, networkName: 'used', request: { ipv4Address: '', ipv6Address: '', linkLocalIps: [], links: [], aliases: [], macAddress: '', driverOpts: {}, gwPriority: 0 },
      link: 'eth0', hostLink: 'veth', macAddress: '02:42:00:00:00:02', ipv4: '172.18.0.2', ipv4PrefixLength: 16, gateway4: '172.18.0.1', ipv6: '', ipv6PrefixLength: 0, gateway6: '', dnsNames: [],
    },
  }]);
  assert.equal(await docker('rm', 'used'), `Error response from daemon: error while removing network: network used has active endpoints (name:"web" id:"${'e'.repeat(12)}")\nexit status 1`);
  assert.equal(await inspect('used', '{{json .Containers}}'), `{"${'c'.repeat(64)}":{"Name":"web","EndpointID":"${'e'.repeat(64)}","MacAddress":"02:42:00:00:00:02","IPv4Address":"172.18.0.2/16","IPv6Address":""}}`);
  assert.equal(await docker('ls', '--format', '{{.Name}}', '--filter', 'dangling=true', '--filter', 'name=idle'), 'idle');
  assert.match(await docker('prune', '-f', '--filter', 'label!=x=y'), /^Deleted Networks:\nidle$/);
  attached.clear();
  assert.equal(await docker('rm', 'used'), 'used');
  assert.equal(calls.at(-1), 'destroy used');
});

test('connect and disconnect are handed on', async () => {
  assert.equal(await docker('connect', '--ip', '10.5.1.8', '--alias', 'db', '--gw-priority', '7', 'full', 'web'), '');
  assert.equal(calls.at(-1), 'connect web full 10.5.1.8 db 7');
  assert.equal(await docker('disconnect', '-f', 'full', 'web'), '');
  assert.equal(calls.at(-1), 'disconnect web full true');
  assert.match(await docker('connect', 'full', 'nobody'), /No such container: nobody/);
});

test('configuration networks: what they lend, and what cannot be', async () => {
  assert.match(await docker('create', '--config-only', '--subnet', '10.66.0.0/24', '-o', 'com.docker.network.driver.mtu=1400', '--label', 'lent=yes', 'plan'), /^[0-9a-f]{64}$/);
  assert.equal(await inspect('plan', '{{.ConfigOnly}} {{.Driver}} {{(index .IPAM.Config 0).Subnet}}'), 'true null 10.66.0.0/24');
  assert.match(await docker('create', '--config-from', 'plan', 'built'), /^[0-9a-f]{64}$/);
  assert.equal(await inspect('built', '{{.ConfigFrom.Network}} {{.ConfigOnly}} {{.Driver}} {{(index .IPAM.Config 0).Subnet}} {{(index .IPAM.Config 0).Gateway}} {{.Labels}} {{.Options}}'), 'plan false bridge 10.66.0.0/24 10.66.0.1 map[lent:yes] map[com.docker.network.driver.mtu:1400]');
  assert.match(await docker('create', '--config-from', 'plan', 'twice'), /Pool overlaps with other one on this address space/);
  assert.match(await docker('create', '--config-from', 'nothing', 'lost'), /configuration network "nothing" not found/);
  assert.match(await docker('create', '--config-from', 'plan', '--label', 'own=1', 'lost'), /user specified configurations are not supported if the network depends on a configuration network/);
  assert.match(await docker('create', '--config-only', '--internal', 'lost'), /configuration network can only contain network specific fields/);
  assert.match(await docker('create', '--config-only', '--config-from', 'plan', 'lost'), /a configuration network cannot depend on another configuration network/);
  assert.match(await docker('create', '--config-only', '--subnet', '10.66.0.1/24', 'lost'), /it should be 10\.66\.0\.0\/24/);
  assert.match(await docker('rm', 'plan'), /configuration network "plan" is in use/);
  assert.doesNotMatch(await docker('prune', '-f'), /^plan$/m);
  assert.doesNotMatch(await docker('ls', '--format', '{{.Name}}'), /built/);
  assert.equal(await docker('rm', 'plan'), 'plan');
});
