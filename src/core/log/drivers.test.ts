import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkDefaultLogConfig, checkLogConfig, LOG_DRIVERS, logDriverKind } from './drivers.ts';
import { fluentdOptions } from './fluentdOptions.ts';
import { gelfOptions } from './gelfOptions.ts';
import { isReadable, logFileOptions } from './fileOptions.ts';
import { syslogOptions } from './syslogOptions.ts';

test('what is refused, and in which words', () => {
  const cases: [driver: string, config: Record<string, string>, message: RegExp | string][] = [
    ['splunk', {}, "logger: no log driver named 'splunk' is registered"],
    ['constructor', {}, "logger: no log driver named 'constructor' is registered"],
    ['json-file', { 'max-sice': '1' }, "unknown log opt 'max-sice' for json-file log driver"],
    ['local', { 'syslog-address': 'x' }, "unknown log opt 'syslog-address' for log driver local"],
    ['journald', { 'max-size': '1' }, "unknown log opt 'max-size' for journald log driver"],
    ['json-file', { mode: 'maybe' }, 'logger: logging mode not supported: maybe'],
    ['syslog', { 'max-buffer-size': '1m' }, "logger: max-buffer-size option is only supported with 'mode=non-blocking'"],
    ['json-file', { 'max-size': '10x' }, "invalid value for max-size: invalid size: '10x'"],
    ['json-file', { 'max-file': '2' }, 'max-file cannot be set without max-size'],
    ['json-file', { compress: 'maybe' }, 'invalid value for compress: strconv.ParseBool: parsing "maybe": invalid syntax'],
    ['local', { 'max-size': '-1' }, 'max-size should be a positive number'],
    ['local', { 'max-file': '0' }, 'max-file cannot be less than 1'],
    ['local', { 'max-file': '1', compress: 'true' }, 'compress cannot be true when max-file is less than 2'],
    ['gelf', { 'gelf-address': 'udp://h:1', 'cache-max-size': 'x' }, "invalid value for cache-max-size: invalid size: 'x'"],
    ['syslog', { 'cache-disabled': 'maybe' }, 'invalid value for option cache-disabled: maybe'],
    ['syslog', { 'syslog-address': 'http://h' }, "unsupported scheme: 'http'"],
    ['syslog', { 'syslog-address': 'tcp://h:99999' }, 'address h:99999: invalid port'],
    ['syslog', { 'syslog-facility': 'nobody' }, 'invalid syslog facility'],
    ['syslog', { 'syslog-facility': '24' }, 'invalid syslog facility'],
    ['syslog', { 'syslog-format': 'rfc1' }, 'Invalid syslog format'],
    ['syslog', { tag: '{{.Nothing}}' }, /^log tag: \{\{.Nothing\}\} is not supported/],
    ['syslog', { 'env-regex': '(' }, /^error parsing regexp: /],
    ['fluentd', { 'fluentd-address': 'udp://h' }, "invalid fluentd-address (udp://h): unsupported scheme: 'udp'"],
    ['fluentd', { 'fluentd-address': 'tcp://h/path' }, 'invalid fluentd-address (tcp://h/path): should not contain a path element'],
    ['fluentd', { 'fluentd-address': 'unix://' }, 'invalid fluentd-address (unix://): path is empty'],
    ['fluentd', { 'fluentd-retry-wait': 'soon' }, 'time: invalid duration "soon"'],
    ['fluentd', { 'fluentd-async': 'true', 'fluentd-async-connect': 'true' }, "conflicting options: cannot specify both 'fluentd-async' and 'fluentd-async-connect'"],
    ['fluentd', { 'fluentd-async-reconnect-interval': '1m' }, 'invalid value for fluentd-async-reconnect-interval: value ("1m") must be between 100ms and 10s'],
    ['fluentd', { 'fluentd-max-retries': '-1' }, 'strconv.ParseUint: parsing "-1": invalid syntax'],
    ['gelf', {}, 'gelf-address is a required parameter'],
    ['gelf', { 'gelf-address': 'http://h:1' }, 'gelf: endpoint needs to be TCP or UDP'],
    ['gelf', { 'gelf-address': 'udp://h' }, 'gelf: please provide gelf-address as proto://host:port'],
    ['gelf', { 'gelf-address': 'tcp://h:1', 'gelf-compression-type': 'gzip' }, 'compression is only supported on UDP'],
    ['gelf', { 'gelf-address': 'udp://h:1', 'gelf-compression-type': 'lzma' }, 'unknown value "lzma" for log opt "gelf-compression-type" for gelf log driver'],
    ['gelf', { 'gelf-address': 'udp://h:1', 'gelf-compression-level': '10' }, 'unknown value "10" for log opt "gelf-compression-level" for gelf log driver'],
    ['gelf', { 'gelf-address': 'udp://h:1', 'gelf-tcp-max-reconnect': '1' }, '"gelf-tcp-max-reconnect" is only valid for TCP'],
    ['gelf', { 'gelf-address': 'tcp://h:1', 'gelf-tcp-reconnect-delay': '-1' }, '"gelf-tcp-reconnect-delay" must be a positive integer'],
    ['gelf', { 'gelf-address': 'tcp://h:1', 'gelf-port': '1' }, 'unknown log opt "gelf-port" for gelf log driver'],
  ];
  for (const [driver, config, message] of cases) assert.throws(() => checkLogConfig(driver, config), { kind: 'invalid', message });
});

test('what is taken', () => {
  checkLogConfig('none', { whatever: 'x' });
  checkLogConfig('local', { 'max-file': '1' });
  checkLogConfig('syslog', { mode: 'non-blocking', 'max-buffer-size': '4m', 'cache-max-size': '1m', tag: '{{.Name}}', labels: 'a,b' });
  checkLogConfig('fluentd', { 'fluentd-buffer-limit': '8MB', 'fluentd-max-retries': '3', 'fluentd-write-timeout': '3s', 'fluentd-async': '1' });
  assert.deepEqual(LOG_DRIVERS, ['fluentd', 'gelf', 'journald', 'json-file', 'local', 'syslog']);
  assert.deepEqual(['none', 'json-file', 'local', 'gelf'].map(logDriverKind), ['none', 'file', 'file', 'target']);
});

test('the daemon’s defaults', () => {
  assert.throws(() => checkDefaultLogConfig('syslog', { 'syslog-format': 'x' }), { kind: 'invalid', message: 'failed to set log opts: Invalid syslog format' });
  checkDefaultLogConfig('gelf', {});
  checkDefaultLogConfig('some-plugin', { a: 'b' });
});

test('the file, by driver', () => {
  const sizes = (driver: string, config: Record<string, string> = {}): unknown[] => {
    const { maxSize, maxFile, compress } = logFileOptions(driver, config);
    return [maxSize, maxFile, compress];
  };
  assert.deepEqual(sizes('json-file'), [0, 1, false]);
  assert.deepEqual(sizes('json-file', { 'max-size': '10m', 'max-file': '3', compress: 'true' }), [10_000_000, 3, true]);
  assert.deepEqual(sizes('json-file', { 'max-size': '-1' }), [0, 1, false]);
  assert.deepEqual(sizes('local'), [20_971_520, 5, true]);
  assert.deepEqual(sizes('local', { 'max-size': '10m', 'max-file': '1' }), [10_485_760, 1, false]);
  assert.deepEqual(sizes('gelf'), [20_971_520, 5, true]);
  assert.deepEqual(sizes('gelf', { 'cache-max-size': '1k', 'cache-max-file': '1', 'cache-compress': 'false' }), [1024, 2, false]);
  assert.deepEqual([isReadable('none', {}), isReadable('json-file', {}), isReadable('gelf', {}), isReadable('gelf', { 'cache-disabled': 'true' })], [false, true, true, false]);
});

test('addresses', () => {
  const syslog = (address: string): unknown => syslogOptions({ 'syslog-address': address }).address;
  assert.deepEqual(syslog(''), { kind: 'local' });
  assert.deepEqual(syslog('udp://logs'), { kind: 'udp', host: 'logs', port: 514 });
  assert.deepEqual(syslog('tcp+tls://[::1]:6514'), { kind: 'tls', host: '::1', port: 6514 });
  assert.deepEqual(syslog('unixgram:///dev/log'), { kind: 'unixgram', path: '/dev/log' });
  assert.equal(syslogOptions({ 'syslog-facility': 'local7' }).facility, 23);
  assert.equal(syslogOptions({ 'syslog-facility': '5' }).facility, 5);
  assert.equal(syslogOptions({}).facility, 3);
  const fluentd = (address: string): unknown => fluentdOptions({ 'fluentd-address': address }).address;
  assert.deepEqual(fluentd(''), { kind: 'tcp', host: '127.0.0.1', port: 24_224 });
  assert.deepEqual(fluentd('logs:1'), { kind: 'tcp', host: 'logs', port: 1 });
  assert.deepEqual(fluentd('tls://logs'), { kind: 'tls', host: 'logs', port: 24_224 });
  assert.deepEqual(fluentd('unix:///run/f.sock'), { kind: 'unix', path: '/run/f.sock' });
  assert.equal(fluentdOptions({ 'fluentd-retry-wait': '1.5s' }).retryWaitMs, 1500);
  assert.deepEqual(gelfOptions({ 'gelf-address': 'udp://h:12201' }), { kind: 'udp', host: 'h', port: 12_201, compression: 'gzip', level: 1, reconnectDelayMs: undefined });
  assert.equal(gelfOptions({ 'gelf-address': 'tcp://h:1', 'gelf-tcp-reconnect-delay': '2' }).reconnectDelayMs, 2000);
});
