/**
 * A host to test networks on: a network namespace that the test's process lives in, a second one that is another host
 * on its wire, and processes inside containers' namespaces.
 */
import { mkdtempSync, openSync, closeSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import { newId } from '../base/ids.ts';
import { silentLogger } from '../base/logger.ts';
import { defaultNetConfig } from '../core/network/config.ts';
import type { NetConfig } from '../core/network/config.ts';
import type { SandboxRequest } from '../core/ports/network.ts';
import { RouteSocket } from '../sys/netlinkRoute.ts';
import { createNetns, enterNetns, removeNetns, withNetnsAt } from '../sys/netns.ts';
import { run, spawnDetached } from '../sys/spawn.ts';
import { Network } from './network.ts';

export const HOST = { v4: '192.0.2.1', v6: '2001:db8::1' } as const;
export const PEER = { v4: '192.0.2.9', v6: '2001:db8::9' } as const;

/** Answers every TCP connection and UDP packet on the ports with `NAME sees CLIENT`. */
const SERVER = `
const [name, ...ports] = process.argv.slice(1);
const net = require('node:net'), dgram = require('node:dgram'), fs = require('node:fs');
const plain = (a) => a.replace('::ffff:', '');
(async () => {
  for (const port of ports.map(Number)) {
    await new Promise((r) => net.createServer((s) => { s.on('error', () => {}); s.end(name + ' sees ' + plain(s.remoteAddress)); }).listen(port, '::', r));
    const u = dgram.createSocket('udp6');
    u.on('message', (m, from) => u.send(name + ' sees ' + plain(from.address), from.port, from.address));
    await new Promise((r) => u.bind(port, '::', r));
  }
  fs.writeSync(3, 'ready');
})();`;

const CLIENT = `
const [proto, host, port, from] = process.argv.slice(1);
const fail = (why) => { console.log('no answer: ' + why); process.exit(0); };
setTimeout(() => fail('timeout'), 1500);
if (proto === 'tcp') {
  const s = require('node:net').connect({ host, port: Number(port) });
  let text = '';
  s.on('data', (d) => text += d).on('error', (e) => fail(e.code)).on('end', () => { console.log(text); process.exit(0); });
} else {
  const u = require('node:dgram').createSocket(host.includes(':') ? 'udp6' : 'udp4');
  u.on('message', (m) => { console.log(String(m)); process.exit(0); }).on('error', (e) => fail(e.code));
  u.bind(Number(from), () => u.connect(Number(port), host, () => u.send('x')));
}`;

export class TestHost {
  readonly root = mkdtempSync(join(tmpdir(), 'moored-net-'));
  readonly config: NetConfig = defaultNetConfig();
  readonly #pins: string[] = [];
  readonly #ends: (() => void)[] = [];

  /** Makes the namespaces; the process lives in the host's from now on. */
  constructor() {
    const host = this.#namespace('host');
    this.#namespace('peer');
    enterNetns(host);
    using socket = new RouteSocket();
    socket.setLink('lo', { up: true });
    const peer = openSync(this.pin('peer'), 'r');
    socket.addVeth({ name: 'uplink', mtu: 1500, alias: '', master: 0, peer: { name: 'eth0', mac: '02:00:00:00:00:09', netnsFd: peer } });
    closeSync(peer);
    const index = socket.link('uplink')?.index ?? 0;
    socket.addAddress(index, HOST.v4, 24);
    socket.addAddress(index, HOST.v6, 64);
    withNetnsAt(this.pin('peer'), () => {
      using inside = new RouteSocket();
      const eth0 = inside.link('eth0')?.index ?? 0;
      inside.addAddress(eth0, PEER.v4, 24);
      inside.addAddress(eth0, PEER.v6, 64);
      inside.setLink('eth0', { up: true });
      inside.setLink('lo', { up: true });
      inside.replaceDefaultRoute(4, HOST.v4, eth0);
      inside.replaceDefaultRoute(6, HOST.v6, eth0);
    });
  }

  pin(name: string): string {
    return join(this.root, 'ns', name);
  }

  #namespace(name: string): string {
    createNetns(this.pin(name), () => {});
    this.#pins.push(this.pin(name));
    return this.pin(name);
  }

  /** A daemon's network room on the same data root: another one is a restart. */
  daemon(config: Partial<NetConfig> = {}): Network {
    return new Network({
      directory: join(this.root, 'networks'),
      config: { ...this.config, ...config },
      logger: silentLogger,
      clock: systemClock,
      newId: () => newId(),
      ulaBits: 0x1234567890n,
    });
  }

  request(name: string, network: string, more: Partial<SandboxRequest> & { endpoint?: Partial<SandboxRequest['endpoints'][number]['request']> } = {}): SandboxRequest {
    const { endpoint, ...rest } = more;
    this.#pins.push(this.pin(name));
    return {
      containerId: newId(),
      containerName: name,
      hostname: name,
      netnsPath: this.pin(name),
      endpoints: [{ networkId: network, request: { ...EMPTY_ENDPOINT, ...endpoint }, dnsNames: [name] }],
      portBindings: {},
      exposedPorts: [],
      publishAllPorts: false,
      links: [],
      sysctls: {},
      ...rest,
    };
  }

  /** Starts the server in a container's namespace (or the host's, for `''`). */
  async serve(name: string, ...ports: number[]): Promise<void> {
    const server = await spawnDetached([...this.#enter(name), process.execPath, '-e', SERVER, name === '' ? 'host' : name, ...ports.map(String)], { fds: ['pipe'] });
    this.#ends.push(() => server.kill());
    const [ready] = server.pipes;
    await new Promise((resolve, reject) => ready?.once('data', resolve).once('end', () => reject(new Error(`${name} did not start`))));
    ready?.destroy();
  }

  /** What a client in a namespace (`''`: the host's) hears; a UDP client can have a port of its own (`from`). */
  async ask(name: string, proto: 'tcp' | 'udp', to: { host: string; port: number; from?: number }): Promise<string> {
    const { stdout, stderr } = await run([...this.#enter(name), process.execPath, '-e', CLIENT, proto, to.host, String(to.port), String(to.from ?? 0)], { timeoutMs: 10_000 });
    return stdout.trim() || stderr.trim();
  }

  #enter(name: string): string[] {
    return name === '' ? [] : ['nsenter', `--net=${this.pin(name)}`];
  }

  async nft(...words: string[]): Promise<string> {
    return (await run(['nft', ...words])).stdout;
  }

  close(): void {
    for (const end of this.#ends) end();
    for (const pin of this.#pins) removeNetns(pin);
    rmSync(this.root, { recursive: true, force: true });
  }
}

export const EMPTY_ENDPOINT: SandboxRequest['endpoints'][number]['request'] = {
  ipv4Address: '', ipv6Address: '', linkLocalIps: [], links: [], aliases: [], macAddress: '', driverOpts: {}, gwPriority: 0,
};

/** `80/tcp` and `80/udp` on a port of the host. */
export const publish = (containerPort: number, hostPort: number | string, hostIp = ''): SandboxRequest['portBindings'] => ({
  [`${containerPort}/tcp`]: [{ hostIp, hostPort: String(hostPort) }],
  [`${containerPort}/udp`]: [{ hostIp, hostPort: String(hostPort) }],
});
