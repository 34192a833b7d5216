import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { isMounted, unmountVolume } from './localMount.ts';
import { hidePassword, parseMountOptions, resolveServer } from './mountOptions.ts';
import { Volumes } from './volumes.ts';

const work = mkdtempSync(join(tmpdir(), 'moored-volumes-'));
after(() => rmSync(work, { recursive: true, force: true }));

const logger = { debug() {}, info() {}, warn() {}, error() {} };
const fresh = (): string => mkdtempSync(join(work, 'root-'));
const open = (dataRoot: string): Promise<Volumes> => Volumes.open({ root: join(dataRoot, 'volumes'), logger });
const ask = (name: string, options: Record<string, string> = {}, labels: Record<string, string> = {}) => ({ name, driver: 'local', labels, options });

test('a volume outlives the daemon, with its labels', async () => {
  const root = fresh();
  const made = await (await open(root)).create(ask('data', {}, { a: 'b', $x: 'y' }));
  assert.equal(made.mountpoint, join(root, 'volumes/data/_data'));
  assert.equal(statSync(made.mountpoint).mode & 0o777, 0o755);
  const again = await open(root);
  assert.deepEqual(again.get('data'), made);
  assert.deepEqual(again.list(), [made]);
  assert.equal((await again.create(ask('data'))).createdNs, made.createdNs);
});

test('two creations of one name make one volume', async () => {
  const volumes = await open(fresh());
  const [a, b] = await Promise.all([volumes.create(ask('same')), volumes.create(ask('same'))]);
  assert.equal(a, b);
  assert.equal(volumes.list().length, 1);
});

test('without a name: anonymous, and so labelled', async () => {
  const record = await (await open(fresh())).create(ask(''));
  assert.match(record.name, /^[0-9a-f]{64}$/);
  assert.equal(record.anonymous, true);
  assert.deepEqual(record.labels, { 'com.docker.volume.anonymous': '' });
});

test('refusals in Docker\'s words', async () => {
  const root = fresh();
  const volumes = await open(root);
  const refused: [ReturnType<typeof ask>, string][] = [
    [ask('x'), 'create x: volume name is too short, names should be at least two alphanumeric characters'],
    [ask('../etc'), 'create ../etc: "../etc" includes invalid characters for a local volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'],
    [{ ...ask('ok'), driver: 'rexray' }, 'create ok: error looking up volume plugin rexray: plugin "rexray" not found'],
    [ask('ok', { foo: 'x' }), 'create ok: invalid option: "foo"'],
    [ask('ok', { type: 'nfs' }), 'create ok: missing required option: "device"'],
    [ask('ok', { o: 'ro' }), 'create ok: missing required option: "device"'],
    [ask('ok', { size: '1g' }), 'create ok: quota size requested but no quota support'],
  ];
  for (const [request, message] of refused) await assert.rejects(volumes.create(request), { message });
  assert.deepEqual(readdirSync(join(root, 'volumes')), []);
  assert.throws(() => volumes.get('none'), { message: 'get none: no such volume', kind: 'not-found' });
});

test('removal: not while somebody uses it, then wholly', async () => {
  const root = fresh();
  const volumes = await open(root);
  const { mountpoint } = await volumes.create(ask('gone'));
  assert.equal(await volumes.mount('gone', 'c1'), mountpoint);
  writeFileSync(join(mountpoint, 'file'), '12345');
  assert.equal(await volumes.usage('gone'), 5);
  await assert.rejects(volumes.remove('gone'), { message: 'remove gone: volume is in use - [c1]' });
  await volumes.unmount('gone', 'c1');
  await volumes.remove('gone');
  assert.deepEqual(readdirSync(join(root, 'volumes')), []);
  await assert.rejects(volumes.remove('gone'), { kind: 'not-found' });
});

test('a removal and a mount at once: one of them, never half', async () => {
  const volumes = await open(fresh());
  await volumes.create(ask('race'));
  const [removed, mounted] = await Promise.allSettled([volumes.remove('race'), Promise.resolve().then(() => volumes.mount('race', 'c'))]);
  assert.equal(removed.status, 'fulfilled');
  assert.equal(mounted.status === 'rejected' && (mounted.reason as Error).message, 'get race: no such volume');
});

test('options: mounted once for all users, kept over a restart, unmounted with the last', async () => {
  const root = fresh();
  const volumes = await open(root);
  const { mountpoint } = await volumes.create(ask('ram', { type: 'tmpfs', device: 'tmpfs', o: 'size=1m,nosuid,noexec' }));
  await volumes.mount('ram', 'c1');
  await volumes.mount('ram', 'c2');
  const line = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').find((each) => each.includes(mountpoint)) ?? '';
  assert.match(line, /nosuid.*noexec.*size=1024k/);
  writeFileSync(join(mountpoint, 'kept'), 'x');
  await volumes.unmount('ram', 'c1');
  assert.ok(await isMounted(mountpoint));

  const next = await open(root);
  await next.restore([{ name: 'ram', user: 'c2' }]);
  await next.mount('ram', 'c2');
  assert.ok(existsSync(join(mountpoint, 'kept')), 'not mounted over');
  await next.unmount('ram', 'c2');
  assert.equal(await isMounted(mountpoint), false);

  await next.mount('ram', 'dead');
  const last = await open(root);
  await last.restore([]);
  assert.equal(await isMounted(mountpoint), false);
});

test('a bind of a read-only folder, and what cannot be mounted', async () => {
  const root = fresh();
  const volumes = await open(root);
  const source = join(root, 'with blank');
  mkdirSync(source);
  const { mountpoint } = await volumes.create(ask('bound', { type: 'none', device: source, o: 'bind,ro' }));
  after(() => unmountVolume(mountpoint));
  await volumes.mount('bound', 'c');
  assert.throws(() => writeFileSync(join(mountpoint, 'x'), ''), { code: 'EROFS' });
  await volumes.unmount('bound', 'c');
  await volumes.create(ask('bad', { type: 'none', device: '/nowhere', o: 'bind' }));
  await assert.rejects(volumes.mount('bad', 'c'), { message: /error while mounting volume 'bad': failed to mount local volume: mount \/nowhere:.*: no such file or directory/ });
  await volumes.remove('bad');
});

test('what a crash left, what somebody brought, what cannot be read', async () => {
  const root = fresh();
  mkdirSync(join(root, 'volumes/half/_data'), { recursive: true });
  mkdirSync(join(root, 'volumes/lost+found'));
  mkdirSync(join(root, 'volumes/brought/_data'), { recursive: true });
  writeFileSync(join(root, 'volumes/brought/_data/f'), '');
  for (const name of ['torn', 'newer']) mkdirSync(join(root, 'volumes', name, '_data'), { recursive: true });
  writeFileSync(join(root, 'volumes/torn/volume.json'), '{"schema":1,');
  writeFileSync(join(root, 'volumes/torn/_data/precious'), '');
  writeFileSync(join(root, 'volumes/newer/volume.json'), '{"schema":2}');
  const volumes = await open(root);
  assert.deepEqual(volumes.list().map(({ name }) => name), ['brought', 'newer', 'torn']);
  assert.ok(!existsSync(join(root, 'volumes/half')));
  assert.ok(existsSync(join(root, 'volumes/lost+found')));
  await assert.rejects(volumes.mount('torn', 'c'), { message: /volume torn cannot be used: its record is damaged/ });
  await assert.rejects(volumes.remove('newer'), { message: /newer release/ });
  assert.ok(existsSync(join(root, 'volumes/torn/_data/precious')));
  await volumes.remove('torn');
});

test('mount options', () => {
  assert.deepEqual(parseMountOptions('ro,rw,nosuid,addr=1.2.3.4,rslave'), { flags: 2, propagation: [0x84000], data: 'addr=1.2.3.4' });
  assert.equal(hidePassword('username=u,password=geheim,vers=3'), 'username=u,password=********,vers=3');
});

test('names of servers become addresses, others stay', async () => {
  const lookup = (name: string): Promise<string> => (name === 'srv' ? Promise.resolve('10.0.0.9') : Promise.reject(new Error('no')));
  const nfs = { type: 'nfs', device: ':/x', options: 'addr=srv,ro' };
  assert.equal((await resolveServer(nfs, lookup)).options, 'addr=10.0.0.9,ro');
  assert.equal((await resolveServer({ type: 'cifs', device: '//srv/share', options: '' }, lookup)).device, '//10.0.0.9/share');
  assert.deepEqual(await resolveServer({ ...nfs, type: 'tmpfs' }, lookup), { ...nfs, type: 'tmpfs' });
  await assert.rejects(resolveServer({ ...nfs, options: 'addr=nix' }, lookup), { message: 'error resolving passed in network volume address: lookup nix: no such host' });
});
