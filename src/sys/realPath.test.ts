import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { realPath } from './realPath.ts';

test('symlinks are resolved as far as there is something', (t) => {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'moored-realpath-')));
  t.after(() => rmSync(folder, { recursive: true }));
  mkdirSync(path.join(folder, 'real/deep'), { recursive: true });
  symlinkSync('real', path.join(folder, 'link'));
  assert.equal(realPath(path.join(folder, 'link/deep')), path.join(folder, 'real/deep'));
  assert.equal(realPath(path.join(folder, 'link/new/newer')), path.join(folder, 'real/new/newer'));
  assert.equal(realPath(path.join(folder, 'plain/../link')), path.join(folder, 'real'));
  assert.equal(realPath('/'), '/');
});

test('a link in a circle is an error', (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'moored-realpath-'));
  t.after(() => rmSync(folder, { recursive: true }));
  symlinkSync('round', path.join(folder, 'round'));
  assert.throws(() => realPath(path.join(folder, 'round')), { code: 'ELOOP' });
});
