/**
 * A1, A2, A3 and B12 of docs/continuity.md, seen from outside: ports and names asked every 10 ms from everywhere, while the
 * daemon is killed and started again and again, with thirty containers to restore. Not one probe may fail.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { startEcho } from '../fixtures/echo.ts';
import { assertAllAnswered, startProber } from '../fixtures/prober.ts';
import type { Prober, ProbeTarget } from '../fixtures/prober.ts';
import { mooredOnly } from '../fixtures/target.ts';

const BASE = { 'live-restore': true, bip: '192.168.77.1/24' };
const FLEET = 30;
/** Of them on a network with names. */
const NAMED = 10;
const FIRST_PORT = 19_000;
const daemon = useDaemon({ config: BASE });

async function startFleet(): Promise<string[]> {
  await daemon.ok('network', 'create', 'bay');
  const start = async (n: number): Promise<string> => {
    const port = String(FIRST_PORT + n);
    const created = await daemon.request('POST', `/containers/create?name=c${n}`, {
      body: {
        Image: 'busybox', Cmd: ['sleep', '6000'], ExposedPorts: { '7/tcp': {}, '7/udp': {} },
        HostConfig: { NetworkMode: n < NAMED ? 'bay' : 'default', PortBindings: { '7/tcp': [{ HostPort: port }], '7/udp': [{ HostPort: port }] } },
      },
    });
    assert.equal(created.status, 201, created.text);
    const { Id } = created.json() as { Id: string };
    const started = await daemon.request('POST', `/containers/${Id}/start`);
    assert.equal(started.status, 204, started.text);
    return Id;
  };
  const ids: string[] = [];
  for (let n = 0; n < FLEET; n += 2) ids.push(...await Promise.all([start(n), start(n + 1)]));
  return ids;
}

/** Those of the ports that a process can bind on the host. */
async function bindable(ports: readonly number[]): Promise<string[]> {
  const script = `const net = require('node:net'), dgram = require('node:dgram');
    const tcp = (port, host) => new Promise((r) => { const s = net.createServer().on('error', (e) => r(e.code === 'EADDRINUSE')).listen({ port, host, exclusive: true }, () => { s.close(); r(false); }); });
    const udp = (port, host) => new Promise((r) => { const s = dgram.createSocket({ type: host === '::1' ? 'udp6' : 'udp4' }).on('error', (e) => r(e.code === 'EADDRINUSE')); s.bind(port, host, () => { s.close(); r(false); }); });
    (async () => { for (const port of process.argv.slice(1).map(Number)) for (const host of ['0.0.0.0', '127.0.0.1', '::1']) { if (!(await tcp(port, host))) console.log('tcp', host, port); if (!(await udp(port, host))) console.log('udp', host, port); } })();`;
  const { code, stdout, stderr } = await daemon.inside([process.execPath, '-e', script, ...ports.map(String)]);
  assert.equal(code, 0, stderr);
  return stdout.split('\n').filter((line) => line !== '');
}

test('A1, A2, A3, B12: no probe of a port or a name fails across crashes, starts and a start with other options', mooredOnly('dockerd’s proxies and names die with it'), async () => {
  const peer = daemon.peer();
  const ids = await startFleet();
  const pin = (n: number): string => `${daemon.execRoot}/containers/${ids[n] ?? ''}/netns`;
  const ports = ids.map((_, n) => FIRST_PORT + n);
  const [named, plain] = [FIRST_PORT, FIRST_PORT + NAMED];
  const address = (await daemon.inspect('c1')).NetworkSettings.Networks.bay.IPAddress as string;
  const at = (kind: 'tcp' | 'udp', host: string, port: number): ProbeTarget => ({ kind, host, port });
  using held = new DisposableStack();
  held.use(await startEcho(ids.map((_, n) => pin(n)), 7));
  const probers: [prober: Prober, least: number][] = [
    [startProber([at('tcp', '127.0.0.1', plain), at('tcp', '::1', plain), at('udp', '127.0.0.1', named), at('tcp', '10.99.0.1', named)], { netns: daemon.netns }), 100],
    [startProber([at('tcp', '10.99.0.1', plain), at('tcp', 'fd00:99::1', plain), at('udp', '10.99.0.1', plain), at('udp', 'fd00:99::1', named)], { netns: peer }), 100],
    [startProber([{ kind: 'dns', host: '127.0.0.11', port: 53, name: 'c1', address }, at('tcp', address, 7)], { netns: pin(0) }), 100],
    // All of the fleet, less often.
    [startProber(ports.map((port) => at('udp', '10.99.0.1', port)), { netns: peer, intervalMs: 250 }), 10],
  ];
  for (const [prober] of probers) held.use(prober);
  for (const [prober] of probers) await prober.answered(5);
  for (const config of [BASE, BASE, { ...BASE, bip: '192.168.78.1/24', mtu: 1400, icc: false, 'userland-proxy': false, 'log-driver': 'none', 'default-address-pools': [{ base: '10.201.0.0/16', size: 24 }] }]) {
    await daemon.kill9();
    assert.deepEqual(await bindable(ports), [], 'ports that anybody can have');
    daemon.configure(config);
    await daemon.start();
    for (const [prober, least] of probers) await prober.answered(least / 5);
  }
  for (const [prober, least] of probers) assertAllAnswered(await prober.stop(), least);
  assert.equal((await daemon.request('GET', '/containers/json')).json().length, FLEET);
});
