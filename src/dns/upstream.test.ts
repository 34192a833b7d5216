import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { RCODE } from './message.ts';
import { firstGood } from './upstream.ts';
import type { Reply } from './upstream.ts';

type Behaviour = { after: number; rcode: number } | { after: number; fails: true } | 'silent';
const reply = (rcode: number): Reply => ({ message: Buffer.from([rcode]), rcode });

async function play(servers: readonly Behaviour[], patience = { stepMs: 40, totalMs: 400 }): Promise<{ rcode: number | undefined; asked: number; aborted: boolean; ms: number }> {
  let asked = 0;
  const signals: AbortSignal[] = [];
  const begun = performance.now();
  const got = await firstGood(servers, async (server, signal) => {
    asked += 1;
    signals.push(signal);
    if (server === 'silent') return new Promise<Reply>(() => {});
    await sleep(server.after);
    if ('fails' in server) throw new Error('unreachable');
    return reply(server.rcode);
  }, patience);
  return { rcode: got?.rcode, asked, aborted: signals.every(({ aborted }) => aborted), ms: performance.now() - begun };
}

const { ok, noSuchName, failure, refused } = RCODE;

test('the first server answers: nobody else is asked, and what is open is let go', async () => {
  const played = await play([{ after: 1, rcode: ok }, 'silent']);
  assert.deepEqual([played.rcode, played.asked, played.aborted], [ok, 1, true]);
});

test('that there is no such name is an answer', async () => {
  assert.deepEqual((await play([{ after: 1, rcode: noSuchName }, { after: 1, rcode: ok }])).rcode, noSuchName);
});

test('one that refuses or cannot be reached costs no waiting', async () => {
  const played = await play([{ after: 1, rcode: refused }, { after: 1, fails: true }, { after: 1, rcode: ok }], { stepMs: 10_000, totalMs: 20_000 });
  assert.deepEqual([played.rcode, played.asked], [ok, 3]);
  assert.ok(played.ms < 5000);
});

test('a silent one costs a step; a slow one is still heard', async () => {
  assert.deepEqual((await play(['silent', { after: 1, rcode: ok }])).asked, 2);
  const slow = await play([{ after: 100, rcode: ok }, 'silent', { after: 1, fails: true }]);
  assert.deepEqual([slow.rcode, slow.asked], [ok, 3]);
});

test('with only poor answers the first of them, without any nothing, in bounded time', async () => {
  assert.equal((await play([{ after: 1, rcode: failure }, { after: 1, rcode: refused }])).rcode, failure);
  assert.equal((await play([{ after: 1, rcode: failure }, 'silent'])).rcode, failure);
  const none = await play(['silent', 'silent', 'silent']);
  assert.deepEqual([none.rcode, none.aborted], [undefined, true]);
  assert.ok(none.ms < 2000);
  assert.equal((await play([])).rcode, undefined);
});
