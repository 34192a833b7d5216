import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiVersion, negotiate } from './version.ts';

test('versions compare by number, not by text', () => {
  assert.ok(new ApiVersion('1.100').atLeast('1.51'));
  assert.ok(new ApiVersion('1.9').below('1.24'));
  assert.ok(new ApiVersion('1.42').atLeast('1.42'));
  assert.ok(new ApiVersion('2').atLeast('1.99'));
});

test('the range is kept, in Docker’s words', () => {
  assert.equal(negotiate(undefined).text, '1.51');
  assert.equal(negotiate('1.24').text, '1.24');
  assert.throws(() => negotiate('1.99'), { message: 'client version 1.99 is too new. Maximum supported API version is 1.51' });
  assert.throws(() => negotiate('1.20'), {
    message: 'client version 1.20 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version',
  });
});
