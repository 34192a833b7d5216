import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { after, describe, test } from 'node:test';
import fc from 'fast-check';
import { tarOf } from '../../test/fixtures/tar.ts';
import { isKind } from '../base/errors.ts';
import { silentLogger } from '../base/logger.ts';
import type { EntryType } from '../base/tar/header.ts';
import { listXattrs } from '../sys/xattr.ts';
import { Overlay2 } from './overlay2.ts';

const top = mkdtempSync('/tmp/moored-robust-');
const opened: Overlay2[] = [];

async function open(name: string): Promise<Overlay2> {
  const driver = await Overlay2.open(path.join(top, name), silentLogger);
  opened.push(driver);
  return driver;
}

after(async () => {
  for (const driver of opened) {
    for (const id of await driver.listRw()) await driver.removeRw(id);
    await driver.close();
  }
  execFileSync('rm', ['-rf', top]);
});

const sha256 = (...data: (string | Buffer)[]): string => `sha256:${createHash('sha256').update(Buffer.concat(data.map((piece) => Buffer.from(piece)))).digest('hex')}`;

async function apply(driver: Overlay2, tar: Buffer, parent: string | null = null): Promise<string> {
  const diffId = sha256(tar);
  const chainId = parent === null ? diffId : sha256(`${parent} ${diffId}`);
  await driver.apply(Readable.from([tar]), { chainId, diffId, parent });
  return chainId;
}

const leftovers = (name: string): string[] => readdirSync(path.join(top, name, 'tmp'));

describe('limits', () => {
  test('as many layers as Docker allows, under a root whose name needs care', async () => {
    const driver = await open(`odd, na:me "x" \\ ${'long'.repeat(20)}`);
    let chain: string | null = null;
    for (let i = 0; i < 127; i++) chain = await apply(driver, tarOf({ name: `f${i}`, content: String(i) }), chain);
    await driver.createRw('c', chain, { storageOpt: {} });
    const root = await driver.mountRw('c');
    assert.equal(readFileSync(`${root}/f0`, 'utf8') + readFileSync(`${root}/f126`, 'utf8'), '0126');
    writeFileSync(`${root}/new`, '');
    await driver.unmountRw('c');
    const over = await apply(driver, tarOf({ name: 'one more' }), chain);
    await assert.rejects(driver.createRw('d', over, { storageOpt: {} }), { message: 'max depth exceeded' });
  });

  test('no space: an error, and nothing left', async () => {
    const small = path.join(top, 'small');
    mkdirSync(small);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'none', small]);
    try {
      const driver = await open('small');
      await assert.rejects(apply(driver, tarOf({ name: 'big', content: 'x'.repeat(8 << 20) })), { message: 'write /big: no space left on device', code: 'ENOSPC' });
      assert.deepEqual(leftovers('small'), []);
      const fits = await apply(driver, tarOf({ name: 'fits', content: 'x'.repeat(1 << 20) }));
      assert.deepEqual(await driver.list(), [fits]);
      await driver.close();
      opened.pop();
    } finally {
      execFileSync('umount', ['-l', small]);
    }
  });

  test('a tree deeper than a path can be is removed', async () => {
    const driver = await open('deep');
    await driver.createRw('c', null, { storageOpt: {} });
    const root = await driver.mountRw('c');
    execFileSync('python3', ['-c', 'import os, sys\nos.chdir(sys.argv[1])\nfor _ in range(40): os.mkdir("d" * 200); os.chdir("d" * 200)\nopen("file", "w").close()', root]);
    await driver.removeRw('c');
    assert.ok(!existsSync(root));
    assert.deepEqual(leftovers('deep'), []);
  });

  test('slow readers do not keep a container from starting', async () => {
    const driver = await open('slow');
    const chain = await apply(driver, tarOf({ name: 'big', content: 'x'.repeat(8 << 20) }));
    const readers = await Promise.all(Array.from({ length: 10 }, () => driver.tar(chain)));
    for (const reader of readers) reader.once('readable', () => {});
    await driver.createRw('c', chain, { storageOpt: {} });
    await driver.mountRw('c');
    assert.equal(await driver.sizeRw('c'), 0);
    for (const reader of readers) reader.destroy();
    assert.equal((await buffer(await driver.tar(chain))).length, (8 << 20) + 512 + 512 + 1024 + 512);
  });
});

describe('hostile layers', () => {
  test('stay inside', async () => {
    const driver = await open('inside');
    const victim = path.join(top, 'victim');
    mkdirSync(victim);
    const chain = await apply(
      driver,
      tarOf(
        { name: 'link', type: 'symlink', linkName: victim },
        { name: 'up', type: 'symlink', linkName: '../../../../..' },
        { name: 'up/through', content: 'x' },
        { name: '/absolute', content: 'x' },
        { name: 'a/../b', content: 'x' },
        { name: 'over', type: 'directory', xattrs: new Map([['trusted.overlay.redirect', Buffer.from('/etc')], ['trusted.other', Buffer.from('1')]]) },
      ),
    );
    await assert.rejects(apply(driver, tarOf({ name: 'link', type: 'symlink', linkName: victim }, { name: 'link/x', content: 'x' })));
    await assert.rejects(apply(driver, tarOf({ name: 'hard', type: 'hardlink', linkName: victim })));
    await driver.createRw('c', chain, { storageOpt: {} });
    const root = await driver.mountRw('c');
    assert.deepEqual(readdirSync(victim), []);
    assert.ok(['through', 'absolute', 'b', 'over'].every((name) => existsSync(path.join(root, name))));
    assert.deepEqual(listXattrs(Buffer.from(path.join(top, 'inside/l', readdirSync(path.join(top, 'inside/l'))[0] ?? '', 'over'))), ['trusted.other']);
    assert.deepEqual(leftovers('inside'), []);
  });

  test('are refused in peace', async () => {
    const driver = await open('refused');
    const bad = [
      tarOf({ name: 'n'.repeat(300), content: '' }),
      tarOf({ name: 'd/'.repeat(3000), type: 'directory' }),
      tarOf({ name: 'x', uid: 2 ** 40 }),
      tarOf({ name: 'd/.wh...' }),
      tarOf({ name: 'f', content: '' }, { name: 'f/x', content: '' }),
    ];
    for (const tar of bad) await assert.rejects(apply(driver, tar));
    for (const tar of bad.slice(0, 4)) await assert.rejects(apply(driver, tar), (error) => isKind(error, 'invalid'));
    assert.deepEqual(await driver.list(), []);
    assert.deepEqual(leftovers('refused'), []);
  });

  test('whatever they say: applied and given back byte for byte, or refused with nothing left', async () => {
    const driver = await open('any');
    const outside = path.join(top, 'any-outside');
    mkdirSync(outside);
    writeFileSync(`${outside}/canary`, 'sings');
    const part = fc.constantFrom('a', 'b', 'c', '..', '.', '.wh.a', '.wh.b', '.wh..wh..opq', '.wh.', '');
    const name = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    const link = fc.oneof(name, fc.constantFrom(outside, `${outside}/canary`, '../../any-outside', '/', '..'));
    const entry = fc.record({
      name,
      linkName: link,
      type: fc.constantFrom<EntryType>('file', 'file', 'directory', 'symlink', 'hardlink', 'char', 'fifo'),
      mode: fc.nat(0o7777),
      content: fc.constantFrom('', 'x', 'content'),
    });
    const seen = { applied: 0, whole: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 8 }), async (list) => {
        const tar = tarOf(...list.map(({ content, ...rest }) => (rest.type === 'file' ? { ...rest, content } : rest)));
        const chain = await apply(driver, tar).catch(() => undefined);
        assert.deepEqual([readdirSync(outside), readFileSync(`${outside}/canary`, 'utf8'), leftovers('any')], [['canary'], 'sings', []]);
        if (chain === undefined) return void seen.refused++;
        seen.applied++;
        const back = await driver.tar(chain).then(buffer, () => undefined);
        if (back !== undefined) seen.whole++;
        assert.ok(back === undefined || back.equals(tar));
        await driver.remove(chain);
      }),
      { numRuns: 150 },
    );
    assert.ok(seen.applied > 20 && seen.refused > 20 && seen.whole > 20, JSON.stringify(seen));
  });

  test('a path that comes twice: the last counts, and the tar is known not to come back', async () => {
    const driver = await open('twice');
    const chain = await apply(driver, tarOf({ name: 'a', content: 'first' }, { name: 'a', content: 'second' }, { name: 'd', content: 'x' }, { name: 'd', type: 'directory', mode: 0o711 }));
    await driver.createRw('c', chain, { storageOpt: {} });
    const root = await driver.mountRw('c');
    assert.equal(readFileSync(`${root}/a`, 'utf8'), 'second');
    assert.equal(statSync(`${root}/d`).mode & 0o777, 0o711);
    await assert.rejects(driver.tar(chain), /more than once/);
  });
});

describe('interruptions', () => {
  const tar = tarOf({ name: 'f', content: 'content' });
  const options = { chainId: sha256(tar), diffId: sha256(tar), parent: null };

  test('a source that fails, a caller that gives up', async () => {
    const driver = await open('sources');
    const failing = new Readable({ read: () => {} });
    failing.push(tar.subarray(0, 600));
    const applying = driver.apply(failing, options);
    setImmediate(() => failing.destroy(new Error('connection reset')));
    await assert.rejects(applying, /connection reset/);
    const controller = new AbortController();
    const silent = new Readable({ read: () => {} });
    const waiting = driver.apply(silent, { ...options, signal: controller.signal });
    setImmediate(() => controller.abort(new Error('enough')));
    await assert.rejects(waiting, /enough/);
    assert.ok(silent.destroyed);
    assert.deepEqual(leftovers('sources'), []);
    // Twice at once is once.
    await Promise.all([driver.apply(Readable.from([tar]), options), driver.apply(Readable.from([tar]), options)]);
    assert.deepEqual(await driver.list(), [options.chainId]);
  });

  for (const failpoint of ['layers.publish', 'layers.discard', 'store.rename']) {
    test(`a crash at ${failpoint}`, async () => {
      const name = `crash-${failpoint}`;
      const program = `
        import { Readable } from 'node:stream';
        import { Overlay2 } from ${JSON.stringify(path.join(import.meta.dirname, 'overlay2.ts'))};
        import { silentLogger } from ${JSON.stringify(path.join(import.meta.dirname, '../base/logger.ts'))};
        const driver = await Overlay2.open(${JSON.stringify(path.join(top, name))}, silentLogger);
        const tar = Buffer.from(${JSON.stringify(tar.toString('base64'))}, 'base64');
        await driver.apply(Readable.from([tar]), ${JSON.stringify(options)});
        await driver.createRw('c', ${JSON.stringify(options.chainId)}, { storageOpt: {} });
        await driver.mountRw('c');
        await driver.removeRw('c');`;
      const crash = `${failpoint}=${failpoint === 'layers.discard' ? '2*off->' : ''}crash`;
      const child = spawn(process.execPath, ['--input-type=module-typescript', '-e', program], { env: { ...process.env, MOORED_FAILPOINTS: crash }, stdio: ['ignore', 'ignore', 'inherit'] });
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      assert.equal(signal, 'SIGKILL');
      const driver = await open(name);
      assert.deepEqual(leftovers(name), []);
      await driver.apply(Readable.from([tar]), options);
      await driver.createRw('c', options.chainId, { storageOpt: {} });
      assert.equal(readFileSync(path.join(await driver.mountRw('c'), 'f'), 'utf8'), 'content');
    });
  }

  test('damaged records: containers stay listed, what is mounted stays, the layer can come again', async () => {
    const driver = await open('damaged');
    await driver.apply(Readable.from([tar]), options);
    await driver.createRw('c', options.chainId, { storageOpt: {} });
    const root = await driver.mountRw('c');
    writeFileSync(path.join(top, 'damaged/ro', options.chainId.slice(7), 'layer.json'), '{"torn');
    const again = await open('damaged');
    assert.equal(await again.has(options.chainId), false);
    assert.deepEqual(await again.listRw(), ['c']);
    assert.equal(readFileSync(`${root}/f`, 'utf8'), 'content');
    await again.apply(Readable.from([tar]), options);
    assert.equal(await again.mountRw('c'), root);
    assert.equal(readFileSync(`${root}/f`, 'utf8'), 'content');
    await again.unmountRw('c');
    assert.ok(lstatSync(path.join(await again.mountRw('c'), 'f')).isFile());

    writeFileSync(path.join(top, 'damaged/rw/c/layer.json'), 'torn');
    const third = await open('damaged');
    assert.deepEqual(await third.listRw(), ['c']);
    await assert.rejects(third.remove(options.chainId), (error) => isKind(error, 'conflict'));
    await third.removeRw('c');
    await third.remove(options.chainId);
    assert.deepEqual([await third.list(), readdirSync(path.join(top, 'damaged/l')), readdirSync(path.join(top, 'damaged/init'))], [[], [], []]);
    rmSync(path.join(top, 'damaged'), { recursive: true });
  });
});
