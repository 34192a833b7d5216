/** A worker thread for the tests of threads. */
import { notFound } from '../base/errors.ts';
import { serveJobs } from './threads.ts';

export interface TestJobs {
  add: { input: [number, number]; output: number };
  fail: { input: 'kind' | 'code'; output: null };
  die: { input: null; output: null };
  wait: { input: Int32Array<SharedArrayBuffer>; output: null };
}

let after = 0;
let broken = false;

serveJobs<TestJobs>(
  {
    add: ([a, b]) => a + b + after * 100,
    fail(how) {
      throw how === 'kind' ? notFound('no such thing') : Object.assign(new Error('full'), { code: 'ENOSPC' });
    },
    die() {
      broken = true;
      return null;
    },
    wait(words) {
      Atomics.wait(words, 0, 0);
      return null;
    },
  },
  () => {
    after++;
    if (broken) throw new Error('the thread cannot go on');
  },
);
