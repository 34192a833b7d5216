import assert from 'node:assert/strict';
import { mkdirSync, openSync } from 'node:fs';
import { test } from 'node:test';
import { systemErrorMessage } from './systemError.ts';

const thrownBy = (work: () => unknown): unknown => {
  try {
    return work();
  } catch (error) {
    return error;
  }
};

test('system errors in Go’s words', () => {
  assert.equal(systemErrorMessage(thrownBy(() => openSync('/no/such', 'r'))), 'open /no/such: no such file or directory');
  assert.equal(systemErrorMessage(thrownBy(() => mkdirSync(Buffer.from('/proc')))), 'mkdir /proc: file exists');
  assert.equal(systemErrorMessage(Object.assign(new Error('x'), { code: 'ENOSPC', syscall: 'write' })), 'write: no space left on device');
});

test('others as they are', () => {
  assert.equal(systemErrorMessage(new Error('plain')), 'plain');
  assert.equal(systemErrorMessage(Object.assign(new Error('odd'), { code: 'ERR_ODD', syscall: 'x' })), 'odd');
  assert.equal(systemErrorMessage('text'), 'text');
});
