/** Names of containers on user-defined networks: what resolves, and that it goes on resolving whoever dies. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { ended, eventually, processesOf } from '../fixtures/processes.ts';
import { mooredOnly } from '../fixtures/target.ts';

const addresses: Record<string, string> = {};
const address = async (name: string, network: string): Promise<string> => (await daemon.inspect(name)).NetworkSettings.Networks[network].IPAddress as string;

const daemon = useDaemon({ config: { 'live-restore': true, dns: ['10.82.0.1'] } }, async () => {
  await daemon.ok('network', 'create', '--subnet', '10.82.0.0/24', 'bay');
  await daemon.ok('run', '-d', '--name', 'web', '--hostname', 'inner', '--network', 'bay', '--network-alias', 'harbour', 'busybox', 'sleep', '600');
  await daemon.ok('run', '-d', '--name', 'db', '--network', 'bay', '--network-alias', 'harbour', 'busybox', 'sleep', '600');
  for (const name of ['web', 'db']) addresses[name] = await address(name, 'bay');
});

const inContainer = async (from: string, ...command: string[]): Promise<string> => {
  const { stdout, stderr, code } = await daemon.docker(['exec', from, ...command]);
  assert.ok(code < 125, `exec: ${stderr}\n${daemon.complaints()}`);
  return stdout + stderr;
};
/** The addresses that a lookup from inside a container gives, none if it fails. */
async function lookup(from: string, name: string, type = 'a'): Promise<string[]> {
  const text = await inContainer(from, 'nslookup', `-type=${type}`, name);
  return [...(text.split(/\n\n/).slice(1).join('\n')).matchAll(/^Address(?: \d+)?:\s*(\S+)$/gm)].map((match) => match[1] ?? '').toSorted();
}
const resolverPid = (): number => processesOf(daemon.dir).find(({ command }) => command.startsWith('moored-dns'))?.pid ?? assert.fail('no resolver');
const rulesIn = async (name: string): Promise<string> => execFileSync('nsenter', ['-t', String((await daemon.inspect(name)).State.Pid), '-n', 'nft', '-a', 'list', 'ruleset'], { encoding: 'utf8' });

test('name, alias, short id, hostname; the network by name; both ways', async () => {
  const { web, db } = addresses as { web: string; db: string };
  for (const name of ['web', 'WEB', 'inner', 'web.bay']) assert.deepEqual(await lookup('db', name), [web], name);
  assert.deepEqual(await lookup('web', 'db'), [db]);
  assert.deepEqual(await lookup('db', (await daemon.inspect('web')).Id.slice(0, 12) as string), [web]);
  assert.deepEqual(await lookup('db', 'harbour'), [web, db].toSorted());
  assert.match(await inContainer('db', 'nslookup', web), /name = web\.bay\b/);
});

test('a name without an IPv6 address is known all the same', async () => {
  const text = await inContainer('db', 'nslookup', '-type=aaaa', 'web');
  assert.doesNotMatch(text, /NXDOMAIN|SERVFAIL|can't|No answer.*error/i);
});

test('resolv.conf names the resolver on user-defined networks only', async () => {
  assert.match(await inContainer('web', 'cat', '/etc/resolv.conf'), /^nameserver 127\.0\.0\.11$(?:.|\n)*^options (?:.* )?ndots:0$/m);
  const plain = await daemon.ok('run', '--rm', 'busybox', 'cat', '/etc/resolv.conf');
  assert.doesNotMatch(plain, /127\.0\.0\.11/);
});

test('other names are asked of the configured servers', async () => {
  const server = daemon.sessionInside([process.execPath, path.join(import.meta.dirname, '../fixtures/nameServer.ts'), '10.82.0.1']);
  try {
    await server.until('ready');
    assert.deepEqual(await lookup('db', 'seven77.example'), ['192.0.2.7']);
    assert.deepEqual(await lookup('db', 'web'), [addresses['web'] ?? '']);
  } finally {
    server.kill();
  }
});

test('a container may serve port 53 itself', async () => {
  await daemon.ok('run', '-d', '--name', 'server', '--network', 'bay', 'busybox', 'nc', '-ll', '-p', '53', '-e', 'echo', 'mine');
  assert.deepEqual(await lookup('server', 'web'), [addresses['web'] ?? '']);
  await eventually(async () => (await inContainer('web', 'nc', '-w', '2', 'server', '53')).includes('mine'), 'its own server');
  await daemon.ok('rm', '-f', 'server');
});

test('a name comes with its container and goes with it', async () => {
  const found = await daemon.ok('run', '--rm', '--name', 'self', '--network', 'bay', 'busybox', 'nslookup', '-type=a', 'self');
  assert.match(found, /Name:\s*self/);
  await daemon.ok('run', '-d', '--name', 'late', '--network', 'bay', 'busybox', 'sleep', '600');
  assert.equal((await lookup('web', 'late')).length, 1);
  await daemon.ok('stop', '-t', '0', 'late');
  assert.deepEqual(await lookup('web', 'late'), []);
  await daemon.ok('start', 'late');
  assert.equal((await lookup('web', 'late')).length, 1);
  await daemon.ok('rename', 'late', 'later');
  assert.equal((await lookup('web', 'later')).length, 1);
  assert.deepEqual(await lookup('web', 'late'), []);
  await daemon.ok('rm', '-f', 'later');
});

test('networks joined and left while running', async () => {
  await daemon.ok('network', 'create', 'cove');
  await daemon.ok('run', '-d', '--name', 'guest', 'busybox', 'sleep', '600');
  assert.deepEqual(await lookup('guest', 'web'), []);
  await daemon.ok('network', 'connect', '--alias', 'visitor', 'bay', 'guest');
  assert.deepEqual(await lookup('guest', 'web'), [addresses['web'] ?? '']);
  assert.deepEqual(await lookup('web', 'visitor'), [await address('guest', 'bay')]);
  await daemon.ok('network', 'connect', 'cove', 'guest');
  assert.deepEqual(await lookup('guest', 'guest.cove'), [await address('guest', 'cove')]);
  await daemon.ok('network', 'disconnect', 'bay', 'guest');
  assert.deepEqual(await lookup('web', 'visitor'), []);
  assert.deepEqual(await lookup('guest', 'web'), []);
  await daemon.ok('rm', '-f', 'guest');
  await daemon.ok('network', 'rm', 'cove');
});

test('--link gives a name for one container', async () => {
  await daemon.ok('run', '-d', '--name', 'linked', '--network', 'bay', '--link', 'web:store', 'busybox', 'sleep', '600');
  assert.deepEqual(await lookup('linked', 'store'), [addresses['web'] ?? '']);
  assert.deepEqual(await lookup('db', 'store'), []);
  await daemon.ok('rm', '-f', 'linked');
});

const survives = mooredOnly('with dockerd names go with the daemon');

test('names resolve while no daemon is there, and the next one changes no rule', survives, async () => {
  const web = (await daemon.inspect('web')).State.Pid as number;
  const resolver = resolverPid();
  const rules = await rulesIn('web');
  await daemon.ok('run', '-d', '--name', 'brief', '--network', 'bay', 'busybox', 'sleep', '600');
  const brief = (await daemon.inspect('brief')).State.Pid as number;
  const inside = async (name: string): Promise<string> => execFileSync('nsenter', ['-t', String(web), '-n', 'busybox', 'nslookup', '-type=a', name, '127.0.0.11'], { encoding: 'utf8' });
  await daemon.kill9();
  assert.ok((await inside('db')).includes(addresses['db'] ?? '?'));
  assert.match(await inside('brief'), /Name:\s*brief/);
  process.kill(brief, 'SIGKILL');
  await ended(brief);
  await eventually(async () => {
    try {
      return !/Name:\s*brief/.test(await inside('brief'));
    } catch {
      return true;
    }
  }, 'the name of what died meanwhile to be gone');
  await daemon.start();
  assert.equal(resolverPid(), resolver);
  assert.equal(await rulesIn('web'), rules);
  assert.deepEqual(await lookup('db', 'web'), [addresses['web'] ?? '']);
  await daemon.ok('rm', '-f', 'brief');
});

test('the resolver killed: questions wait for the next one', survives, async () => {
  const rules = await rulesIn('web');
  const killed = resolverPid();
  process.kill(killed, 'SIGKILL');
  await ended(killed);
  assert.deepEqual(await lookup('db', 'web'), [addresses['web'] ?? '']);
  assert.notEqual(resolverPid(), killed);
  assert.equal(await rulesIn('web'), rules);
});

test('daemon and resolver killed: the next daemon starts one', survives, async () => {
  const killed = resolverPid();
  await daemon.kill9();
  process.kill(killed, 'SIGKILL');
  await ended(killed);
  await daemon.start();
  assert.deepEqual(await lookup('db', 'web'), [addresses['web'] ?? '']);
  assert.deepEqual(await lookup('web', 'db'), [addresses['db'] ?? '']);
});

test('daemon and resolver killed, again and again: a shim starts one, and no question is lost', { ...survives, timeout: 120_000 }, async () => {
  const web = (await daemon.inspect('web')).State.Pid as number;
  const ask = (): string => execFileSync('nsenter', ['-t', String(web), '-n', 'busybox', 'nslookup', '-type=a', 'db', '127.0.0.11'], { encoding: 'utf8', timeout: 30_000 });
  await daemon.kill9();
  for (let i = 0; i < 3; i += 1) {
    const killed = resolverPid();
    process.kill(killed, 'SIGKILL');
    await ended(killed);
    assert.match(ask(), /Name:\s*db/, 'the question waited');
    assert.notEqual(resolverPid(), killed);
  }
  const resolver = resolverPid();
  await daemon.start();
  assert.deepEqual(await lookup('db', 'web'), [addresses['web'] ?? '']);
  assert.equal(resolverPid(), resolver, 'the daemon keeps it');
  assert.equal(processesOf(daemon.dir).filter(({ command }) => command.startsWith('moored-dns')).length, 1);
});

test('what its shim restarts meanwhile has its name again', survives, async () => {
  await daemon.ok('run', '-d', '--name', 'phoenix', '--restart', 'always', '--network', 'bay', 'busybox', 'sleep', '600');
  const [web, phoenix] = await Promise.all(['web', 'phoenix'].map(async (name) => (await daemon.inspect(name)).State.Pid as number));
  await daemon.kill9();
  process.kill(phoenix ?? 0, 'SIGKILL');
  await ended(phoenix ?? 0);
  const inside = (): string => execFileSync('nsenter', ['-t', String(web), '-n', 'busybox', 'nslookup', '-type=a', 'phoenix', '127.0.0.11'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  await eventually(() => {
    try {
      return /Name:\s*phoenix/.test(inside());
    } catch {
      return false;
    }
  }, 'the name to be back');
  await daemon.start();
  assert.equal((await lookup('phoenix', 'web')).length, 1);
  await daemon.ok('rm', '-f', 'phoenix');
});

test('with its shim and then the resolver killed a container still asks', survives, async () => {
  await daemon.ok('run', '-d', '--name', 'orphan', '--network', 'bay', 'busybox', 'sleep', '600');
  const { Id: id } = await daemon.inspect('orphan');
  const shim = (): number | undefined => processesOf(daemon.dir).find(({ command }) => command.includes('moored-shim') && command.includes(id as string))?.pid;
  const first = shim() ?? assert.fail('no shim');
  process.kill(first, 'SIGKILL');
  await ended(first);
  await eventually(() => shim() !== undefined, 'another shim');
  assert.equal((await lookup('orphan', 'web')).length, 1);
  const killed = resolverPid();
  process.kill(killed, 'SIGKILL');
  await ended(killed);
  assert.equal((await lookup('orphan', 'web')).length, 1, 'the new shim holds sockets too');
  assert.equal((await lookup('web', 'orphan')).length, 1);
  await daemon.ok('rm', '-f', 'orphan');
});

test('many runs leave nothing open in the resolver', survives, async () => {
  const open = (): number => readdirSync(`/proc/${resolverPid()}/fd`).length;
  const before = open();
  for (let run = 0; run < 3; run += 1) await daemon.ok('run', '--rm', '--network', 'bay', 'busybox', 'nslookup', '-type=a', 'web');
  await eventually(() => open() <= before, `descriptors to be closed (${before})`);
});

test('its cgroup is not the daemon\'s', survives, () => {
  const cgroup = (pid: number): string => readFileSync(`/proc/${pid}/cgroup`, 'utf8');
  assert.match(cgroup(resolverPid()), /moored-shims/);
});
