import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PortBook, ephemeralRange, expandPortKey, hostPort, parsePortKey, parsePortRange, portRequests } from './ports.ts';
import type { PortRequest } from './ports.ts';

const request = (more: Partial<PortRequest> = {}): PortRequest => ({ proto: 'tcp', containerPort: 80, hostIp: '', firstHostPort: 0, lastHostPort: 0, ...more });
const ANY = ['0.0.0.0', '::'];

test('ports and ranges are read', () => {
  assert.deepEqual(parsePortKey('80'), { proto: 'tcp', port: 80 });
  assert.deepEqual(parsePortKey('53/udp'), { proto: 'udp', port: 53 });
  assert.deepEqual(expandPortKey('1-3/SCTP').map(({ proto, port }) => `${port}/${proto}`), ['1/sctp', '2/sctp', '3/sctp']);
  assert.deepEqual([parsePortRange(''), parsePortRange('0'), parsePortRange('80'), parsePortRange('80-90')], [[0, 0], [0, 0], [80, 80], [80, 90]]);
  for (const text of ['x', '0-5', '90-80', '65536', '-1', '80-', '1e3', '80/tcp']) assert.throws(() => parsePortRange(text), /invalid port specification/, text);
  for (const text of ['', '0', '80/icmp', '80/tcp/udp', '1-2']) assert.throws(() => parsePortKey(text), text);
  assert.deepEqual([ephemeralRange('32768\t60999'), ephemeralRange('nonsense'), ephemeralRange(undefined)], [[32768, 60999], [49153, 65535], [49153, 65535]]);
  assert.deepEqual([hostPort('1.2.3.4', 5), hostPort('::1', 5)], ['1.2.3.4:5', '[::1]:5']);
});

test('fixed ports come before ranges, ranges before ephemeral ones', () => {
  const requests = portRequests({
    bindings: { '80/tcp': [{ hostIp: '', hostPort: '' }], '81/tcp': [{ hostIp: '', hostPort: '8000-8010' }, { hostIp: '127.0.0.1', hostPort: '8005' }] },
    exposed: ['80/tcp', '90-91/udp'],
    publishAll: true,
  });
  assert.deepEqual(requests.map((each) => `${each.containerPort}/${each.proto} ${each.hostIp} ${each.firstHostPort}-${each.lastHostPort}`), [
    '81/tcp 127.0.0.1 8005-8005', '81/tcp  8000-8010', '80/tcp  0-0', '90/udp  0-0', '91/udp  0-0',
  ]);
  assert.throws(() => portRequests({ bindings: { '80/tcp': [{ hostIp: 'nonsense', hostPort: '80' }] }, exposed: [], publishAll: false }), /invalid IP address: nonsense/);
});

test('two containers never get the same port of the same address', () => {
  const addresses = fc.constantFrom(ANY, ['0.0.0.0'], ['::'], ['127.0.0.1'], ['192.0.2.1'], ['::1']);
  const wanted = fc.record({ proto: fc.constantFrom('tcp' as const, 'udp' as const), first: fc.integer({ min: 0, max: 6 }), more: fc.integer({ min: 0, max: 3 }), on: addresses });
  const conflicting = (a: string, b: string): boolean => a.includes(':') === b.includes(':') && (a === b || ANY.includes(a) || ANY.includes(b));
  fc.assert(fc.property(fc.array(wanted, { maxLength: 30 }), (wishes) => {
    const book = new PortBook();
    const held: { proto: string; address: string; port: number }[] = [];
    for (const { proto, first, more, on } of wishes) {
      const [port] = book.candidates(request({ proto, firstHostPort: first, lastHostPort: first === 0 ? 0 : first + more }), on, [10, 20]);
      if (port === undefined) continue;
      for (const address of on) {
        assert.ok(!held.some((other) => other.proto === proto && other.port === port && conflicting(other.address, address)));
        held.push({ proto, address, port });
        book.hold({ proto, address, port });
      }
    }
  }));
});

test('ephemeral ports go on, and come round', () => {
  const book = new PortBook();
  const next = (): number | undefined => book.candidates(request(), ANY, [100, 102]).next().value ?? undefined;
  assert.deepEqual([next(), next(), next(), next()], [100, 101, 102, 100]);
  book.hold({ proto: 'tcp', address: '0.0.0.0', port: 101 });
  book.hold({ proto: 'tcp', address: '::', port: 102 });
  assert.deepEqual([next(), next()], [100, 100]);
  book.release({ proto: 'tcp', address: '0.0.0.0', port: 101 });
  assert.deepEqual([next()], [101]);
});

test('a refusal names the address and the port', () => {
  const book = new PortBook();
  book.hold({ proto: 'tcp', address: '::', port: 80 });
  assert.equal(book.exhausted(request({ firstHostPort: 80, lastHostPort: 80 }), ANY).message, 'Bind for [::]:80 failed: port is already allocated');
  assert.equal(book.exhausted(request({ firstHostPort: 80, lastHostPort: 81 }), ANY).message, 'all ports are allocated');
});
