/** What goes over the wire, literally, as dockerd's drivers write it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { unpack } from '../../../test/fixtures/logProtocols.ts';
import type { LogSubject } from '../../core/log/attributes.ts';
import type { LogMessage } from '../../core/ports/logTargets.ts';
import { encodeEvents, isAck } from './fluentd.ts';
import { chunks, encodeGelf, extraFields } from './gelf.ts';
import { encodeEntry, fieldName, fixedFields } from './journald.ts';
import { EventTime, pack } from './msgpack.ts';
import { encodeSyslog } from './syslog.ts';

process.env['TZ'] = 'Europe/Berlin';

const subject: LogSubject = {
  id: 'c'.repeat(64), name: 'web', imageId: `sha256:${'a'.repeat(64)}`, imageName: 'busybox:latest', hostname: 'host1', command: ['sh', '-c', 'true'],
  labels: { 'com.example/team': 'red', other: 'x' }, env: ['STAGE=prod', 'A=b=c', 'nothing'], createdNs: 1_700_000_000_500_000_000n,
};
/** 2026-07-04T05:06:07.891234567Z */
const timeNs = 1_783_141_567_891_234_567n;
const message = (more: Partial<LogMessage> = {}): LogMessage => ({ stream: 'stdout', timeNs, text: 'hello', ordinal: 7, partial: undefined, ...more });

test('syslog: the four formats', () => {
  const header = { facility: 3, hostname: 'host1', tag: 'web', pid: 42 };
  const encoded = (format: 'unix' | 'rfc3164' | 'rfc5424' | 'rfc5424micro', stream: LogMessage['stream'] = 'stdout'): string => encodeSyslog(message({ stream }), { ...header, format }).toString();
  assert.equal(encoded('unix'), '<30>Jul  4 07:06:07 web[42]: hello\n');
  assert.equal(encoded('rfc3164', 'stderr'), '<27>Jul  4 07:06:07 host1 web[42]: hello\n');
  assert.equal(encoded('rfc5424'), '<30>1 2026-07-04T07:06:07+02:00 host1 web 42 web - hello\n');
  assert.equal(encoded('rfc5424micro'), '<30>1 2026-07-04T07:06:07.891234+02:00 host1 web 42 web - hello\n');
});

test('journald: fields, values with newlines, parts of long lines', () => {
  const fixed = fixedFields({ tag: '{{.Name}}', labels: 'com.example/team', env: 'A' }, subject);
  const text = encodeEntry(message({ stream: 'stderr' }), fixed).toString();
  assert.deepEqual(text.split('\n'), [
    'MESSAGE=hello', 'PRIORITY=3', `CONTAINER_ID=${'c'.repeat(12)}`, `CONTAINER_ID_FULL=${'c'.repeat(64)}`, 'CONTAINER_NAME=web', 'CONTAINER_TAG=web', 'IMAGE_NAME=busybox:latest',
    'SYSLOG_IDENTIFIER=web', `CONTAINER_LOG_EPOCH=${'c'.repeat(64)}`, 'COM_EXAMPLE_TEAM=red', 'A=b=c', 'SYSLOG_TIMESTAMP=2026-07-04T05:06:07.891234567Z', 'CONTAINER_LOG_ORDINAL=7', '',
  ]);
  const part = encodeEntry(message({ text: 'a\nb', partial: { id: 'x', ordinal: 2, last: false } }), Buffer.alloc(0));
  assert.deepEqual(part.subarray(0, 20), Buffer.from('MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n'));
  assert.match(part.toString(), /CONTAINER_PARTIAL_ID=x\nCONTAINER_PARTIAL_ORDINAL=2\nCONTAINER_PARTIAL_LAST=false\nCONTAINER_PARTIAL_MESSAGE=true\n$/);
  assert.doesNotMatch(encodeEntry(message({ partial: { id: 'x', ordinal: 3, last: true } }), fixed).toString(), /CONTAINER_PARTIAL_MESSAGE/);
  assert.equal(fieldName('__a-b.ü9'), 'A_B__9');
});

test('gelf: a message, and chunks of one that is long', () => {
  const extra = extraFields({ 'env-regex': '^STAGE$' }, subject);
  assert.deepEqual(JSON.parse(encodeGelf(message({ stream: 'stderr', text: 'a<b' }), 'host1', extra).toString()), {
    version: '1.1', host: 'host1', short_message: 'a<b', timestamp: 1_783_141_567.891, level: 3,
    _container_id: 'c'.repeat(64), _container_name: 'web', _image_id: `sha256:${'a'.repeat(64)}`, _image_name: 'busybox:latest', _command: 'sh -c true', _tag: 'c'.repeat(12),
    _created: '2023-11-14T22:13:20.5Z', _STAGE: 'prod',
  });
  const id = Buffer.from('12345678');
  assert.equal(chunks(Buffer.alloc(1420), id).length, 1);
  const [first, second] = chunks(Buffer.alloc(1421, 'x'), id);
  assert.deepEqual(first?.subarray(0, 13), Buffer.from('\x1e\x0f12345678\0\x02x'));
  assert.equal(second?.length, 12 + 13);
  assert.equal(chunks(Buffer.alloc(128 * 1408), id).length, 128);
  assert.equal(chunks(Buffer.alloc(128 * 1408 + 1), id).length, 0);
});

test('fluentd: forward mode with times of either kind', () => {
  const record = { tag: 't', fixed: { container_id: 'c', container_name: '/web' }, extra: { STAGE: 'prod' }, subSecond: false };
  const read = (bytes: Buffer): unknown => unpack(bytes, 0)?.value;
  assert.deepEqual(read(encodeEvents([message(), message({ stream: 'stderr', text: 'no' })], record, 'chunk')), [
    't',
    [
      [1_783_141_567, { container_id: 'c', container_name: '/web', source: 'stdout', log: 'hello', STAGE: 'prod' }],
      [1_783_141_567, { container_id: 'c', container_name: '/web', source: 'stderr', log: 'no', STAGE: 'prod' }],
    ],
    { chunk: 'chunk' },
  ]);
  const precise = encodeEvents([message({ partial: { id: 'x', ordinal: 1, last: false } })], { ...record, subSecond: true }, undefined);
  assert.deepEqual(precise.subarray(0, 15).toString('hex'), `92a1749192d700${(1_783_141_567).toString(16)}${(891_234_567).toString(16)}`);
  assert.match(JSON.stringify(read(precise)), /"partial_message":"true","partial_id":"x","partial_ordinal":"1","partial_last":"false"/);
  assert.equal(encodeEvents([], record, undefined).length, 0);
});

test('fluentd: an acknowledgement, and what is none', () => {
  const ack = Buffer.concat([Buffer.from([0x81, 0xa3]), Buffer.from('ack'), Buffer.from([0xa3]), Buffer.from('abc')]);
  assert.equal(isAck(ack, 'abc'), true);
  assert.equal(isAck(ack.subarray(0, 6), 'abc'), false);
  assert.equal(isAck(Buffer.alloc(0), 'abc'), false);
  assert.equal(isAck(ack, 'other'), false);
  assert.throws(() => isAck(Buffer.from('HTTP/1.1 400'), 'abc'), { name: 'DeliveryError' });
  assert.throws(() => isAck(Buffer.alloc(2000, 0x81), 'abc'), { name: 'DeliveryError' });
});

test('MessagePack is read back as it was, in the shortest form', () => {
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 3 }, fc.string({ maxLength: 300 }), fc.nat(), fc.maxSafeNat(), tie('list'), tie('map')),
    list: fc.array(tie('any'), { maxLength: 20 }),
    map: fc.dictionary(fc.string({ maxLength: 40 }).filter((key) => key !== '__proto__'), tie('any'), { maxKeys: 20 }),
  })).any;
  fc.assert(fc.property(value, (given) => {
    const bytes = pack(given as Parameters<typeof pack>[0]);
    assert.deepEqual(JSON.stringify(unpack(bytes, 0)?.value), JSON.stringify(given));
    assert.equal(unpack(bytes, 0)?.end, bytes.length);
    assert.equal(unpack(bytes.subarray(0, -1), 0), undefined);
  }));
  assert.equal(pack('x'.repeat(70_000)).length, 70_005);
  assert.equal(pack(Array.from({ length: 70_000 }, () => 1)).length, 70_005);
  assert.deepEqual(pack(new EventTime(5_000_000_006n)), Buffer.from('d70000000005' + '00000006', 'hex'));
});
