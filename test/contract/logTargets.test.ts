/** Log drivers with a target: syslog, fluentd, gelf. The shim's file is the spool, and nothing of it is lost (B16). */
import assert from 'node:assert/strict';
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
