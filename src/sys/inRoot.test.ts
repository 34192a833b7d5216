import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathInRoot, readFileInRoot } from './inRoot.ts';

test('symlinks and dots of a root stay inside of it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'moored-root-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const root = join(folder, 'root');
  mkdirSync(join(root, 'etc'), { recursive: true });
  writeFileSync(join(folder, 'secret'), 'outside');
  writeFileSync(join(root, 'secret'), 'inside');
  symlinkSync('/secret', join(root, 'absolute'));
  symlinkSync('../../../../secret', join(root, 'etc', 'dots'));
  symlinkSync('loop', join(root, 'loop'));
  const read = async (path: string): Promise<string | undefined> => (await readFileInRoot(root, path, 100))?.toString();
  assert.equal(await read('absolute'), 'inside');
  assert.equal(await read('etc/dots'), 'inside');
  assert.equal(await read('../secret'), 'inside');
  assert.equal(await read('loop'), undefined);
  assert.equal(await read('missing'), undefined);
  assert.equal(await read('etc'), undefined);
  assert.equal((await readFileInRoot(root, 'secret', 3))?.toString(), 'ins');
  assert.equal(await pathInRoot(root, 'etc/dots'), join(root, 'secret'));
});
