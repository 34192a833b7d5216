import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DetachScanner, parseDetachKeys } from './detachKeys.ts';

test('key sequences are read as Docker writes them', () => {
  assert.deepEqual([...parseDetachKeys('')], [16, 17]);
  assert.deepEqual([...parseDetachKeys('ctrl-a,x,ctrl-@,ctrl-_,DEL,ctrl-[')], [1, 120, 0, 31, 127, 27]);
  assert.throws(() => parseDetachKeys('ctrl-aa'), /Invalid detach keys \(ctrl-aa\) provided/);
});

test('input without the sequence passes through unchanged but for what is held back at the end', () => {
  fc.assert(fc.property(fc.array(fc.uint8Array({ max: 20 })), (chunks) => {
    const scanner = new DetachScanner(Buffer.from([16, 17]));
    const all = Buffer.concat(chunks);
    const passed: Buffer[] = [];
    let detached = false;
    for (const chunk of chunks) {
      const result = scanner.scan(Buffer.from(chunk));
      passed.push(result.pass);
      detached = result.detached;
      if (detached) break;
    }
    const at = all.indexOf(Buffer.from([16, 17]));
    const out = Buffer.concat(passed);
    assert.equal(detached, at >= 0);
    if (at >= 0) assert.deepEqual(out, all.subarray(0, at));
    else assert.deepEqual(out, all.at(-1) === 16 ? all.subarray(0, -1) : all);
  }));
});

test('a sequence split over chunks is found', () => {
  const scanner = new DetachScanner(Buffer.from([16, 17]));
  assert.deepEqual(scanner.scan(Buffer.from([97, 16])), { pass: Buffer.from([97]), detached: false });
  assert.deepEqual(scanner.scan(Buffer.from([17])), { pass: Buffer.alloc(0), detached: true });
});
