import assert from 'node:assert/strict';
import { test } from 'node:test';
import { stepTable } from './stepTable.ts';

test('steps stand in order, those within another one further in, times from the first', () => {
  const subject = 'ab'.repeat(32);
  const table = stepTable([
    { subject, step: 'inner', fromMs: 12, toMs: 15 },
    { subject: '', step: 'POST /x', fromMs: 10, toMs: 30.25 },
    { subject, step: 'outer', fromMs: 11, toMs: 20 },
    { subject, step: 'after', fromMs: 21, toMs: 22 },
  ]);
  assert.deepEqual(table.split('\n').slice(1, -1), [
    '       0.0      20.3  POST /x',
    '       1.0       9.0  abababababab  outer',
    '       2.0       3.0  abababababab    inner',
    '      11.0       1.0  abababababab  after',
  ]);
  assert.equal(stepTable([]), 'no steps were seen\n');
});
