import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { isKind } from '../base/errors.ts';
import type { TestJobs } from './threads.fixture.ts';
import { Threads } from './threads.ts';

const entry = new URL('./threads.fixture.ts', import.meta.url);
const pools: Threads<TestJobs>[] = [];
const threads = (limit: number, idleMs?: number): Threads<TestJobs> => {
  const pool = new Threads<TestJobs>(entry, limit, idleMs);
  pools.push(pool);
  return pool;
};
after(async () => {
  for (const pool of pools) await pool.close();
});

test('a thread is used again, and cleans up after each job', async () => {
  const pool = threads(1);
  assert.deepEqual(await Promise.all([pool.run('add', [1, 2]), pool.run('add', [1, 2]), pool.run('add', [1, 2])]), [3, 103, 203]);
});

test('errors keep kind and code', async () => {
  const pool = threads(1);
  await assert.rejects(pool.run('fail', 'kind'), (error) => isKind(error, 'not-found') && error.message === 'no such thing');
  await assert.rejects(pool.run('fail', 'code'), { message: 'full', code: 'ENOSPC' });
});

test('a thread that dies fails its job, and those in line get another', async () => {
  const pool = threads(1);
  const dying = pool.run('die', null);
  const next = pool.run('add', [1, 1]);
  await assert.rejects(dying, /a worker thread/);
  assert.equal(await next, 2);
});

test('no more than the limit at a time', async () => {
  const pool = threads(2);
  const words = new Int32Array(new SharedArrayBuffer(4));
  const waiting = [pool.run('wait', words), pool.run('wait', words)];
  let third = false;
  const late = pool.run('add', [1, 1]).then((sum) => {
    third = true;
    return sum;
  });
  await threads(1).run('add', [1, 1]);
  assert.equal(third, false);
  Atomics.store(words, 0, 1);
  Atomics.notify(words, 0);
  await Promise.all(waiting);
  await late;
});

test('an idle thread ends', async () => {
  const pool = threads(1, 10);
  assert.equal(await pool.run('add', [1, 1]), 2);
  // The second job of one thread would count up.
  for (let i = 0; i < 100; i++) {
    await new Promise((resolve) => setTimeout(resolve, 30));
    if ((await pool.run('add', [1, 1])) === 2) return;
  }
  assert.fail('the thread never ended');
});

test('close fails what runs', async () => {
  const pool = threads(1);
  const words = new Int32Array(new SharedArrayBuffer(4));
  const waiting = assert.rejects(pool.run('wait', words), /a worker thread/);
  await new Promise((resolve) => setImmediate(resolve));
  await pool.close();
  await waiting;
});
