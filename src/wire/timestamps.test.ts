import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from '../base/duration.ts';
import { parseTimestamp } from './timestamps.ts';

const NOW = 1_763_900_000_000_000_000n;

test('seconds, RFC 3339 and durations', () => {
  const cases: [string, bigint | undefined][] = [
    ['', undefined],
    ['0', 0n],
    ['1763900000', 1_763_900_000_000_000_000n],
    ['1763900000.5', 1_763_900_000_500_000_000n],
    ['1763900000.000000001', 1_763_900_000_000_000_001n],
    ['2026-11-23T15:00:00.25Z', BigInt(Date.UTC(2026, 10, 23, 15)) * 1_000_000n + 250_000_000n],
    ['2026-11-23T15:00:00+01:00', BigInt(Date.UTC(2026, 10, 23, 14)) * 1_000_000n],
    ['2026-11-23', BigInt(Date.UTC(2026, 10, 23)) * 1_000_000n],
    ['2026-11-23T15:04', BigInt(Date.UTC(2026, 10, 23, 15, 4)) * 1_000_000n],
    ['10m', NOW - 600_000_000_000n],
    ['1h30m', NOW - 5_400_000_000_000n],
  ];
  for (const [text, expected] of cases) assert.equal(parseTimestamp(text, NOW), expected, text);
  for (const text of ['yesterday', '1x', '2026-13-01', '1'.repeat(100_000), '1h'.repeat(1000)]) {
    assert.throws(() => parseTimestamp(text, NOW), { kind: 'invalid' });
  }
});

test('durations', () => {
  assert.equal(parseDuration('1.5s'), 1_500_000_000n);
  assert.equal(parseDuration('-.5ms'), -500_000n);
  assert.equal(parseDuration('0'), 0n);
  assert.equal(parseDuration('5'), undefined);
  assert.equal(parseDuration(''), undefined);
  assert.equal(parseDuration('1h1'), undefined);
});
