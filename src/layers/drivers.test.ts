import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, linkSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import { listTar, tarOf } from '../../test/fixtures/tar.ts';
import { isKind } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import { Overlay2 } from './overlay2.ts';
import { Vfs } from './vfs.ts';

const sha256 = (...data: (string | Buffer)[]): string => {
  const hash = createHash('sha256');
  for (const piece of data) hash.update(piece);
  return `sha256:${hash.digest('hex')}`;
};

/** Everything below a directory, with content. */
const listing = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((file) => (lstatSync(path.join(directory, file)).isFile() ? `${file}=${readFileSync(path.join(directory, file), 'latin1')}` : file));

const DRIVERS = { overlay2: Overlay2, vfs: Vfs } as const;

for (const [name, Driver] of Object.entries(DRIVERS)) {
  describe(name, () => {
    const root = mkdtempSync('/tmp/moored-layers-');
    const opened: { close(): Promise<void> }[] = [];
    const open = async () => {
      const driver = await Driver.open(path.join(root, name), silentLogger);
      opened.push(driver);
      return driver;
    };
    after(async () => {
      for (const driver of opened) await driver.close();
      const driver = await open();
      for (const id of await driver.listRw()) await driver.removeRw(id);
      await driver.close();
      rmSync(root, { recursive: true });
    });
    const driver = open();

    /** Applies a layer and gives its chain id. */
    const apply = async (tar: Buffer, parent: string | null = null): Promise<string> => {
      const diffId = sha256(tar);
      const chainId = parent === null ? diffId : sha256(`${parent} ${diffId}`);
      await (await driver).apply(Readable.from([tar]), { chainId, diffId, parent });
      return chainId;
    };

    let counter = 0;
    const mounted = async (parent: string | null): Promise<{ id: string; root: string }> => {
      const id = `c${++counter}`;
      const layer = await (await driver).createRw(id, parent, { storageOpt: {} });
      assert.equal(await (await driver).mountRw(id), layer.mountPath);
      return { id, root: layer.mountPath };
    };

    test('a layer becomes a root', async () => {
      const base = await apply(
        tarOf(
          { name: 'bin/', type: 'directory', mode: 0o755 },
          { name: 'bin/a', content: 'hello', mode: 0o4755, uid: 12, gid: 3_000_000, xattrs: new Map([['user.bin', Buffer.from([0, 1, 2, 255, 254, 0x0a])]]) },
          { name: 'bin/b', type: 'hardlink', linkName: 'bin/a' },
          { name: 'lib', type: 'symlink', linkName: '/usr/lib' },
          { name: 'dev/null', type: 'char', devMajor: 1, devMinor: 3, mode: 0o666 },
          { name: 'n\xff\xfe', content: 'bytes' },
        ),
      );
      const top = await apply(tarOf({ name: 'bin/c', content: 'c' }), base);
      const { root: at, id } = await mounted(top);
      const stat = statSync(`${at}/bin/a`, { bigint: true });
      assert.equal(readFileSync(`${at}/bin/b`, 'utf8'), 'hello');
      assert.deepEqual([stat.mode & 0o7777n, stat.uid, stat.gid, stat.nlink, stat.mtimeNs], [0o4755n, 12n, 3_000_000n, 2n, 1_600_000_000_123_456_789n]);
      assert.equal(readlinkSync(`${at}/lib`), '/usr/lib');
      assert.equal(lstatSync(`${at}/dev/null`).rdev, 0x103);
      assert.equal(readFileSync(Buffer.from(`${at}/n\xff\xfe`, 'latin1'), 'utf8'), 'bytes');
      assert.deepEqual(readdirSync(`${at}/bin`), ['a', 'b', 'c']);
      assert.equal(await (await driver).size(base), 10);
      await (await driver).removeRw(id);
      assert.ok(!existsSync(at));
    });

    test('whiteouts hide what is below, and only that', async () => {
      const base = await apply(tarOf({ name: 'd/a', content: '1' }, { name: 'd/b', content: '2' }, { name: 'o/x', content: '3' }, { name: 'r/x', content: '4' }, { name: 'q/x', content: '5' }));
      const top = await apply(
        tarOf(
          { name: 'd/.wh.a' },
          { name: 'o/y', content: 'new' },
          { name: 'o/.wh..wh..opq' },
          { name: '.wh.r' },
          { name: 'r/', type: 'directory', mode: 0o755 },
          { name: 'r/z', content: 'z' },
          { name: 'q/z', content: 'z' },
          { name: '.wh.q' },
        ),
        base,
      );
      const { root: at } = await mounted(top);
      assert.deepEqual(readdirSync(`${at}/d`), ['b']);
      assert.deepEqual(readdirSync(`${at}/o`), ['y']);
      assert.deepEqual(readdirSync(`${at}/r`), ['z']);
      assert.deepEqual(readdirSync(`${at}/q`), ['z']);
    });

    test('a wrong digest, a torn or hostile tar leave nothing', async () => {
      const tar = tarOf({ name: 'a', content: 'a' });
      const refused = async (bytes: Buffer, diffId: string, message: RegExp): Promise<void> => {
        const chainId = sha256(bytes, 'x');
        await assert.rejects((await driver).apply(Readable.from([bytes]), { chainId, diffId, parent: null }), message);
        assert.equal(await (await driver).has(chainId), false);
        assert.deepEqual(readdirSync(path.join(root, name, 'tmp')), []);
      };
      await refused(tar, sha256('other'), /invalid diffID/);
      await refused(tar.subarray(0, 700), sha256(tar.subarray(0, 700)), /unexpected EOF/);
      const escape = tarOf({ name: '../../escape', content: 'x' });
      await refused(escape, sha256(escape), /is outside of/);
    });

    test('the tar comes back byte for byte', async () => {
      const tar = Buffer.concat([tarOf({ name: 'l', type: 'symlink', linkName: 'real' }, { name: 'real/', type: 'directory' }, { name: 'l/big', content: 'x'.repeat(3_000_000) }, { name: './.wh.gone' }), Buffer.alloc(9000)]);
      const chainId = await apply(tar);
      assert.ok((await buffer(await (await driver).tar(chainId))).equals(tar));
    });

    test('changes, and a layer made of them', async () => {
      const base = await apply(
        tarOf(
          { name: 'keep/', type: 'directory', mode: 0o755 },
          { name: 'keep/same', content: 'same' },
          { name: 'keep/edit', content: 'old' },
          { name: 'keep/gone', content: 'x' },
          { name: 'tree/sub/file', content: 'x' },
          { name: 'whole/a', content: 'a' },
          { name: 'whole/b', content: 'b' },
          { name: 'kind', content: 'file' },
        ),
      );
      const { id, root: at } = await mounted(base);
      assert.deepEqual(await (await driver).changes(id), []);
      writeFileSync(`${at}/keep/edit`, 'new!');
      chmodSync(`${at}/keep/same`, 0o644);
      rmSync(`${at}/keep/gone`);
      rmSync(`${at}/tree`, { recursive: true });
      rmSync(`${at}/whole`, { recursive: true });
      mkdirSync(`${at}/whole`);
      writeFileSync(`${at}/whole/b`, 'bb');
      rmSync(`${at}/kind`);
      mkdirSync(`${at}/kind/deep`, { recursive: true });
      linkSync(`${at}/keep/edit`, `${at}/kind/link`);
      const found = (await (await driver).changes(id)).map(({ path: file, kind }) => `${'CAD'[kind]} ${file}`);
      assert.deepEqual(found, ['C /keep', 'C /keep/edit', 'D /keep/gone', 'C /kind', 'A /kind/deep', 'A /kind/link', 'D /tree', 'C /whole', 'D /whole/a', 'C /whole/b']);

      const layer = await buffer(await (await driver).diffTar(id));
      const copy = await mounted(await apply(layer, base));
      assert.deepEqual(listing(copy.root), listing(at));
      assert.equal(statSync(`${copy.root}/kind/link`).nlink, 2);
    });

    test('reopening finds layers and mounted roots', async () => {
      const base = await apply(tarOf({ name: 'f', content: 'f' }));
      const { id, root: at } = await mounted(base);
      writeFileSync(`${at}/mine`, 'mine');
      const again = await open();
      assert.ok(await again.has(base));
      assert.equal(await again.mountRw(id), at);
      assert.equal(readFileSync(`${at}/mine`, 'utf8'), 'mine');
      await assert.rejects(again.remove(base), (error) => isKind(error, 'conflict'));
      await again.unmountRw(id);
      await again.unmountRw(id);
      if (name === 'overlay2') assert.ok(!existsSync(`${at}/f`));
      await again.mountRw(id);
      assert.equal(readFileSync(`${at}/mine`, 'utf8'), 'mine');
      assert.equal(await again.sizeRw(id), name === 'overlay2' ? 4 : 5);
      assert.deepEqual(await listTar(await again.diffTar(id)), ['mine=mine']);
    });
  });
}
