import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { effectiveExecRoot, recordExecRoot } from './execRoot.ts';

test('a changed exec root waits for the containers of the old one', async (t) => {
  const folder = mkdtempSync(path.join(tmpdir(), 'moored-execroot-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [dataRoot, first, second] = ['data', 'one', 'two'].map((name) => path.join(folder, name)) as [string, string, string];
  mkdirSync(dataRoot);
  assert.deepEqual(effectiveExecRoot({ dataRoot, execRoot: first }), { execRoot: first, pending: false });
  await recordExecRoot({ dataRoot, execRoot: first });
  assert.deepEqual(effectiveExecRoot({ dataRoot, execRoot: second }), { execRoot: second, pending: false });
  const container = path.join(first, 'containers', 'a'.repeat(64));
  mkdirSync(container, { recursive: true });
  writeFileSync(path.join(container, 'shim.sock'), '');
  assert.deepEqual(effectiveExecRoot({ dataRoot, execRoot: second }), { execRoot: first, pending: true });
  rmSync(container, { recursive: true });
  assert.deepEqual(effectiveExecRoot({ dataRoot, execRoot: second }), { execRoot: second, pending: false });
});
