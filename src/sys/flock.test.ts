import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { tryLock } from './flock.ts';

test('a lock is held once and free again after its release', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'moored-flock-'));
  t.after(() => rmSync(dir, { recursive: true }));
  const path = join(dir, 'lock');
  const first = tryLock(path);
  assert.ok(first);
  // flock belongs to the open file description, so a second open in this process is a stranger like any other.
  assert.equal(tryLock(path), undefined);
  first.release();
  first.release();
  using again = tryLock(path);
  assert.ok(again);
});

test('a lock file that cannot be opened is an error, not a lost lock', () => {
  assert.throws(() => tryLock('/proc/no/such/place'), { code: 'ENOENT' });
});
