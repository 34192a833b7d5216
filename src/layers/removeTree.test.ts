import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { removeTree } from './removeTree.ts';

function folders(t: TestContext): { doomed: string; kept: string } {
  const root = mkdtempSync(path.join(tmpdir(), 'moored-remove-'));
  t.after(() => rmSync(root, { recursive: true, force: true }));
  const doomed = path.join(root, 'doomed');
  const kept = path.join(root, 'kept');
  for (const folder of [doomed, kept]) mkdirSync(folder);
  writeFileSync(path.join(kept, 'file'), 'kept');
  return { doomed, kept };
}

for (const count of [3, 100]) {
  test(`a tree with ${count} files goes, and what its links lead to stays`, async (t) => {
    const { doomed, kept } = folders(t);
    mkdirSync(path.join(doomed, 'a/b'), { recursive: true });
    for (let i = 0; i < count; i += 1) writeFileSync(path.join(doomed, 'a/b', `f${i}`), '');
    symlinkSync(kept, path.join(doomed, 'a/link'));
    symlinkSync('/nonexistent', path.join(doomed, 'dangling'));
    await removeTree(doomed);
    assert.ok(!existsSync(doomed));
    assert.deepEqual(readdirSync(kept), ['file']);
  });
}

test('a link is removed, not what it leads to; what is not there is fine', async (t) => {
  const { doomed, kept } = folders(t);
  const link = path.join(doomed, 'link');
  symlinkSync(kept, link);
  await removeTree(link);
  assert.deepEqual([readdirSync(doomed), readdirSync(kept)], [[], ['file']]);
  await removeTree(link);
});

test('what is mounted in it is not emptied', async (t) => {
  const { doomed, kept } = folders(t);
  mkdirSync(path.join(doomed, 'mnt'));
  const other = path.join(doomed, 'mnt');
  execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', other]);
  try {
    writeFileSync(path.join(other, 'file'), 'kept');
    await assert.rejects(removeTree(doomed));
    assert.deepEqual(readdirSync(other), ['file']);
    assert.deepEqual(readdirSync(kept), ['file']);
  } finally {
    execFileSync('umount', [other]);
  }
});
