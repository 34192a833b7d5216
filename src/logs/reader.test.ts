import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, renameSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import type { LogQuery } from '../core/ports/logs.ts';
import { EVERYTHING, FRAMED, framesOf } from './frames.fixture.ts';
import { jsonFileLogs } from './reader.ts';

const line = (log: string | number): string => `{"log":"${log}\\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}\n`;

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'moored-logs-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const query = (path: string, more: Partial<LogQuery> = {}): LogQuery => ({ ...EVERYTHING, path, ...more });

async function readAll(q: LogQuery): Promise<string[]> {
  const lines: string[] = [];
  for await (const some of jsonFileLogs.read(q, FRAMED)) for (const { text } of framesOf(some)) lines.push(text.trimEnd());
  return lines;
}

/** Follows in the background; `until(n)` resolves when n lines have come. */
function following(q: LogQuery): { lines: string[]; until: (count: number) => Promise<void>; done: Promise<void> } {
  const lines: string[] = [];
  let reached = (): void => {};
  let wanted = 0;
  const done = (async () => {
    for await (const some of jsonFileLogs.read(q, FRAMED)) {
      for (const { text } of framesOf(some)) lines.push(text.trimEnd());
      if (lines.length >= wanted) reached();
    }
  })();
  const until = async (count: number): Promise<void> => {
    if (lines.length >= count) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    wanted = count;
    reached = resolve;
    await Promise.race([promise, done]);
    assert.ok(lines.length >= count, `only ${lines.length} of ${count} lines`);
  };
  return { lines, until, done };
}

const openFiles = (path: string): number =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path);
    } catch {
      return false;
    }
  }).length;

test('all and tail agree with a plain model, over plain and compressed files', async (t) => {
  const path = join(folder(t), 'x.log');
  const file = fc.record({ lines: fc.nat(2000), compressed: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(file, { maxLength: 3 }), fc.nat(2000), fc.nat(7000), async (rotated, present, tail) => {
      const expected: string[] = [];
      const text = (count: number): string => {
        let out = '';
        for (let i = 0; i < count; i++) {
          expected.push(String(expected.length));
          out += line(expected.length - 1);
        }
        return out;
      };
      for (const [index, { lines, compressed }] of rotated.entries()) {
        const name = `${path}.${rotated.length - index}`;
        rmSync(name, { force: true });
        rmSync(`${name}.gz`, { force: true });
        writeFileSync(compressed ? `${name}.gz` : name, compressed ? gzipSync(text(lines)) : text(lines));
      }
      rmSync(`${path}.${rotated.length + 1}`, { force: true });
      rmSync(`${path}.${rotated.length + 1}.gz`, { force: true });
      writeFileSync(path, `${text(present)}{"log":"unfinis`);
      assert.deepEqual(await readAll(query(path)), expected);
      assert.deepEqual(await readAll(query(path, { tail })), tail === 0 ? [] : expected.slice(-tail));
    }),
    { numRuns: 30 },
  );
});

test('a missing log is empty, a damaged archive loses only itself', async (t) => {
  const path = join(folder(t), 'x.log');
  assert.deepEqual(await readAll(query(path)), []);
  writeFileSync(`${path}.2.gz`, gzipSync(line('old')).subarray(0, 20));
  writeFileSync(`${path}.1.gz`, 'no archive');
  writeFileSync(path, line('new'));
  assert.deepEqual(await readAll(query(path)), ['new']);
  assert.deepEqual(await readAll(query(path, { tail: 5 })), ['new']);
});

test('damaged lines are told', async (t) => {
  const path = join(folder(t), 'x.log');
  writeFileSync(path, `x\n${line(1)}y\n`);
  let damaged = 0;
  assert.deepEqual(await readAll(query(path, { onDamaged: (lines) => (damaged = lines) })), ['1']);
  assert.equal(damaged, 2);
});

test('follow: unfinished lines are held back, the last byte is read, and then it ends', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'x.log');
  writeFileSync(path, line(1) + line(2).slice(0, 20));
  const end = Promise.withResolvers<void>();
  const follower = following(query(path, { follow: end.promise, tail: 1 }));
  await follower.until(1);
  appendFileSync(path, line(2).slice(20));
  await follower.until(2);
  appendFileSync(path, line(3) + line(4));
  end.resolve();
  await follower.done;
  assert.deepEqual(follower.lines, ['1', '2', '3', '4']);
  assert.equal(openFiles(dir), 0);
});

test('follow with tail 0 gives only what is new, and waits for a log that does not exist yet', async (t) => {
  const path = join(folder(t), 'x.log');
  const end = Promise.withResolvers<void>();
  const early = following(query(path, { follow: end.promise }));
  writeFileSync(path, line(1));
  await early.until(1);
  const late = following(query(path, { follow: end.promise, tail: 0 }));
  appendFileSync(path, line(2));
  await early.until(2);
  end.resolve();
  await Promise.all([early.done, late.done]);
  assert.deepEqual(early.lines, ['1', '2']);
  assert.ok(!late.lines.includes('1'));
});

test('follow over many rotations, also several at once and compressed, loses nothing and gives nothing twice', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'x.log');
  writeFileSync(path, '');
  const end = Promise.withResolvers<void>();
  const follower = following(query(path, { follow: end.promise }));
  let next = 0;
  const rotate = (compress: boolean): void => {
    for (let n = 8; n > 0; n--) {
      for (const suffix of ['', '.gz']) {
        try {
          renameSync(`${path}.${n}${suffix}`, `${path}.${n + 1}${suffix}`);
        } catch {
          // There is none.
        }
      }
    }
    renameSync(path, `${path}.1`);
    writeFileSync(path, '');
    if (compress) {
      writeFileSync(`${path}.1.gz`, gzipSync(readFileSync(`${path}.1`)));
      rmSync(`${path}.1`);
    }
  };
  for (let round = 0; round < 40; round++) {
    for (let i = 0; i < 50; i++) appendFileSync(path, line(next++));
    if (round % 3 === 0) await follower.until(next);
    rotate(round % 4 === 1);
    if (round % 5 === 0) rotate(false);
  }
  appendFileSync(path, line(next++));
  end.resolve();
  await follower.done;
  assert.deepEqual(follower.lines, Array.from({ length: next }, (_, i) => String(i)));
  assert.equal(openFiles(dir), 0);
});

test('follow goes on when somebody empties the log', async (t) => {
  const path = join(folder(t), 'x.log');
  writeFileSync(path, line('first') + line('second'));
  const end = Promise.withResolvers<void>();
  const follower = following(query(path, { follow: end.promise }));
  await follower.until(2);
  truncateSync(path);
  appendFileSync(path, line('new'));
  await follower.until(3);
  end.resolve();
  await follower.done;
  assert.deepEqual(follower.lines, ['first', 'second', 'new']);
});

test('an abort ends a follower, and so does leaving the loop', async (t) => {
  const dir = folder(t);
  const path = join(dir, 'x.log');
  writeFileSync(path, line(1));
  const controller = new AbortController();
  const follower = following(query(path, { follow: new Promise(() => {}), signal: controller.signal }));
  await follower.until(1);
  controller.abort();
  await follower.done;
  for await (const some of jsonFileLogs.read(query(path, { follow: new Promise(() => {}) }), FRAMED)) {
    assert.equal(framesOf(some).length, 1);
    break;
  }
  assert.equal(openFiles(dir), 0);
});

test('since: what is found by halves is what reading from the beginning finds, over plain and compressed files and with tail', async (t) => {
  const path = join(folder(t), 'x.log');
  const base = Date.parse('2026-01-02T03:00:00Z');
  const timed = (n: number): string => `{"log":"${n} ${'x'.repeat(n % 300)}\\n","stream":"stdout","time":"${new Date(base + n * 1000).toISOString().slice(0, 19)}.00000000${n % 10}Z"}\n`;
  const files = fc.array(fc.record({ lines: fc.integer({ min: 1, max: 4000 }), compressed: fc.boolean() }), { minLength: 1, maxLength: 4 });
  await fc.assert(fc.asyncProperty(files, fc.double({ min: -0.1, max: 1.1, noNaN: true }), fc.option(fc.nat(3000)), async (given, part, tail) => {
    const total = given.reduce((sum, { lines }) => sum + lines, 0);
    let next = 0;
    for (const [index, { lines, compressed }] of given.entries()) {
      const text = Array.from({ length: lines }, () => timed(next++)).join('');
      const name = index === given.length - 1 ? path : `${path}.${given.length - 1 - index}`;
      for (const each of [name, `${name}.gz`]) rmSync(each, { force: true });
      if (compressed && name !== path) writeFileSync(`${name}.gz`, gzipSync(text));
      else writeFileSync(name, text);
    }
    for (const each of [`${path}.${given.length}`, `${path}.${given.length}.gz`]) rmSync(each, { force: true });
    const from = Math.floor(part * total);
    const since = BigInt(base + from * 1000) * 1_000_000n + (from % 2 === 0 ? 0n : 100n);
    const expected = Array.from({ length: total }, (_, n) => n).slice(tail === null ? 0 : tail === 0 ? total : -tail).filter((n) => BigInt(base + n * 1000) * 1_000_000n + BigInt(n % 10) >= since);
    assert.deepEqual((await readAll(query(path, { since, tail: tail ?? -1 }))).map((text) => Number.parseInt(text, 10)), expected);
  }), { numRuns: 40 });
});
