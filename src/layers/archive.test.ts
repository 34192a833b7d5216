import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, chownSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { after, beforeEach, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { listTar, tarOf } from '../../test/fixtures/tar.ts';
import type { EntrySpec } from '../../test/fixtures/tar.ts';
import { isKind } from '../base/errors.ts';
import type { FsView } from '../core/ports/layers.ts';
import { Archive } from './archive.ts';

const top = mkdtempSync('/tmp/moored-archive-');
const archive = new Archive(path.join(top, 'scratch'));
after(async () => {
  await archive.close();
  rmSync(top, { recursive: true });
});

let counter = 0;
let root = '';
beforeEach(() => {
  root = path.join(top, `root${++counter}`);
  mkdirSync(`${root}/etc/conf`, { recursive: true });
  writeFileSync(`${root}/etc/passwd`, 'root');
  writeFileSync(`${root}/etc/conf/x`, 'x');
  symlinkSync('/etc', `${root}/link`);
  symlinkSync('../../../../../../etc/passwd', `${root}/etc/out`);
  symlinkSync('/nowhere', `${root}/dangling`);
});

const view = (more: Partial<FsView> = {}): FsView => ({ root, readOnlyRoot: false, mounts: [], mounted: false, ...more });
const write = (file: string, entries: EntrySpec[], options: { view?: FsView; noOverwriteDirNonDir?: boolean; copyUidGid?: { uid: number; gid: number } } = {}) => {
  const { view: over, ...rest } = options;
  return archive.write(over ?? view(), file, Readable.from([tarOf(...entries)]), { noOverwriteDirNonDir: false, ...rest });
};
const names = async (file: string): Promise<string[]> => listTar((await archive.read(view(), file)).tar);

describe('stat', () => {
  test('is that of the thing itself, with Go modes', async () => {
    chmodSync(`${root}/etc/passwd`, 0o4755);
    const file = await archive.stat(view(), '/etc/passwd');
    assert.equal(file.mode, 2 ** 23 + 0o755);
    assert.deepEqual([file.name, file.size, file.linkTarget], ['passwd', 4, '']);
    assert.equal((await archive.stat(view(), 'etc')).mode >>> 31, 1);
    assert.equal((await archive.stat(view(), '/')).name, '/');
  });

  test('symlinks lead nowhere but inside', async () => {
    const link = await archive.stat(view(), '/etc/out');
    assert.deepEqual([link.name, link.linkTarget, link.mode], ['out', '/etc/passwd', 2 ** 27 + 0o777]);
    assert.equal((await archive.stat(view(), '/dangling')).linkTarget, '/nowhere');
    assert.equal((await archive.stat(view(), '/link/')).mode >>> 31, 1);
    assert.equal((await archive.stat(view(), '../../etc/passwd')).size, 4);
    symlinkSync('loop', `${root}/loop`);
    await assert.rejects(archive.stat(view(), '/loop'), (error) => isKind(error, 'invalid'));
  });

  test('what is missing is not found', async () => {
    await assert.rejects(archive.stat(view(), '/no'), (error) => isKind(error, 'not-found'));
    await assert.rejects(archive.read(view(), '/no'), (error) => isKind(error, 'not-found'));
    await assert.rejects(write('/no', []), (error) => isKind(error, 'not-found'));
    await assert.rejects(archive.stat(view(), '/etc/passwd/x'), (error) => isKind(error, 'invalid'));
  });
});

describe('read', () => {
  test('renames the top entry to the base name', async () => {
    assert.deepEqual(await names('/etc'), ['etc/', 'etc/conf/', 'etc/conf/x=x', 'etc/out -> ../../../../../../etc/passwd', 'etc/passwd=root']);
    assert.deepEqual(await names('/etc/conf/.'), ['./', './x=x']);
    assert.deepEqual(await names('/link'), ['link -> /etc']);
    assert.deepEqual(await names('/link/conf'), ['conf/', 'conf/x=x']);
    assert.deepEqual(await names('/link/passwd'), ['passwd=root']);
    assert.deepEqual((await names('/')).slice(0, 3), ['/', '/dangling -> /nowhere', '/etc/']);
  });

  test('a reader that leaves ends the job', async () => {
    writeFileSync(`${root}/big`, Buffer.alloc(8 << 20));
    for (let i = 0; i < 12; i++) {
      const { tar } = await archive.read(view(), '/big');
      tar.once('data', () => tar.destroy());
      await once(tar, 'close');
    }
    assert.equal((await archive.stat(view(), '/big')).size, 8 << 20);
  });

  test('hard links stay links', async () => {
    linkSync(`${root}/etc/passwd`, `${root}/etc/zz`);
    assert.deepEqual((await names('/etc')).slice(-2), ['etc/passwd=root', 'etc/zz -> etc/passwd']);
  });

  test('what changes meanwhile spoils nothing', async () => {
    const churn = spawn('sh', ['-c', `cd ${root} && while :; do mkdir -p a/b; echo x > a/b/f; ln -s q a/l; rm -rf a; ln -s etc a; rm a; done`], { stdio: 'ignore' });
    try {
      for (let i = 0; i < 60; i++) assert.ok((await listTar(await archive.exportRoot(root))).includes('etc/passwd=root'));
    } finally {
      churn.kill('SIGKILL');
      await once(churn, 'exit');
    }
  });

  test('export is the whole root', async () => {
    const all = await listTar(await archive.exportRoot(root));
    assert.deepEqual(all, ['dangling -> /nowhere', 'etc/', 'etc/conf/', 'etc/conf/x=x', 'etc/out -> ../../../../../../etc/passwd', 'etc/passwd=root', 'link -> /etc']);
  });
});

describe('write', () => {
  test('extracts into a directory, through symlinks that stay inside', async () => {
    await write('/link/conf', [{ name: 'new/a', content: '1' }, { name: 'b', content: '2', uid: 7, gid: 8, mode: 0o600 }]);
    assert.equal(readFileSync(`${root}/etc/conf/new/a`, 'utf8'), '1');
    const stat = statSync(`${root}/etc/conf/b`);
    assert.deepEqual([stat.uid, stat.gid, stat.mode & 0o7777], [7, 8, 0o600]);
    await write('/', [{ name: 'c', content: '3' }], { copyUidGid: { uid: 1000, gid: 1001 } });
    assert.deepEqual([statSync(`${root}/c`).uid, statSync(`${root}/c`).gid], [1000, 1001]);
  });

  test('compressed bodies', async () => {
    const tar = tarOf({ name: 'z', content: 'z' });
    for (const body of [gzipSync(tar), zstdCompressSync(tar)]) {
      rmSync(`${root}/z`, { force: true });
      await archive.write(view(), '/', Readable.from([body]), { noOverwriteDirNonDir: true });
      assert.equal(readFileSync(`${root}/z`, 'utf8'), 'z');
    }
  });

  test('nothing gets out of the root', async () => {
    const outside = path.join(top, 'victim');
    writeFileSync(outside, 'safe');
    symlinkSync(outside, `${root}/abs`);
    symlinkSync('../victim', `${root}/rel`);
    await write('/', [{ name: 'abs', content: 'gone' }, { name: 'rel', content: 'gone' }, { name: 'up', type: 'symlink', linkName: '../../..' }, { name: 'up/x', content: 'x' }]);
    assert.equal(readFileSync(outside, 'utf8'), 'safe');
    assert.equal(readFileSync(`${root}/x`, 'utf8'), 'x');
    await assert.rejects(write('/etc', [{ name: '../../victim', content: 'gone' }]), /is outside of/);
    await assert.rejects(write('/etc', [{ name: 'hard', type: 'hardlink', linkName: '/../victim' }]));
    await write('/', [{ name: 'dir', type: 'symlink', linkName: top }, { name: 'hard', type: 'hardlink', linkName: 'etc/passwd' }]);
    await assert.rejects(write('/dir', [{ name: 'x', content: '' }]), (error) => isKind(error, 'not-found'));
    assert.equal(statSync(`${root}/etc/passwd`).nlink, 2);
    assert.equal(readFileSync(outside, 'utf8'), 'safe');
  });

  test('refusals', async () => {
    await assert.rejects(write('/etc/passwd', []), { message: 'extraction point is not a directory' });
    await assert.rejects(write('/', [], { view: view({ readOnlyRoot: true }) }), { message: 'container rootfs is marked read-only' });
    await assert.rejects(write('/', [{ name: 'etc', content: '' }], { noOverwriteDirNonDir: true }), /cannot overwrite directory/);
    await assert.rejects(write('/etc', [{ name: 'passwd', type: 'directory' }], { noOverwriteDirNonDir: true }), { message: 'cannot overwrite non-directory "/etc/passwd" with directory "/etc"' });
    await assert.rejects(archive.write(view(), '/', Readable.from([tarOf({ name: 'a', content: 'aaaa' }).subarray(0, 514)]), { noOverwriteDirNonDir: false }), { message: 'unexpected EOF' });
    const failing = new Readable({ read: () => {} });
    const writing = archive.write(view(), '/', failing, { noOverwriteDirNonDir: false });
    failing.push(tarOf({ name: 'a', content: 'a' }).subarray(0, 600));
    failing.destroy(new Error('client gone'));
    await assert.rejects(writing, /client gone/);
  });
});

describe('mounts of a container that does not run', () => {
  test('are seen, unseen by others, and gone after', async () => {
    const volume = path.join(top, `volume${counter}`);
    mkdirSync(volume);
    writeFileSync(`${volume}/in`, 'volume');
    const mounts = (): string[] => readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter((line) => line.includes(top));
    // The image's own symlink must not lead the mount to the host.
    symlinkSync('/etc/conf', `${root}/data`);
    const over = view({ mounts: [{ source: volume, target: '/data', readOnly: false }, { source: `${volume}/in`, target: '/etc/passwd', readOnly: true }], readOnlyRoot: true });
    assert.deepEqual(await listTar((await archive.read(over, '/data/.')).tar), ['./', './in=volume']);
    assert.equal((await archive.stat(over, '/etc/passwd')).size, 6);
    await assert.rejects(write('/', [], { view: over }), { message: 'container rootfs is marked read-only' });
    const frozen = { ...over, mounts: [{ source: volume, target: '/etc/conf', readOnly: true }] };
    await assert.rejects(write('/etc/conf', [{ name: 'out', content: '1' }], { view: frozen }), { message: 'mounted volume is marked read-only' });
    await write('/etc/conf', [{ name: 'out', content: '1' }], { view: { ...over, mounts: [{ source: volume, target: '/etc/conf', readOnly: false }] } });
    assert.deepEqual(readdirSync(volume), ['in', 'out']);
    assert.deepEqual(readdirSync(`${root}/etc/conf`), ['x']);
    assert.deepEqual(mounts(), []);
    await assert.rejects(archive.stat(view({ mounts: [{ source: '/no/such', target: '/data', readOnly: false }] }), '/'), /cannot mount \/no\/such/);
    assert.equal((await archive.stat(view(), '/etc/passwd')).size, 4);
  });
});

test('a running container is seen with its own mounts', async () => {
  const script = `mount --bind ${root}/etc/conf ${root}/etc && touch ${root}/ready && exec chroot ${root} /sleep 100`;
  writeFileSync(`${root}/sleep`, readFileSync('/bin/busybox'), { mode: 0o755 });
  const child = spawn('unshare', ['-m', 'sh', '-c', script], { stdio: 'ignore' });
  try {
    while (readlinkSync(`/proc/${child.pid}/root`) !== root) await new Promise((resolve) => setTimeout(resolve, 10));
    const running = view({ root: `/proc/${child.pid}/root`, mounted: true });
    assert.deepEqual(await listTar((await archive.read(running, '/etc')).tar), ['etc/', 'etc/x=x']);
    await write('/etc', [{ name: 'y', content: 'y' }], { view: running });
    assert.ok(existsSync(`${root}/etc/conf/y`));
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

describe('populate', () => {
  test('copies to an empty volume, once', async () => {
    const volume = path.join(top, `fill${counter}`);
    mkdirSync(volume, { mode: 0o700 });
    chmodSync(`${root}/etc/conf`, 0o1770);
    chownSync(`${root}/etc/conf/x`, 5, 6);
    chownSync(`${root}/etc/conf`, 9, 9);
    assert.equal(await archive.populate(root, '/link/conf', volume), true);
    assert.deepEqual([statSync(volume).mode & 0o7777, statSync(volume).uid, statSync(`${volume}/x`).uid], [0o1770, 9, 5]);
    writeFileSync(`${root}/etc/conf/later`, '');
    assert.equal(await archive.populate(root, '/etc/conf', volume), false);
    assert.deepEqual(readdirSync(volume), ['x']);
    assert.equal(await archive.populate(root, '/no', volume), false);
    assert.ok(lstatSync(`${root}/link`).isSymbolicLink());
  });
});
