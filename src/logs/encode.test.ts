import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { LogShape } from '../core/ports/logs.ts';
import { LogEncoder } from './encode.ts';
import { FRAMED, framesOf, TIMED } from './frames.fixture.ts';
import type { Frame } from './frames.fixture.ts';

const all = { stdout: true, stderr: true, since: 0n, until: 0n };

/** A line as Go's encoder writes it. */
const goLine = (log: string, { stream = 'stdout', attrs = '', time = '2026-01-02T03:04:05.000000006Z' } = {}): string => {
  const escaped = JSON.stringify(log).replace(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `{"log":${escaped},"stream":"${stream}",${attrs === '' ? '' : `"attrs":${attrs},`}"time":"${time}"}\n`;
};

const encoder = (shape: LogShape = FRAMED, filter = all): LogEncoder => new LogEncoder(filter, shape);

function encode(bytes: Buffer, by = encoder(), cuts: readonly number[] = []): Buffer {
  const parts: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    parts.push(by.feed(Buffer.from(bytes.subarray(from, to))) ?? Buffer.alloc(0));
    from = to;
  }
  return Buffer.concat(parts);
}

const read = (bytes: Buffer, by = encoder(), cuts: readonly number[] = []): Frame[] => framesOf(encode(bytes, by, cuts));

test('every message survives, however the bytes are cut', () => {
  const message = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('\n', '"', '\\', '<', '\u2028', '😀', 'é', '\u0001', 'a') }));
  fc.assert(
    fc.property(fc.array(message), fc.array(fc.nat(2000)), (messages, cuts) => {
      const bytes = Buffer.from(messages.map((log) => goLine(log)).join(''));
      const at = cuts.map((cut) => Math.min(cut, bytes.length));
      assert.deepEqual(read(bytes, encoder(), at).map(({ text }) => text), messages);
      assert.deepEqual(framesOf(encode(bytes, encoder(TIMED), at), TIMED), messages.map((text) => ({ stream: 'stdout', time: '2026-01-02T03:04:05.000000006Z', text })));
      assert.equal(encode(bytes, encoder({ ...FRAMED, framed: false }), at).toString(), messages.join(''));
    }),
  );
});

test('stream, time and attributes', () => {
  const attrs = '{"tag":"a}\\"b","x":"1"}';
  const bytes = Buffer.from(goLine('a\n', { stream: 'stderr', attrs }) + goLine('b', { attrs: '{"time":"\\n","y":"}"}' }) + goLine('c\n'));
  for (const details of [undefined, (found: unknown): string => `${JSON.stringify(found)} `]) {
    const by = encoder({ ...TIMED, details });
    const frames = framesOf(encode(bytes, by), TIMED);
    assert.equal(by.damaged, 0);
    assert.deepEqual(frames.map(({ stream }) => stream), ['stderr', 'stdout', 'stdout']);
    assert.equal(frames[0]?.time, '2026-01-02T03:04:05.000000006Z');
    assert.deepEqual(frames.map(({ text }) => text), details === undefined ? ['a\n', 'b', 'c\n'] : ['{"tag":"a}\\"b","x":"1"} a\n', '{"time":"\\n","y":"}"} b', 'undefined c\n']);
  }
});

test('any JSON of the same meaning is understood, with the time made nine digits', () => {
  const line = '{ "time": "2026-01-02T03:04:05.5Z", "stream": "stdout", "log": "\\u0078\\ud83d\\ude00\\ud83dx\\n", "new": [1] }\n';
  assert.deepEqual(framesOf(encode(Buffer.from(line), encoder(TIMED)), TIMED), [{ stream: 'stdout', time: '2026-01-02T03:04:05.500000000Z', text: 'x😀\ufffdx\n' }]);
  const fast = read(Buffer.from(goLine('y').replace('"y"', '"\\u0078\\ud83d\\ude00\\ud83dx\\n"')));
  assert.equal(fast[0]?.text, 'x😀\ufffdx\n');
});

test('damaged lines are skipped and counted, the others stand', () => {
  const by = encoder();
  const bad = [
    'garbage', '', '{}', '{"log":"x"', '{"log":1,"stream":"stdout","time":"2026-01-02T03:04:05Z"}',
    goLine('x', { stream: 'stdin' }).trim(), goLine('x', { time: '2026-01-02T03:04:05.00000000xZ' }).trim(),
    goLine('x', { attrs: '{"a":' }).trim(), `${goLine('x').trim()}x`,
  ];
  const lines = read(Buffer.from(bad.map((line) => `${line}\n${goLine('good\n')}`).join('')), by);
  assert.deepEqual(lines.map(({ text }) => text), bad.map(() => 'good\n'));
  assert.equal(by.damaged, bad.length);
});

test('noise never throws and never hides what follows it', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
      const lines = read(Buffer.concat([noise, Buffer.from(`\n${goLine('good\n')}`)]));
      assert.equal(lines.at(-1)?.text, 'good\n');
    }),
  );
});

test('bytes that are not UTF-8 in a line of the slow kind do not push others out', () => {
  const slow = Buffer.concat([Buffer.from('{ "log":"'), Buffer.alloc(5000, 0xff), Buffer.from('","stream":"stdout","time":"2026-01-02T03:04:05Z"}\n')]);
  const lines = read(Buffer.concat([slow, Buffer.from(goLine('x'.repeat(5000)))]));
  assert.equal(Buffer.byteLength(lines[0]?.text ?? ''), 15_000);
  assert.equal(lines[1]?.text, 'x'.repeat(5000));
});

test('a line without end is given up, and reading goes on behind it', () => {
  const by = encoder();
  for (let i = 0; i < 20; i++) by.feed(Buffer.alloc(100_000, 'x'));
  const lines = read(Buffer.from(`end of it\n${goLine('good\n')}`), by);
  assert.deepEqual(lines.map(({ text }) => text), ['good\n']);
  assert.equal(by.damaged, 1);
});

test('since and until are inclusive, and the first later message ends the reading', () => {
  const at = (second: number): string => goLine(String(second), { time: `2026-01-02T03:04:0${second}.000000000Z`, stream: second % 2 === 0 ? 'stdout' : 'stderr' });
  const text = Buffer.from([1, 2, 3, 4, 5, 2].map(at).join(''));
  const second = (n: bigint): bigint => 1767323040_000000000n + n * 1_000000000n;
  const by = encoder(FRAMED, { ...all, since: second(2n), until: second(4n) });
  assert.deepEqual(read(text, by).map((each) => each.text), ['2', '3', '4']);
  assert.ok(by.finished);
  const out = encoder(FRAMED, { ...all, stderr: false, until: 10n ** 30n });
  assert.deepEqual(read(text, out).map((each) => each.text), ['2', '4', '2']);
});
