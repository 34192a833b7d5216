import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from './clock.ts';

test('times never go back, and stay by the wall clock', () => {
  let last = systemClock.nowNs();
  for (let round = 0; round < 200_000; round += 1) {
    const now = systemClock.nowNs();
    assert.ok(now >= last, `${now} after ${last}`);
    last = now;
  }
  const off = Number(systemClock.nowNs() / 1_000_000n) - Date.now();
  assert.ok(Math.abs(off) <= 4, `${off} ms off`);
});

test('a step of the wall clock is followed', (context) => {
  const real = Date.now;
  context.mock.method(Date, 'now', () => real() + 3_600_000);
  const off = Number(systemClock.nowNs() / 1_000_000n) - real();
  assert.ok(Math.abs(off - 3_600_000) < 1000, `${off}`);
});
