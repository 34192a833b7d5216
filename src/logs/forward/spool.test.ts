import assert from 'node:assert/strict';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { Spool } from './spool.ts';
import type { SpoolPosition } from './spool.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'moored-spool-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const line = (n: number): string => `{"log":"${n}\\n","stream":"stdout","time":"2026-01-02T03:04:05.${String(n).padStart(9, '0')}Z"}\n`;
const numbersIn = (lines: Buffer): number[] => [...lines.toString().matchAll(/"log":"(\d+)/g)].map(([, n]) => Number(n));

/** A log as a shim writes it. */
class Log {
  readonly path: string;
  readonly keep: number;
  next = 0;

  constructor(path: string, keep: number) {
    this.path = path;
    this.keep = keep;
    writeFileSync(path, '');
  }

  write(count: number): void {
    let text = '';
    for (let i = 0; i < count; i += 1) text += line(this.next++);
    appendFileSync(this.path, text);
  }

  rotate(compress: boolean): void {
    for (const suffix of ['', '.gz']) {
      rmSync(`${this.path}.${this.keep - 1}${suffix}`, { force: true });
      for (let n = this.keep - 2; n >= 1; n -= 1) if (existsSync(`${this.path}.${n}${suffix}`)) renameSync(`${this.path}.${n}${suffix}`, `${this.path}.${n + 1}${suffix}`);
    }
    renameSync(this.path, `${this.path}.1`);
    writeFileSync(this.path, '');
    if (compress) this.compress(1);
  }

  compress(n: number): void {
    if (!existsSync(`${this.path}.${n}`)) return;
    writeFileSync(`${this.path}.${n}.gz`, gzipSync(readFileSync(`${this.path}.${n}`)));
    rmSync(`${this.path}.${n}`);
  }
}

type Act = { kind: 'write'; count: number } | { kind: 'rotate'; compress: boolean } | { kind: 'compress'; n: number } | { kind: 'read'; chunks: number } | { kind: 'restart' };

const act: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ kind: fc.constant('write' as const), count: fc.nat(3000) }),
  fc.record({ kind: fc.constant('rotate' as const), compress: fc.boolean() }),
  fc.record({ kind: fc.constant('compress' as const), n: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ kind: fc.constant('read' as const), chunks: fc.nat(4) }),
  fc.constant({ kind: 'restart' as const }),
);

test('whatever is written, rotated, compressed and restarted between, every line is read once and in order', async (t) => {
  const dir = folder(t);
  let round = 0;
  await fc.assert(fc.asyncProperty(fc.array(act, { maxLength: 25 }), async (acts) => {
    const log = new Log(join(dir, String(round++)), 100);
    const found: number[] = [];
    let position: SpoolPosition | undefined;
    let spool = new Spool(log.path, undefined);
    const read = async (chunks: number): Promise<void> => {
      for (let i = 0; i < chunks; i += 1) {
        const chunk = await spool.next();
        if (chunk === undefined) return;
        found.push(...numbersIn(chunk.lines));
        position = { ...chunk.from, offset: chunk.from.offset + chunk.lines.length };
      }
    };
    try {
      for (const each of acts) {
        if (each.kind === 'write') log.write(each.count);
        else if (each.kind === 'rotate') log.rotate(each.compress);
        else if (each.kind === 'compress') log.compress(each.n);
        else if (each.kind === 'read') await read(each.chunks);
        else {
          await spool[Symbol.asyncDispose]();
          spool = new Spool(log.path, position);
        }
      }
      await read(Number.POSITIVE_INFINITY);
      assert.deepEqual(found, Array.from({ length: log.next }, (_, n) => n));
      assert.equal(spool.gaps, 0);
      assert.equal(await spool.behind(position), 0);
    } finally {
      await spool[Symbol.asyncDispose]();
    }
  }), { numRuns: 60, endOnFailure: true });
});

test('an unfinished line is held back, and so is a missing log', async (t) => {
  const path = join(folder(t), 'x');
  await using spool = new Spool(path, undefined);
  assert.equal(await spool.next(), undefined);
  writeFileSync(path, line(1) + line(2).slice(0, 20));
  assert.deepEqual(numbersIn((await spool.next())?.lines ?? Buffer.alloc(0)), [1]);
  assert.equal(await spool.next(), undefined);
  appendFileSync(path, line(2).slice(20));
  assert.deepEqual(numbersIn((await spool.next())?.lines ?? Buffer.alloc(0)), [2]);
});

test('what is rotated away unread is counted; what was held open is not lost', async (t) => {
  const log = new Log(join(folder(t), 'x'), 3);
  log.write(10);
  await using spool = new Spool(log.path, undefined);
  const first = await spool.next();
  assert.equal(numbersIn(first?.lines ?? Buffer.alloc(0)).length, 10);
  log.write(5);
  log.rotate(false);
  log.write(7);
  log.rotate(true);
  log.write(8);
  // Looked at while the target is away: three files, of which the first two then go; the first is held.
  const fifteen = Array.from({ length: 15 }, (_, n) => line(n)).join('').length;
  assert.equal(await spool.behind(first?.from), fifteen + Array.from({ length: 15 }, (_, n) => line(n + 15)).join('').length);
  log.rotate(true);
  log.write(9);
  log.rotate(true);
  log.write(1);
  const found: number[] = [];
  for (let chunk = await spool.next(); chunk !== undefined; chunk = await spool.next()) found.push(...numbersIn(chunk.lines));
  assert.deepEqual(found, [10, 11, 12, 13, 14, ...Array.from({ length: 18 }, (_, n) => n + 22)]);
  assert.equal(spool.gaps, 1);
  assert.equal(spool.lostBytes, Array.from({ length: 7 }, (_, n) => line(n + 15)).join('').length);
});

test('a place in a file that is gone is a gap, and reading goes on with the oldest', async (t) => {
  const log = new Log(join(folder(t), 'x'), 3);
  log.write(3);
  await using spool = new Spool(log.path, { key: 'f'.repeat(32), inode: '1', offset: 7 });
  assert.deepEqual(numbersIn((await spool.next())?.lines ?? Buffer.alloc(0)), [0, 1, 2]);
  assert.equal(spool.gaps, 1);
});
