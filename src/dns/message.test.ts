import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { encodeName, encodeReply, RCODE, receive, replyCode, replyLimit, TYPE, withId } from './message.ts';
import type { Query } from './message.ts';
import { queryMessage, questionOf, readReply } from './query.fixture.ts';

function queryOf(message: Buffer): Query {
  const received = receive(message);
  if (received.kind !== 'query') throw new Error(`not a query: ${received.kind}`);
  return received.query;
}
const record = (last: number) => ({ type: TYPE.A, ttl: 600, data: Buffer.from([10, 0, 0, last]) });

test('a question is read in any spelling, and comes back as it was spelled', () => {
  const query = queryOf(queryMessage('WeB.Bay', TYPE.A, { id: 77 }));
  assert.deepEqual([query.id, query.question], [77, { name: 'web.bay', type: TYPE.A, class: 1 }]);
  const reply = encodeReply(query, { rcode: RCODE.ok, answers: [record(2)] }, 512);
  assert.ok(reply.includes('WeB'));
  assert.deepEqual(readReply(reply).answers, ['10.0.0.2']);
  assert.equal(reply.readUInt16BE(2), 0x8180, 'an answer, recursion wanted and available');
});

test('a dot within a label is no border', () => {
  const message = Buffer.concat([queryMessage('x', 1).subarray(0, 12), Buffer.from([3]), Buffer.from('a.b'), Buffer.from([0, 0, 1, 0, 1])]);
  assert.equal(queryOf(message).question.name, 'a\\.b');
});

test('what is no query gets no answer, what is a bad one is told so', () => {
  const good = queryMessage('web', TYPE.A);
  assert.equal(receive(Buffer.alloc(11)).kind, 'ignore');
  const answer = Buffer.from(good);
  answer.writeUInt16BE(0x8180, 2);
  assert.equal(receive(answer).kind, 'ignore');
  const code = (message: Buffer): number => {
    const received = receive(message);
    assert.equal(received.kind, 'reject');
    assert.equal(received.reply.readUInt16BE(0), message.readUInt16BE(0));
    return received.reply.readUInt16BE(2) & 15;
  };
  const changed = (at: number, value: number): Buffer => {
    const message = Buffer.from(good);
    message.writeUInt16BE(value, at);
    return message;
  };
  assert.equal(code(changed(2, 0x2900)), RCODE.notImplemented, 'an update');
  assert.equal(code(changed(4, 2)), RCODE.malformed, 'two questions');
  assert.equal(code(changed(12, 0xc00c)), RCODE.malformed, 'a name that points to itself');
  assert.equal(code(changed(10, 0xffff)), RCODE.malformed, 'records that are not there');
  assert.equal(code(good.subarray(0, 15)), RCODE.malformed, 'a torn name');
  const long = Buffer.concat([good.subarray(0, 12), ...Array.from({ length: 5 }, () => Buffer.concat([Buffer.from([63]), Buffer.alloc(63, 'a')])), Buffer.from([0, 0, 1, 0, 1])]);
  assert.equal(code(long), RCODE.malformed, 'a name of more than 255 bytes');
});

test('a reply fits: 512 bytes, what EDNS says, or a frame; what is left out is said', () => {
  const answers = Array.from({ length: 100 }, (_, index) => record(index));
  const limits: [Query, 'udp' | 'tcp', number][] = [
    [queryOf(queryMessage('web', TYPE.A)), 'udp', 512],
    [queryOf(queryMessage('web', TYPE.A, { size: 100 })), 'udp', 512],
    [queryOf(queryMessage('web', TYPE.A, { size: 1232 })), 'udp', 1232],
    [queryOf(queryMessage('web', TYPE.A, { size: 65_535 })), 'udp', 4096],
    [queryOf(queryMessage('web', TYPE.A)), 'tcp', 65_535],
  ];
  for (const [query, transport, limit] of limits) {
    assert.equal(replyLimit(query, transport), limit);
    const reply = encodeReply(query, { rcode: RCODE.ok, answers }, limit);
    assert.ok(reply.length <= limit);
    const { truncated, answers: got } = readReply(reply);
    assert.equal(truncated, got.length < 100);
    assert.equal(truncated, limit < 1700);
  }
});

test('EDNS is answered with EDNS, and an unknown version refused', () => {
  const query = queryOf(queryMessage('web', TYPE.A, { size: 1232, version: 3 }));
  assert.deepEqual(query.edns, { size: 1232, version: 3 });
  const reply = encodeReply(query, { rcode: RCODE.badVersion, answers: [] }, 512);
  assert.equal(reply.readUInt16BE(10), 1);
  assert.deepEqual([...reply.subarray(-11)], [0, 0, TYPE.OPT, 16, 0, 1, 0, 0, 0, 0, 0]);
  assert.equal(reply.readUInt16BE(2) & 15, 0);
});

test('an answer of somebody else is none', () => {
  const question = questionOf('web', TYPE.A);
  const answer = withId(queryMessage('WEB', TYPE.A), 9);
  answer.writeUInt16BE(0x8183, 2);
  assert.equal(replyCode(answer, 9, question), RCODE.noSuchName);
  assert.equal(replyCode(answer, 8, question), undefined);
  assert.equal(replyCode(answer, 9, questionOf('wab', TYPE.A)), undefined);
  assert.equal(replyCode(answer, 9, questionOf('web', TYPE.AAAA)), undefined);
  assert.equal(replyCode(queryMessage('web', TYPE.A, { id: 9 }), 9, question), undefined, 'a query is no answer');
  const bare = Buffer.concat([answer.subarray(0, 4), Buffer.alloc(8)]);
  assert.equal(replyCode(bare, 9, question), undefined, 'no such name, of no name');
  bare.writeUInt16BE(0x8185, 2);
  assert.equal(replyCode(bare, 9, question), RCODE.refused);
});

test('names that are none', () => {
  for (const name of ['', '.', 'a..b', `${'a'.repeat(64)}`, `${'a.'.repeat(200)}a`]) assert.equal(encodeName(name), undefined, name);
  assert.deepEqual([...(encodeName('a.bc') ?? [])], [1, 97, 2, 98, 99, 0]);
});

test('no bytes whatever throw, hang or are answered with more than was allowed', () => {
  const start = queryMessage('web.bay', TYPE.A, { size: 1232 });
  const mutated = fc.tuple(fc.nat(start.length - 1), fc.uint8Array({ maxLength: 40 })).map(([at, bytes]) => Buffer.concat([start.subarray(0, at), bytes, start.subarray(at + bytes.length)]));
  const anything = fc.uint8Array({ maxLength: 600 }).map((bytes) => Buffer.from(bytes));
  fc.assert(fc.property(fc.oneof(mutated, anything), (message) => {
    const received = receive(message);
    if (received.kind === 'query') assert.ok(encodeReply(received.query, { rcode: RCODE.ok, answers: [record(1)] }, 512).length <= 512);
    replyCode(message, message.length >= 2 ? message.readUInt16BE(0) : 0, questionOf('web.bay', TYPE.A));
  }), { numRuns: 3000 });
});
