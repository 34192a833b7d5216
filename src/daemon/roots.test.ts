import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { beforeEach, test } from 'node:test';
import { effectiveRoots, pendingRootText, recordRoot } from './roots.ts';

const ID = 'a'.repeat(64);
let folder = '';
const at = (...names: string[]): string => path.join(folder, ...names);

beforeEach((t) => {
  folder = mkdtempSync(path.join(tmpdir(), 'moored-roots-'));
  ('after' in t ? t.after.bind(t) : () => {})(() => rmSync(folder, { recursive: true }));
});

/** Both roots with a container that runs. */
async function engine(data: string, exec: string): Promise<void> {
  mkdirSync(at(data, 'containers', ID), { recursive: true });
  writeFileSync(at(data, 'containers', ID, 'config.json'), '{}');
  mkdirSync(at(exec, 'containers', ID), { recursive: true });
  writeFileSync(at(exec, 'containers', ID, 'shim.sock'), '');
  for (const within of ['dataRoot', 'execRoot'] as const) await recordRoot({ dataRoot: at(data), execRoot: at(exec) }, within);
}
const roots = (data: string, exec: string) => {
  const { dataRoot, execRoot, pending, moved } = effectiveRoots({ dataRoot: at(data), execRoot: at(exec) });
  return [path.relative(folder, dataRoot), path.relative(folder, execRoot), moved, ...pending.map((each) => pendingRootText(each).replaceAll(`${folder}/`, ''))];
};

test('roots that are new, and roots that stay', async () => {
  assert.deepEqual(roots('data', 'exec'), ['data', 'exec', false]);
  await engine('data', 'exec');
  assert.deepEqual(roots('data', 'exec'), ['data', 'exec', false]);
});

test('a changed exec root waits for the containers of the old one', async () => {
  await engine('data', 'exec');
  assert.deepEqual(roots('data', 'other'), ['data', 'exec', false, 'exec-root other waits until no container of exec runs']);
  rmSync(at('exec/containers', ID), { recursive: true });
  assert.deepEqual(roots('data', 'other'), ['data', 'other', false]);
});

test('a changed data root waits for the containers of the old one', async () => {
  await engine('data', 'exec');
  assert.deepEqual(roots('other', 'exec'), ['data', 'exec', false, 'data-root other waits until no container of data runs']);
  rmSync(at('exec/containers', ID), { recursive: true });
  assert.deepEqual(roots('other', 'exec'), ['other', 'exec', false]);
});

test('both changed: another engine, unless the new data root knows its exec root', async () => {
  await engine('data', 'exec');
  assert.deepEqual(roots('other', 'another'), ['other', 'another', false]);
  renameSync(at('data'), at('other'));
  assert.deepEqual(roots('other', 'another'), ['other', 'exec', true, 'exec-root another waits until no container of exec runs']);
});

test('a data root that was moved is followed, at its old path or not', async () => {
  await engine('data', 'exec');
  renameSync(at('data'), at('moved'));
  assert.deepEqual(roots('moved', 'exec'), ['moved', 'exec', true]);
  symlinkSync(at('moved'), at('data'));
  assert.deepEqual(roots('data', 'exec'), ['moved', 'exec', true]);
  await recordRoot({ dataRoot: at('moved'), execRoot: at('exec') }, 'execRoot');
  assert.deepEqual(roots('moved', 'exec'), ['moved', 'exec', false]);
});

test('the old path after a move: nothing is followed, and a later start finds them', async () => {
  await engine('data', 'exec');
  renameSync(at('data'), at('moved'));
  mkdirSync(at('data'));
  assert.deepEqual(roots('data', 'exec'), ['data', 'exec', false]);
  assert.deepEqual(roots('moved', 'exec'), ['moved', 'exec', true]);
});
