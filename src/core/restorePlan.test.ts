import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContainerRecord } from './container/record.ts';
import { planRestore } from './restorePlan.ts';
import type { Observed } from './restorePlan.ts';

const SEEN: Observed = { shim: 'answering', init: 'alive', pid: 7, shimState: 'running', problem: '', exitCode: 0, restartCount: 0, frozen: false };

/** What the planner looks at; the rest of a record does not concern it. */
function record(policy: 'no' | 'always' | 'unless-stopped' | 'on-failure', more: { desired?: ContainerRecord['desired']; autoRemove?: boolean; tries?: number } = {}): ContainerRecord {
  return {
    desired: more.desired ?? 'running',
    startedBefore: true,
    hostConfig: { restartPolicy: { name: policy, maximumRetryCount: more.tries ?? 0 }, autoRemove: more.autoRemove ?? false },
  } as unknown as ContainerRecord;
}

const steps = (of: ContainerRecord, seen: Partial<Observed>, liveRestore = true): string[] => planRestore(of, { ...SEEN, ...seen }, { liveRestore }).map(({ step }) => step);

test('what runs goes on, with live restore; without, it is stopped and its policy applies', () => {
  assert.deepEqual(steps(record('no'), {}), ['resume']);
  assert.deepEqual(steps(record('no'), {}, false), ['resume', 'stop']);
  assert.deepEqual(steps(record('always'), {}, false), ['resume', 'stop', 'start']);
  assert.deepEqual(steps(record('no', { autoRemove: true }), {}, false), ['resume', 'stop']);
  assert.deepEqual(steps(record('no'), { shim: 'gone' }), ['replace-shim']);
  assert.deepEqual(steps(record('always'), { shim: 'gone' }, false), ['replace-shim', 'stop', 'start']);
});

test('what has ended is collected; --rm removes, policies start', () => {
  const ended: Partial<Observed> = { shim: 'gone', init: 'gone', pid: 0, shimState: 'exited' };
  assert.deepEqual(steps(record('no'), ended), ['collect']);
  assert.deepEqual(steps(record('no', { autoRemove: true }), ended), ['collect', 'remove']);
  assert.deepEqual(steps(record('always', { desired: 'stopped' }), ended), ['collect', 'start']);
  assert.deepEqual(steps(record('unless-stopped', { desired: 'stopped' }), ended), ['collect']);
  assert.deepEqual(steps(record('on-failure', { tries: 3 }), { ...ended, exitCode: 1, restartCount: 2 }), ['collect', 'start']);
  assert.deepEqual(steps(record('on-failure', { tries: 3 }), { ...ended, exitCode: 1, restartCount: 3 }), ['collect']);
  assert.deepEqual(steps(record('no'), { ...ended, shim: 'answering' }), ['resume']);
  assert.deepEqual(steps(record('no'), { ...ended, shim: 'none' }), []);
});

test('a start that was cut short is taken back, and made again only by a policy', () => {
  for (const shim of ['answering', 'gone'] as const) {
    assert.deepEqual(steps(record('no'), { shim, shimState: 'created' }), ['abandon', 'collect']);
    assert.deepEqual(steps(record('always'), { shim, shimState: 'created' }), ['abandon', 'collect', 'start']);
  }
  assert.deepEqual(steps(record('no'), { shim: 'silent', init: 'gone', shimState: undefined }), ['abandon', 'collect']);
  assert.deepEqual(steps(record('no', { desired: 'creating' }), {}), ['discard']);
  assert.deepEqual(steps(record('no', { desired: 'removing' }), {}), ['remove']);
});

test('what is not understood is listed, with its pid, and never killed', () => {
  assert.deepEqual(steps(record('no'), { shim: 'silent' }), ['mark-broken', 'await-shim']);
  assert.deepEqual(steps(record('always'), { shim: 'foreign', problem: 'another major' }, false), ['mark-broken']);
  const [step] = planRestore(record('always'), { ...SEEN, shim: 'gone', init: 'unknown', shimState: undefined, problem: 'unreadable' }, { liveRestore: false });
  assert.deepEqual(step, { step: 'mark-broken', reason: 'unreadable', pid: 7 });
});
