/** Log drivers with a target: syslog, fluentd, gelf. The shim's file is the spool, and nothing of it is lost (B16). */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';
import { Receiver } from '../fixtures/receiver.ts';
import type { Received } from '../fixtures/receiver.ts';

const daemon = useDaemon({ config: { 'live-restore': true } });

const HOST = '127.0.0.1';
const options = (given: Readonly<Record<string, string>>): string[] => Object.entries(given).flatMap(([name, value]) => ['--log-opt', `${name}=${value}`]);

/** A container that writes what it is told to through `say`. */
async function speaker(name: string, driver: string, given: Readonly<Record<string, string>>): Promise<void> {
  await daemon.ok('run', '-d', '--name', name, '--log-driver', driver, ...options(given), 'busybox', 'sh', '-c', 'mkfifo /fifo; while :; do while read -r line; do echo "$line"; done < /fifo; done');
  await eventually(async () => (await daemon.docker(['exec', name, 'test', '-p', '/fifo'])).code === 0, 'the fifo');
}

const say = (name: string, from: number, to: number): Promise<string> => daemon.ok('exec', name, 'sh', '-c', `for i in $(seq ${from} ${to}); do echo "n $i."; done > /fifo`);

const numbers = (received: readonly Received[]): number[] => received.map(({ text, record }) => Number(/n (\d+)\./.exec(record?.['log'] ?? text ?? '')?.[1]));
const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index + 1);

interface Case {
  readonly protocol: string;
  readonly driver: string;
  readonly port: number;
  readonly options: Readonly<Record<string, string>>;
}

const CASES: readonly Case[] = [
  { protocol: 'syslog-tcp', driver: 'syslog', port: 7001, options: { 'syslog-address': `tcp://${HOST}:7001`, 'syslog-format': 'rfc5424micro' } },
  { protocol: 'syslog-udp', driver: 'syslog', port: 7002, options: { 'syslog-address': `udp://${HOST}:7002` } },
  { protocol: 'gelf-tcp', driver: 'gelf', port: 7003, options: { 'gelf-address': `tcp://${HOST}:7003`, 'gelf-tcp-reconnect-delay': '1' } },
  { protocol: 'gelf-udp', driver: 'gelf', port: 7004, options: { 'gelf-address': `udp://${HOST}:7004` } },
  { protocol: 'fluentd', driver: 'fluentd', port: 7005, options: { 'fluentd-address': `${HOST}:7005`, 'fluentd-retry-wait': '200ms' } },
  { protocol: 'fluentd-ack', driver: 'fluentd', port: 7006, options: { 'fluentd-address': `tcp://${HOST}:7006`, 'fluentd-request-ack': 'true', 'fluentd-retry-wait': '200ms' } },
];

for (const { protocol, driver, port, options: given } of CASES) {
  test(`B16 ${protocol}: an absent target gets what it missed, once and in order, across kill -9`, async () => {
    const name = protocol;
    // Not there at the start: the container runs all the same.
    await speaker(name, driver, given);
    await say(name, 1, 100);
    await eventually(() => daemon.log().includes('cannot be reached'), 'the warning');
    using first = await Receiver.start(daemon, protocol, HOST, { port });
    await first.until(100);
    await say(name, 101, 200);
    await first.until(200);
    await first.stop();
    assert.deepEqual(numbers(first.all), upTo(200));
    // Away, while the daemon is killed and the container writes on.
    await daemon.kill9();
    await daemon.start();
    await say(name, 201, 300);
    await daemon.crash();
    await say(name, 301, 400);
    using second = await Receiver.start(daemon, protocol, HOST, { port });
    await second.until(200);
    assert.deepEqual(numbers(second.all), upTo(400).slice(200));
    assert.equal(lines(await daemon.ok('logs', name)).length, 400);
    await daemon.ok('rm', '-f', name);
  });
}

test('B16: killed again and again while it delivers: nothing is lost, the order is kept, and what comes twice is one chunk each time', async () => {
  using receiver = await Receiver.start(daemon, 'fluentd-ack', HOST, { port: 7009 });
  await daemon.ok('run', '-d', '--name', 'steady', '--log-driver', 'fluentd', ...options({ 'fluentd-address': `${HOST}:7009`, 'fluentd-request-ack': 'true' }),
    'busybox', 'sh', '-c', 'i=0; while [ $i -lt 9000 ]; do i=$((i+1)); echo "n $i."; [ $((i % 300)) -ne 0 ] || usleep 50000; done; sleep 600');
  const crashes = 3;
  for (let i = 0; i < crashes; i += 1) {
    const before = receiver.all.length;
    await receiver.until(before + 300, 30_000);
    await daemon.crash();
  }
  await eventually(() => numbers(receiver.all).includes(9000), 'the last message', 60_000);
  // Each run of the daemon goes on at or before the place at which the last one was killed.
  const found = numbers(receiver.all);
  const back = found.flatMap((n, index) => (index > 0 && n !== (found[index - 1] ?? 0) + 1 ? [(found[index - 1] ?? 0) + 1 - n] : []));
  assert.ok(back.length <= crashes && back.every((count) => count > 0 && count < 1000), JSON.stringify(back));
  assert.deepEqual([...new Set(found)], upTo(9000));
  await daemon.ok('rm', '-f', 'steady');
});

test('what a message says: tag, labels, variables, stream; docker logs reads it too', async () => {
  using receiver = await Receiver.start(daemon, 'fluentd', HOST, { port: 7010 });
  await daemon.ok('run', '--name', 'said', '--label', 'team=red', '-e', 'STAGE=prod', '--log-driver', 'fluentd', ...options({
    'fluentd-address': `${HOST}:7010`, tag: 'app.{{.Name}}', labels: 'team', 'env-regex': '^STA', 'fluentd-sub-second-precision': 'true',
  }), 'busybox', 'sh', '-c', 'echo out; sleep 0.2; echo err >&2');
  const [out, err] = await receiver.until(2);
  const id = await daemon.ok('inspect', '-f', '{{.Id}}', 'said');
  assert.deepEqual(out?.record, { container_id: id, container_name: '/said', source: 'stdout', log: 'out', team: 'red', STAGE: 'prod' });
  assert.deepEqual([out?.tag, err?.record?.['source'], err?.record?.['log']], ['app.said', 'stderr', 'err']);
  assert.ok((err?.time ?? 0) - (out?.time ?? 0) > 0.1, 'the times are those of writing');
  assert.deepEqual(await daemon.docker(['logs', 'said']), { code: 0, stdout: 'out\n', stderr: 'err\n' });
  await daemon.ok('rm', 'said');
});

test('lines longer than 16 KiB come in parts that belong together', async () => {
  using receiver = await Receiver.start(daemon, 'fluentd-ack', HOST, { port: 7011 });
  await daemon.ok('run', '--rm', '--log-driver', 'fluentd', ...options({ 'fluentd-address': `${HOST}:7011`, 'fluentd-request-ack': 'true' }), 'busybox', 'sh', '-c', `head -c 40000 /dev/zero | tr '\\0' x; echo; echo short`);
  const records = (await receiver.until(4)).map(({ record }) => record ?? {});
  assert.equal(records.slice(0, 3).map((record) => record['log']).join(''), 'x'.repeat(40_000));
  assert.deepEqual(records.map((record) => record['partial_ordinal']), ['1', '2', '3', undefined]);
  assert.deepEqual(records.map((record) => record['partial_last']), ['false', 'false', 'true', undefined]);
  assert.equal(new Set(records.slice(0, 3).map((record) => record['partial_id'])).size, 1);
});

test('--rm: the last words are delivered before the container is gone', async () => {
  using receiver = await Receiver.start(daemon, 'syslog-tcp', HOST, { port: 7012 });
  for (let i = 1; i <= 5; i += 1) await daemon.ok('run', '--rm', '--log-driver', 'syslog', ...options({ 'syslog-address': `tcp://${HOST}:7012` }), 'busybox', 'echo', `n ${i}.`);
  assert.deepEqual(numbers(await receiver.until(5)), upTo(5));
});

test('syslog over TLS and unix sockets', async () => {
  const tls = path.join(daemon.dir, 'tls');
  execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', `${tls}.key`, '-out', `${tls}.crt`], { stdio: 'ignore' });
  using secure = await Receiver.start(daemon, 'syslog-tls', HOST, { port: 7013, tls });
  await daemon.ok('run', '--rm', '--log-driver', 'syslog', ...options({ 'syslog-address': `tcp+tls://${HOST}:7013`, 'syslog-format': 'rfc5424', 'syslog-tls-ca-cert': `${tls}.crt`, 'syslog-facility': 'local0', tag: 'web' }), 'busybox', 'echo', 'n 1.');
  assert.match((await secure.until(1))[0]?.text ?? '', /^<134>1 \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d) \S+ web \d+ web - n 1\.$/);
  const socket = path.join(daemon.dir, 'syslog.sock');
  using local = await Receiver.start(daemon, 'syslog-unix', socket);
  await daemon.ok('run', '--rm', '--log-driver', 'syslog', ...options({ 'syslog-address': `unix://${socket}` }), 'busybox', 'echo', 'n 1.');
  assert.match((await local.until(1))[0]?.text ?? '', /^<30>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [0-9a-f]{12}\[\d+\]: n 1\.$/);
});

test('B15, B16: a target that hangs, resets or talks nonsense holds up nothing, and is shown', async () => {
  const hostile = { hang: 7014, refuse: 7015, garbage: 7016 };
  const receivers = await Promise.all(Object.entries(hostile).map(([protocol, port]) => Receiver.start(daemon, protocol, HOST, { port })));
  try {
    for (const [name, port] of Object.entries(hostile)) {
      await daemon.ok('run', '-d', '--name', name, '--log-driver', 'fluentd', ...options({ 'fluentd-address': `${HOST}:${port}`, 'fluentd-request-ack': 'true', 'fluentd-write-timeout': '500ms' }), 'busybox', 'sh', '-c', 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo "line $i of many that nobody takes"; done; touch /done; sleep 600');
    }
    for (const name of Object.keys(hostile)) {
      await eventually(async () => (await daemon.docker(['exec', name, 'test', '-e', '/done'])).code === 0, `${name} to have written`, 30_000);
      assert.equal((await daemon.ok('logs', '--tail', '1', name)), 'line 20000 of many that nobody takes');
    }
    let warnings = '';
    await eventually(async () => {
      warnings = (JSON.parse(await daemon.ok('info', '-f', '{{json .Warnings}}')) as string[]).join('\n');
      return Object.keys(hostile).every((name) => warnings.includes(`container ${name} (`));
    }, 'the warnings');
    assert.match(warnings, /WARNING: container hang \([0-9a-f]{12}\): its log target fluentd tcp:\/\/127\.0\.0\.1:7014 cannot be reached \(nothing was taken within 500 ms\); \d{6,} bytes of its log wait/);
    // One line in the log for each, however often it was tried.
    for (const name of Object.keys(hostile)) assert.equal(lines(daemon.log()).filter((line) => line.includes('cannot be reached') && line.includes(`name=${name} `)).length, 1);
    for (const name of Object.keys(hostile)) await daemon.ok('rm', '-f', name);
    assert.equal(lines(daemon.log()).filter((line) => line.includes('removed with log that its target could not be given')).length, 3);
  } finally {
    for (const receiver of receivers) receiver[Symbol.dispose]();
  }
});

test('a spool that is rotated away before it is delivered: counted, and told', async () => {
  await daemon.ok('run', '-d', '--name', 'flood', '--log-driver', 'gelf', ...options({ 'gelf-address': `tcp://${HOST}:7017`, 'cache-max-size': '20k', 'cache-max-file': '3' }), 'busybox', 'sh', '-c', 'for i in $(seq 1 5000); do echo "n $i."; done; sleep 600');
  await eventually(async () => (await daemon.docker(['logs', '--tail', '1', 'flood'])).stdout === 'n 5000.\n', 'the flood');
  using receiver = await Receiver.start(daemon, 'gelf-tcp', HOST, { port: 7017 });
  await eventually(() => numbers(receiver.all).includes(5000), 'the last message');
  const found = numbers(receiver.all);
  assert.deepEqual(found, found.toSorted((a, b) => a - b));
  assert.equal(new Set(found).size, found.length);
  assert.ok(found.length < 5000);
  assert.match(daemon.log(), /rotated away before its target could take it/);
  assert.match(await daemon.ok('info', '-f', '{{json .Warnings}}'), /container flood \([0-9a-f]{12}\): its log target gelf tcp:\/\/127\.0\.0\.1:7017 missed/);
  await daemon.ok('rm', '-f', 'flood');
});

test('local, none and a target without a cache', async () => {
  await daemon.ok('run', '--name', 'local', '--log-driver', 'local', '--log-opt', 'max-size=10k', '--log-opt', 'max-file=3', '--log-opt', 'compress=true', 'busybox', 'seq', '1', '1000');
  const kept = lines(await daemon.ok('logs', 'local'));
  assert.equal(kept.at(-1), '1000');
  assert.ok(kept.length > 100 && kept.length < 1000, String(kept.length));
  const { Id, LogPath, HostConfig } = await daemon.inspect('local');
  assert.deepEqual([HostConfig.LogConfig.Type, LogPath], ['local', '']);
  const folder = path.join(daemon.dataRoot, 'containers', Id);
  await eventually(() => readdirSync(folder).some((name) => name.endsWith('.gz')), 'a compressed file');
  await daemon.ok('run', '--name', 'uncached', '--log-driver', 'gelf', ...options({ 'gelf-address': `udp://${HOST}:7018`, 'cache-disabled': 'true' }), 'busybox', 'echo', 'x');
  assert.match((await daemon.docker(['logs', 'uncached'])).stderr, /configured logging driver does not support reading/);
  assert.match(await daemon.ok('info'), /Log: fluentd gelf journald json-file local syslog/);
  await daemon.ok('rm', 'local', 'uncached');
});

test('options that cannot be used are refused when the container is made', async () => {
  const refused = async (driver: string, given: Readonly<Record<string, string>>): Promise<string> => (await daemon.docker(['create', '--log-driver', driver, ...options(given), 'busybox'])).stderr;
  assert.match(await refused('gelf', {}), /gelf-address is a required parameter/);
  assert.match(await refused('syslog', { 'syslog-address': 'http://x' }), /unsupported scheme: 'http'/);
  assert.match(await refused('fluentd', { 'fluentd-adress': 'x' }), /unknown log opt 'fluentd-adress' for fluentd log driver/);
  assert.match(await refused('journald', { 'max-size': '1m' }), /unknown log opt 'max-size' for journald log driver/);
});

test('a changed default driver is for new containers', async () => {
  using receiver = await Receiver.start(daemon, 'gelf-tcp', HOST, { port: 7019 });
  await daemon.ok('run', '-d', '--name', 'before', 'busybox', 'sleep', '600');
  await daemon.stop();
  daemon.configure({ 'live-restore': true, 'log-driver': 'gelf', 'log-opts': { 'gelf-address': `tcp://${HOST}:7019` } });
  await daemon.start();
  assert.equal((await daemon.inspect('before')).HostConfig.LogConfig.Type, 'json-file');
  await daemon.ok('run', '--rm', 'busybox', 'echo', 'n 1.');
  assert.deepEqual(numbers(await receiver.until(1)), [1]);
  await daemon.stop();
  daemon.configure({ 'live-restore': true, 'log-driver': 'gelf', 'log-opts': { 'gelf-adress': 'x' } });
  assert.equal(await daemon.startOrDie(), false);
  assert.match(daemon.complaints() + daemon.log(), /failed to set log opts: (gelf-address is a required parameter|unknown log opt)/);
  daemon.configure({ 'live-restore': true });
  await daemon.start();
  await daemon.ok('rm', '-f', 'before');
});
