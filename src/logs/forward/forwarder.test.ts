import assert from 'node:assert/strict';
import { appendFileSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import fc from 'fast-check';
import { DeliveryError } from '../../core/ports/logTargets.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { CursorFile, decodeCursor, NEW_CURSOR } from './cursor.ts';
import { Forwarder } from './forwarder.ts';
import type { ForwardChange } from './forwarder.ts';
import { messagesOf, NO_PROGRESS } from './messages.ts';

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'moored-forward-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const entry = (log: string, stream = 'stdout'): string => `${JSON.stringify({ log, stream, time: '2026-01-02T03:04:05.000000006Z' })}\n`;
const upTo = (count: number): string[] => Array.from({ length: count }, (_, n) => String(n));
const logOf = (count: number, from = 0): string => Array.from({ length: count }, (_, n) => entry(`${n + from}\n`)).join('');

/** A target that takes or refuses as it is told: `'all'`, or how many messages it takes before it fails. */
class Scripted implements LogTarget {
  readonly address = 'scripted';
  readonly got: LogMessage[] = [];
  readonly script: ('all' | { take: number; doubtful?: boolean })[];
  #wake: () => void = () => {};

  constructor(script: Scripted['script'] = []) {
    this.script = script;
  }

  send(messages: readonly LogMessage[]): Promise<void> {
    const next = this.script.shift() ?? 'all';
    const taken = next === 'all' ? messages.length : Math.min(next.take, messages.length);
    this.got.push(...messages.slice(0, taken));
    this.#wake();
    if (next === 'all') return Promise.resolve();
    return Promise.reject(new DeliveryError('refused', { delivered: taken, doubtful: next.doubtful ?? false }));
  }

  close(): void {
    // Nothing is held.
  }

  async until(count: number): Promise<void> {
    while (this.got.length < count) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
  }

  get texts(): string[] {
    return this.got.map(({ text }) => text);
  }
}

interface Rig {
  readonly logPath: string;
  readonly cursorPath: string;
  readonly changes: ForwardChange[];
  readonly start: (target: LogTarget) => Forwarder;
}

function rig(dir: string, name = 'log'): Rig {
  const logPath = join(dir, name);
  const cursorPath = join(dir, `${name}.cursor`);
  const changes: ForwardChange[] = [];
  return { logPath, cursorPath, changes, start: (target) => new Forwarder({ id: 'c'.repeat(64), name: 'web', target, logPath, cursorPath, firstRetryMs: 1, onChange: (change) => changes.push(change) }) };
}

test('all that is there and all that comes is delivered, then it ends', { timeout: 20_000 }, async (t) => {
  const { logPath, start } = rig(folder(t));
  writeFileSync(logPath, logOf(3));
  const target = new Scripted();
  const forwarder = start(target);
  await target.until(3);
  appendFileSync(logPath, logOf(2, 3));
  await target.until(5);
  appendFileSync(logPath, logOf(1, 5));
  forwarder.end();
  await forwarder.done;
  assert.deepEqual(target.texts, upTo(6));
  assert.deepEqual(target.got.map(({ ordinal }) => ordinal), [1, 2, 3, 4, 5, 6]);
});

test('failures in any order and restarts between: once, and in order', { timeout: 60_000 }, async (t) => {
  const dir = folder(t);
  let round = 0;
  const life = fc.record({ script: fc.array(fc.record({ take: fc.nat(2000) }), { maxLength: 4 }), lines: fc.nat(3000) });
  await fc.assert(fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4 }), async (lives) => {
    const { logPath, start } = rig(dir, String(round++));
    writeFileSync(logPath, '');
    const got: string[] = [];
    let count = 0;
    for (const [index, { script, lines }] of lives.entries()) {
      appendFileSync(logPath, logOf(lines, count));
      count += lines;
      const target = new Scripted([...script]);
      const forwarder = start(target);
      if (index === lives.length - 1) forwarder.end();
      else await forwarder.stop(1000);
      await forwarder.done;
      got.push(...target.texts);
    }
    assert.deepEqual(got, upTo(count));
  }), { numRuns: 40 });
});

test('a target that is lost and found is told of once each', { timeout: 20_000 }, async (t) => {
  const { logPath, cursorPath, changes, start } = rig(folder(t));
  writeFileSync(logPath, logOf(2));
  const target = new Scripted([{ take: 0 }, { take: 0 }, { take: 1 }, { take: 0 }]);
  const forwarder = start(target);
  await target.until(2);
  const state = await forwarder.state();
  forwarder.end();
  await forwarder.done;
  assert.deepEqual(changes, [{ kind: 'unreachable', error: 'refused' }, { kind: 'reached', behindBytes: 0 }]);
  assert.equal(state.address, 'scripted');
  assert.equal(decodeCursor(readFileSync(cursorPath))?.progress.ordinal, 2);
});

test('after a reset what was confirmed a moment ago is sent again, with the same ordinals', { timeout: 20_000 }, async (t) => {
  const { logPath, start } = rig(folder(t));
  writeFileSync(logPath, logOf(2));
  const target = new Scripted(['all', { take: 0, doubtful: true }]);
  const forwarder = start(target);
  await target.until(2);
  appendFileSync(logPath, logOf(1, 2));
  await target.until(5);
  forwarder.end();
  await forwarder.done;
  assert.deepEqual(target.texts, ['0', '1', '0', '1', '2']);
  assert.deepEqual(target.got.map(({ ordinal }) => ordinal), [1, 2, 1, 2, 3]);
});

test('how much waits is told, and a removal does not wait for a target that hangs', { timeout: 20_000 }, async (t) => {
  const { logPath, start } = rig(folder(t));
  writeFileSync(logPath, logOf(10));
  const { promise, reject } = Promise.withResolvers<void>();
  const asked = Promise.withResolvers<void>();
  const hanging: LogTarget = {
    address: 'hanging',
    send() {
      asked.resolve();
      return promise;
    },
    close: () => reject(new DeliveryError('closed')),
  };
  const forwarder = start(hanging);
  await asked.promise;
  assert.equal((await forwarder.state()).behindBytes, logOf(10).length);
  await forwarder.stop(20);
});

test('a cursor that cannot be kept is told of, and delivery goes on', { timeout: 20_000 }, async (t) => {
  const { logPath, cursorPath, changes, start } = rig(join(folder(t), 'missing'));
  const target = new Scripted();
  const forwarder = start(target);
  forwarder.end();
  await forwarder.done;
  assert.equal(changes.length, 1);
  assert.match(JSON.stringify(changes[0]), /"failed".*ENOENT/);
  assert.ok(logPath !== cursorPath);
});

test('the cursor survives a torn write, and nonsense counts as nothing', async (t) => {
  const path = join(folder(t), 'cursor');
  const progress = { position: { key: 'k', inode: '12345678901234567890', offset: 42 }, ordinal: 7, open: { stderr: { id: 'x', parts: 2 } } };
  for (const offset of [1, 2]) {
    const opened = await CursorFile.open(path);
    await opened.file.save({ ...NEW_CURSOR, progress: { ...progress, position: { ...progress.position, offset } }, gaps: 1, lostBytes: 5, error: 'ü'.repeat(1000) });
    await opened.file[Symbol.asyncDispose]();
  }
  const bytes = readFileSync(path);
  assert.equal(bytes.length, 4096);
  const whole = decodeCursor(bytes);
  assert.deepEqual(whole, { progress: { ...progress, position: { ...progress.position, offset: 2 } }, gaps: 1, lostBytes: 5, error: 'ü'.repeat(300) });
  const torn = Buffer.from(bytes);
  torn.fill(0, 20, 100);
  assert.equal(decodeCursor(torn)?.progress.position?.offset, 1);
  truncateSync(path, 30);
  const { file, cursor } = await CursorFile.open(path);
  await file[Symbol.asyncDispose]();
  assert.deepEqual(cursor, NEW_CURSOR);
  assert.equal(decodeCursor(Buffer.from('0'.padEnd(4096))), undefined);
  fc.assert(fc.property(fc.uint8Array({ maxLength: 5000 }), (garbage) => decodeCursor(Buffer.from(garbage)) === undefined));
});

test('parts of a long line belong together, by stream, also across chunks', () => {
  const long = 'x'.repeat(16 * 1024);
  const from = { key: 'k', inode: '1', offset: 0 };
  const first = messagesOf('id', { lines: Buffer.from(entry(long) + entry('err\n', 'stderr') + 'no json\n' + entry(long)), from }, NO_PROGRESS);
  const second = messagesOf('id', { lines: Buffer.from(entry('end\n') + entry('last words')), from: first.end.position ?? from }, first.end);
  const all = [...first.messages, ...second.messages];
  const partials = all.map(({ partial }) => partial);
  const id = partials[0]?.id ?? '';
  assert.match(id, /^[0-9a-f]{64}$/);
  assert.deepEqual(partials, [{ id, ordinal: 1, last: false }, undefined, { id, ordinal: 2, last: false }, { id, ordinal: 3, last: true }, undefined]);
  assert.deepEqual(all.map(({ text }) => text.slice(0, 12)), ['x'.repeat(12), 'err', 'x'.repeat(12), 'end', 'last words']);
  assert.deepEqual(messagesOf('id', { lines: Buffer.from(entry(long)), from }, NO_PROGRESS).messages[0]?.partial?.id, id);
});
