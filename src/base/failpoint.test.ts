import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeFailpoint } from './failpoint.ts';

test('nothing set: every place is passed at once', () => {
  assert.equal(makeFailpoint(undefined)('a'), undefined);
  assert.equal(makeFailpoint('')('a'), undefined);
  assert.equal(makeFailpoint('a=error')('b'), undefined);
});

test('terms are used up in turn, per place', async () => {
  let crashes = 0;
  const failpoint = makeFailpoint('a=2*off->1*error(no luck)->1*crash; b=error', () => {
    crashes += 1;
  });
  await failpoint('a');
  await failpoint('a');
  await assert.rejects(async () => failpoint('a'), /^Error: no luck$/);
  assert.equal(crashes, 0);
  await failpoint('a');
  assert.equal(crashes, 1);
  assert.equal(failpoint('a'), undefined);
  await assert.rejects(async () => failpoint('b'), /failpoint b/);
  await assert.rejects(async () => failpoint('b'), /failpoint b/);
});

test('a delay waits', async () => {
  const started = performance.now();
  await makeFailpoint('a=delay(30)')('a');
  assert.ok(performance.now() - started >= 25);
});

test('a text that is not of the grammar is refused', () => {
  for (const text of ['a', '=off', 'a=', 'a=bang', 'a=x*off', 'a=delay', 'a=delay(x)', 'a=off->', 'a=crash('])
    assert.throws(() => makeFailpoint(text), /invalid failpoint/, text);
});
