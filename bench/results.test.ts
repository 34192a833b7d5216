import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { MEASUREMENTS } from './measurements.ts';
import { curves, ratios } from './plot.ts';
import { load, merge, outcomeOf, ratioOf, resultOf, save, verdict } from './results.ts';
import type { Outcome, Result } from './results.ts';
import { atMost, ratioAtLeast, ratioAtMost } from './rows.ts';
import type { Row } from './rows.ts';
import { median, percentile, take } from './statistics.ts';
import { remarks, table } from './table.ts';

const circumstances = { date: '2026-01-02T03:04:05.000Z', machine: 'a machine', commit: 'abc' };
const measured = (value: number): Outcome => ({ kind: 'measured', value, p50: value, p99: value, samples: 1 });

function result(row: Partial<Row>, dockerd: Outcome, moored: Outcome): Result {
  return resultOf({ id: 'a', title: 'A', unit: 'ms', ...row }, circumstances, { dockerd, moored });
}

test('median and percentiles', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile([7], 0.99), 7);
  assert.equal(take('sum', [1, 2, 3]), 6);
  for (const how of ['median', 'p99', 'sum'] as const) assert.ok(Number.isNaN(take(how, [])));
});

test('goals are judged by the ratio, from below or above, or by the figure itself', () => {
  assert.equal(verdict(result(ratioAtMost(0.5), measured(100), measured(50))), true);
  assert.equal(verdict(result(ratioAtMost(0.5), measured(100), measured(51))), false);
  assert.equal(verdict(result(ratioAtLeast(8), measured(10), measured(80))), true);
  assert.equal(verdict(result(ratioAtLeast(8), measured(10), measured(79))), false);
  assert.equal(verdict(result(atMost(0), measured(100), measured(0))), true);
  assert.equal(verdict(result(atMost(0), measured(0), measured(1))), false);
  assert.equal(verdict(result({}, measured(1), measured(1))), undefined);
  assert.equal(verdict(result(ratioAtMost(1), measured(1), { kind: 'unable', reason: 'no' })), undefined);
  assert.equal(ratioOf(result({}, measured(0), measured(1))), undefined);
});

test('no sample is a failure and not a figure', () => {
  const row: Row = { id: 'a', title: 'A', unit: 'ms' };
  assert.equal(outcomeOf(row, []).kind, 'failed');
  assert.deepEqual(outcomeOf(row, [1, 2, 3]), { kind: 'measured', value: 2, p50: 2, p99: 3, samples: 3 });
});

test('new results take the places of recorded ones; rows that are no more are dropped', () => {
  const old = [result({ id: 'a' }, measured(1), measured(1)), result({ id: 'gone' }, measured(1), measured(1)), result({ id: 'c' }, measured(3), measured(3))];
  const merged = merge(old, [result({ id: 'b' }, measured(2), measured(2)), result({ id: 'a' }, measured(9), measured(9))], ['a', 'b', 'c', 'd']);
  assert.deepEqual(merged.map(({ id, engines }) => [id, engines.moored]), [['a', measured(9)], ['b', measured(2)], ['c', measured(3)]]);
});

test('results are read as they were written; another version is refused', () => {
  const folder = mkdtempSync('/tmp/moored-results-');
  try {
    const file = path.join(folder, 'results.json');
    assert.deepEqual(load(file), []);
    const results = [result(ratioAtMost(1), measured(1), { kind: 'failed', reason: 'why' })];
    save(file, results);
    assert.deepEqual(load(file), results);
    writeFileSync(file, '{"version":2,"results":[]}');
    assert.throws(() => load(file), /version 2 is not known/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a table says what is met, what is not, and what was left out', () => {
  const results = [
    result({ title: 'one', ...ratioAtMost(0.5) }, measured(100), measured(20)),
    result({ title: 'two', unit: 'MB/s', ...ratioAtLeast(8) }, measured(10), measured(12.345)),
    result({ title: 'three' }, measured(1), { kind: 'unable', reason: 'it cannot' }),
  ];
  const lines = table(results).split('\n');
  assert.equal(lines[2], '| one, ms | 100 | 20 | 0.2 | ≤ 0.5, met |');
  assert.equal(lines[3], '| two, MB/s | 10 | 12.3 | 1.23 | ≥ 8, **not met** |');
  assert.equal(lines[4], '| three, ms | 1 | left out |  |  |');
  assert.deepEqual(remarks(results), ['three: moored is left out: it cannot.']);
});

test('every row has one name, and its samples are named once', () => {
  const ids = MEASUREMENTS.flatMap(({ rows }) => rows.map(({ id }) => id));
  assert.deepEqual(ids.filter((id, index) => ids.indexOf(id) !== index), []);
  const names = MEASUREMENTS.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
});

test('pictures have a mark for each figure, and no text breaks out of them', () => {
  const bars = ratios('a < b', [{ label: 'x & "y"', ratio: 0.01, goal: 0.3, lowerIsBetter: true }, { label: 'z', ratio: 30, lowerIsBetter: true }]);
  assert.match(bars, /a &lt; b/);
  assert.match(bars, /x &amp; &quot;y&quot;/);
  assert.equal(bars.match(/<rect /g)?.length, 3);
  assert.doesNotMatch(bars, /NaN|Infinity/);
  const drawn = curves('t', 'ms', [{ engine: 'dockerd', points: [[1, 5], [10, 50]] }, { engine: 'moored', points: [[1, 1]] }]);
  assert.equal(drawn.match(/<circle /g)?.length, 3);
  assert.doesNotMatch(curves('t', 'ms', [{ engine: 'moored', points: [] }]), /NaN|Infinity/);
});
