import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { Ring, RingClosed } from './ring.ts';

/** A thread that runs `body` with `ring`, and says what it returned. */
function inThread(ring: Ring, body: string): Promise<unknown> {
  const module = JSON.stringify(new URL('./ring.ts', import.meta.url).href);
  const code = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { createHash } = require('node:crypto');
    import(${module}).then(({ Ring }) => {
      const ring = new Ring(workerData);
      parentPort.postMessage((() => { try { ${body} } catch (error) { return error.name; } })());
    });`;
  return new Promise((resolve, reject) => {
    const worker = new Worker(code, { eval: true, workerData: ring.memory, execArgv: [] });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

const hashOf = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const data = randomBytes(9_999_999);
/** Pieces of all sizes, some larger than the ring. */
function* pieces(): Generator<Buffer> {
  for (let at = 0, step = 1; at < data.length; at += step, step = (step * 7) % 4_000_037) yield data.subarray(at, at + step);
}

test('to a thread: every byte, in order', async () => {
  const ring = new Ring();
  const hash = inThread(ring, `const hash = createHash('sha256'); ring.readSync((chunk) => hash.update(chunk)); return hash.digest('hex');`);
  for (const piece of pieces()) await ring.write(piece);
  ring.end();
  assert.equal(await hash, hashOf(data));
});

test('from a thread: every byte, in order', async () => {
  const ring = new Ring();
  const done = inThread(ring, `for (let i = 0; i < 300; i++) ring.writeSync(Buffer.alloc(i * 997, i)); ring.end(); return 'done';`);
  const chunks: Buffer[] = [];
  for (let chunk = await ring.read(70_000); chunk !== undefined; chunk = await ring.read(70_000)) chunks.push(chunk);
  assert.equal(await done, 'done');
  const expected = Buffer.concat(Array.from({ length: 300 }, (_, i) => Buffer.alloc(i * 997, i)));
  assert.equal(hashOf(Buffer.concat(chunks)), hashOf(expected));
});

test('whoever waits learns that the other side is gone', async () => {
  const full = new Ring();
  const writer = inThread(full, `ring.writeSync(Buffer.alloc(3 << 20)); return 'never';`);
  assert.ok(((await full.read(1000))?.length ?? 0) > 0);
  full.close();
  assert.equal(await writer, 'RingClosed');

  const empty = new Ring();
  const reader = inThread(empty, `ring.readSync(() => {}); return 'never';`);
  await empty.write(Buffer.from('x'));
  empty.fail();
  assert.equal(await reader, 'RingClosed');

  const stuck = new Ring();
  const writing = stuck.write(Buffer.alloc(3 << 20));
  stuck.close();
  await assert.rejects(writing, RingClosed);
  const broken = new Ring();
  const reading = broken.read(10);
  broken.fail();
  await assert.rejects(reading, RingClosed);
});
