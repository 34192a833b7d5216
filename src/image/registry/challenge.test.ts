import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseChallenges } from './challenge.ts';

const read = (header: string) => parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

test('reads one, two, quoted and bare', () => {
  assert.deepEqual(read('Bearer realm="https://a/token",service="x y",scope="repository:a:pull,push"'), [['bearer', { realm: 'https://a/token', service: 'x y', scope: 'repository:a:pull,push' }]]);
  assert.deepEqual(read('Basic realm="a \\"b\\"", Bearer realm=c'), [['basic', { realm: 'a "b"' }], ['bearer', { realm: 'c' }]]);
  assert.deepEqual(read('Negotiate, BASIC Realm=x'), [['negotiate', {}], ['basic', { realm: 'x' }]]);
  assert.deepEqual(read(''), []);
});

test('any header is read at once', { timeout: 5000 }, () => {
  fc.assert(fc.property(fc.string({ maxLength: 2000, unit: fc.constantFrom(...'Bearer="\\, \t'.split('')) }), (header) => void parseChallenges(header)));
  assert.deepEqual(parseChallenges('a '.repeat(100_000)), []);
});
