import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLogger, logLevel } from './log.ts';

const clock = { nowNs: () => 1_763_900_000_000_000_001n, monotonicMs: () => 0 };

function capture(level: 'debug' | 'info' | 'warn', format: 'text' | 'json') {
  const lines: string[] = [];
  return { lines, logger: createLogger({ level, format }, { write: (line) => lines.push(line), clock }) };
}

test('text lines are logrus’s, and one message stays one line', () => {
  const { lines, logger } = capture('info', 'text');
  logger.debug('unseen');
  logger.info('a\nb', { z: 1, error: new Error('no "x"'), none: undefined, path: '/a/b' });
  logger.warn('plain');
  assert.deepEqual(lines, [
    'time="2025-11-23T12:13:20.000000001Z" level=info msg="a\\nb" error="no \\"x\\"" path=/a/b z=1\n',
    'time="2025-11-23T12:13:20.000000001Z" level=warning msg=plain\n',
  ]);
});

test('JSON lines, and a level that changes', () => {
  const { lines, logger } = capture('warn', 'json');
  logger.info('unseen');
  logger.configure({ level: 'debug', format: 'json' });
  logger.debug('seen', { msg: 'mine', big: 1763900000123456789n });
  assert.deepEqual(lines, ['{"level":"debug","msg":"seen","time":"2025-11-23T12:13:20.000000001Z","fields.msg":"mine","big":1763900000123456789}\n']);
});

test('levels', () => {
  assert.equal(logLevel({ debug: false, logLevel: 'WARNING' }), 'warn');
  assert.equal(logLevel({ debug: false, logLevel: 'error' }), 'error');
  assert.equal(logLevel({ debug: false, logLevel: 'panic' }), 'fatal');
  assert.equal(logLevel({ debug: true, logLevel: 'error' }), 'debug');
});
