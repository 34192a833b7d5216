import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogLine } from '../core/ports/logs.ts';
import { LogParser } from './parse.ts';

const all = { stdout: true, stderr: true, since: 0n, until: 0n };

/** A line as Go's encoder writes it. */
const goLine = (log: string, { stream = 'stdout', attrs = '', time = '2026-01-02T03:04:05.000000006Z' } = {}): string => {
  const escaped = JSON.stringify(log).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `{"log":${escaped},"stream":"${stream}",${attrs === '' ? '' : `"attrs":${attrs},`}"time":"${time}"}\n`;
};

function parse(bytes: Buffer, parser = new LogParser(all), cuts: readonly number[] = []): LogLine[] {
  const lines: LogLine[] = [];
  let from = 0;
  for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    for (const line of parser.feed(Buffer.from(bytes.subarray(from, to))) ?? []) lines.push(line);
    from = to;
  }
  return lines;
}

test('every message survives, however the bytes are cut', () => {
  const message = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('\n', '"', '\\', '<', '\u2028', '😀', 'é', '\u0001', 'a') }));
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat(2000)), (messages, cuts) => {
      const bytes = Buffer.from(messages.map((log) => goLine(log)).join(''));
      const lines = parse(bytes, new LogParser(all), cuts.map((cut) => Math.min(cut, bytes.length)));
      assert.deepEqual(lines.map((line) => line.data.toString()), messages);
    }),
  );
});

test('stream, time and attributes', () => {
  const attrs = '{"tag":"a}\\"b","x":"1"}';
  const parser = new LogParser(all);
  const lines = parse(Buffer.from(goLine('a\n', { stream: 'stderr', attrs }) + goLine('b\n')), parser);
  assert.equal(parser.damaged, 0);
  assert.equal(lines[0]?.stream, 'stderr');
  assert.deepEqual(lines[0]?.attrs, { tag: 'a}"b', x: '1' });
  assert.equal(lines[0]?.timeNs, 1767323045000000006n);
  assert.equal(lines[1]?.stream, 'stdout');
  assert.equal(lines[1]?.attrs, undefined);
});

test('any JSON of the same meaning is understood, with the time made nine digits', () => {
  const line = '{ "time": "2026-01-02T03:04:05.5Z", "stream": "stdout", "log": "\\u0078\\ud83d\\ude00\\ud83dx\\n", "new": [1] }\n';
  const parser = new LogParser(all);
  const batch = parser.feed(Buffer.from(line));
  assert.ok(batch);
  assert.equal(batch.times.toString(), '2026-01-02T03:04:05.500000000Z');
  assert.equal(batch.data.toString(), 'x😀\ufffdx\n');
  const fast = parse(Buffer.from(goLine('y').replace('"y"', '"\\u0078\\ud83d\\ude00\\ud83dx\\n"')));
  assert.equal(fast[0]?.data.toString(), 'x😀\ufffdx\n');
});

test('damaged lines are skipped and counted, the others stand', () => {
  const parser = new LogParser(all);
  const bad = [
    'garbage', '', '{}', '{"log":"x"', '{"log":1,"stream":"stdout","time":"2026-01-02T03:04:05Z"}',
    goLine('x', { stream: 'stdin' }).trim(), goLine('x', { time: '2026-01-02T03:04:05.00000000xZ' }).trim(),
    goLine('x', { attrs: '{"a":' }).trim(), `${goLine('x').trim()}x`,
  ];
  const lines = parse(Buffer.from(bad.map((line) => `${line}\n${goLine('good\n')}`).join('')), parser);
  assert.deepEqual(lines.map((line) => line.data.toString()), bad.map(() => 'good\n'));
  assert.equal(parser.damaged, bad.length);
});

test('noise never throws and never hides what follows it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      const lines = parse(Buffer.concat([noise, Buffer.from(`\n${goLine('good\n')}`)]));
      assert.equal(lines.at(-1)?.data.toString(), 'good\n');
    }),
  );
});

test('bytes that are not UTF-8 in a line of the slow kind do not push others out', () => {
  const slow = Buffer.concat([Buffer.from('{ "log":"'), Buffer.alloc(5000, 0xff), Buffer.from('","stream":"stdout","time":"2026-01-02T03:04:05Z"}\n')]);
  const lines = parse(Buffer.concat([slow, Buffer.from(goLine('x'.repeat(5000)))]));
  assert.equal(lines[0]?.data.length, 15000);
  assert.equal(lines[1]?.data.toString(), 'x'.repeat(5000));
});

test('a line without end is given up, and reading goes on behind it', () => {
  const parser = new LogParser(all);
  for (let i = 0; i < 20; i++) parser.feed(Buffer.alloc(100_000, 'x'));
  const lines = parse(Buffer.from(`end of it\n${goLine('good\n')}`), parser);
  assert.deepEqual(lines.map((line) => line.data.toString()), ['good\n']);
  assert.equal(parser.damaged, 1);
});

test('since and until are inclusive, and the first later message ends the reading', () => {
  const at = (second: number): string => goLine(String(second), { time: `2026-01-02T03:04:0${second}.000000000Z`, stream: second % 2 === 0 ? 'stdout' : 'stderr' });
  const text = Buffer.from([1, 2, 3, 4, 5, 2].map(at).join(''));
  const second = (n: bigint): bigint => 1767323040_000000000n + n * 1_000000000n;
  const parser = new LogParser({ ...all, since: second(2n), until: second(4n) });
  assert.deepEqual(parse(text, parser).map((line) => line.data.toString()), ['2', '3', '4']);
  assert.ok(parser.finished);
  const out = new LogParser({ ...all, stderr: false, until: 10n ** 30n });
  assert.deepEqual(parse(text, out).map((line) => line.data.toString()), ['2', '4', '2']);
});
