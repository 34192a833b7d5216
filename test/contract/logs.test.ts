/** `docker logs` and GET /containers/{id}/logs. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFileSync } from 'node:fs';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { frames, streamText } from '../fixtures/http.ts';
import { eventually } from '../fixtures/processes.ts';
import { mooredOnly, per } from '../fixtures/target.ts';

const daemon = useDaemon({}, async (fresh) => {
  await fresh.docker(['run', '--name', 'talker', 'busybox', 'sh', '-c', 'for i in 1 2 3 4 5; do echo out $i; echo err $i >&2; sleep 0.12; done']);
});

const rawLogs = async (query: string, name = 'talker'): Promise<Buffer> => {
  const answer = await daemon.openRequest('GET', `/containers/${name}/logs?${query}`);
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

test('both streams, kept apart', async () => {
  const { stdout, stderr } = await daemon.docker(['logs', 'talker']);
  assert.equal(stdout, 'out 1\nout 2\nout 3\nout 4\nout 5\n');
  assert.equal(stderr, 'err 1\nerr 2\nerr 3\nerr 4\nerr 5\n');
});

test('one frame a line, in order', async () => {
  const found = frames(await rawLogs('stdout=1&stderr=1'));
  assert.equal(found.length, 10);
  assert.deepEqual(found.filter(([stream]) => stream === 1).map(([, text]) => text), [1, 2, 3, 4, 5].map((i) => `out ${i}\n`));
  assert.ok(found.every(([stream, text]) => text.startsWith(stream === 1 ? 'out' : 'err')));
});

test('one stream only; none is an error', async () => {
  assert.equal(streamText(await rawLogs('stdout=1'), 2), '');
  assert.equal(streamText(await rawLogs('stderr=true'), 2).length, 30);
  const none = await daemon.request('GET', '/containers/talker/logs');
  assert.equal(none.status, 400);
  assert.equal(none.message(), 'Bad parameters: you must choose at least one stream');
  assert.equal((await daemon.request('GET', '/containers/talker/logs?stdout=no&stderr=0')).status, 400);
});

test('tail', async () => {
  assert.equal((await daemon.docker(['logs', '--tail', '2', 'talker'])).stdout.length + (await daemon.docker(['logs', '--tail', '2', 'talker'])).stderr.length, 12);
  assert.equal(frames(await rawLogs('stdout=1&stderr=1&tail=3')).length, 3);
  assert.equal((await rawLogs('stdout=1&stderr=1&tail=0')).length, 0);
  assert.equal(frames(await rawLogs('stdout=1&stderr=1&tail=all')).length, 10);
  assert.equal(frames(await rawLogs('stdout=1&stderr=1&tail=nonsense')).length, 10);
  assert.equal(frames(await rawLogs('stdout=1&stderr=1&tail=1000')).length, 10);
});

test('timestamps have nine digits and grow', async () => {
  const found = frames(await rawLogs('stdout=1&stderr=1&timestamps=1')).map(([, text]) => text);
  const times = found.map((text) => text.split(' ')[0] ?? '');
  for (const time of times) assert.match(time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/);
  assert.deepEqual(times.toSorted(), times);
});

test('since and until', async () => {
  const times = frames(await rawLogs('stdout=1&timestamps=1')).map(([, text]) => text.split(' ')[0] ?? '');
  const second = times[1] ?? '';
  const fourth = times[3] ?? '';
  assert.equal((await daemon.docker(['logs', '--since', second, 'talker'])).stdout, 'out 2\nout 3\nout 4\nout 5\n');
  assert.match((await daemon.docker(['logs', '--until', fourth, 'talker'])).stdout, /^out 1\nout 2\nout 3\nout 4\n$/);
  assert.equal((await daemon.docker(['logs', '--since', second, '--until', fourth, 'talker'])).stdout, 'out 2\nout 3\nout 4\n');
  assert.equal((await daemon.docker(['logs', '--since', '1h', 'talker'])).stdout.length, 30);
  assert.equal((await daemon.docker(['logs', '--until', '1h', 'talker'])).stdout, '');
});

test('follow goes on until the container ends', async () => {
  await daemon.ok('run', '-d', '--name', 'follower', 'busybox', 'sh', '-c', 'echo first; while [ ! -e /go ]; do sleep 0.05; done; echo last');
  const session = daemon.session(['logs', '-f', 'follower']);
  await session.until('first');
  await daemon.ok('exec', 'follower', 'touch', '/go');
  assert.deepEqual(await session.result(), { code: 0, stdout: 'first\nlast\n', stderr: '' });
  assert.equal((await daemon.docker(['logs', '-f', 'follower'])).stdout, 'first\nlast\n');
});

test('follow with tail=0 gives new lines only', async () => {
  await daemon.ok('start', 'follower');
  const session = daemon.session(['logs', '-f', '--tail', '0', 'follower']);
  const { stdout } = await session.result();
  assert.ok(!stdout.includes('first\nlast\nfirst'), stdout);
});

test('the answer begins before there is a line', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  const answer = await daemon.openRequest('GET', `/containers/${id}/logs?stdout=1&follow=1`);
  assert.equal(answer.statusCode, 200);
  answer.destroy();
  await daemon.ok('rm', '-f', id);
});

test('long lines come whole, and last words without a newline too', async () => {
  await daemon.ok('run', '--name', 'long', 'busybox', 'sh', '-c', `head -c 40000 /dev/zero | tr '\\0' x; echo; printf end`);
  assert.equal((await daemon.docker(['logs', 'long'])).stdout, `${'x'.repeat(40_000)}\nend`);
});

test('any bytes are survived', async () => {
  await daemon.ok('run', '--name', 'bytes', 'busybox', 'sh', '-c', String.raw`printf 'a\377b\0c\n<&>\302\240\342\200\250"\\\t\n'`);
  const { stdout } = await daemon.docker(['logs', 'bytes']);
  assert.equal(stdout, 'a\ufffdb\0c\n<&>\u00a0\u2028"\\\t\n');
});

test('details show the attributes asked for', async () => {
  await daemon.ok('run', '--name', 'detailed', '--label', 'team=a b', '-e', 'STAGE=prod', '--log-opt', 'labels=team', '--log-opt', 'env=STAGE', 'busybox', 'echo', 'x');
  assert.equal((await daemon.docker(['logs', '--details', 'detailed'])).stdout, 'STAGE=prod,team=a+b x\n');
});

test('rotation: options are honoured, and reading crosses files', async () => {
  await daemon.ok('run', '--name', 'rotated', '--log-opt', 'max-size=10k', '--log-opt', 'max-file=3', 'busybox', 'seq', '1', '1000');
  const found = lines(await daemon.ok('logs', 'rotated'));
  assert.equal(found.at(-1), '1000');
  assert.ok(found.length < 1000 && found.length > 100, String(found.length));
  assert.deepEqual(found, Array.from({ length: found.length }, (_, index) => String(1001 - found.length + index)));
  assert.equal(lines(await daemon.ok('logs', '--tail', '150', 'rotated')).length, 150);
});

test('the file is Docker’s json-file, where inspect says it is', async () => {
  const { LogPath, HostConfig } = await daemon.inspect('talker');
  assert.equal(HostConfig.LogConfig.Type, 'json-file');
  const entries = lines(readFileSync(LogPath, 'utf8')).map((line) => JSON.parse(line));
  assert.equal(entries.length, 10);
  assert.deepEqual(Object.keys(entries[0]).toSorted(), ['log', 'stream', 'time']);
  assert.equal(entries.find((entry) => entry.stream === 'stderr').log, 'err 1\n');
});

test('driver none cannot be read', async () => {
  await daemon.ok('run', '--name', 'silent', '--log-driver', 'none', 'busybox', 'echo', 'x');
  const answer = await daemon.request('GET', '/containers/silent/logs?stdout=1');
  assert.equal(answer.status, 501);
  assert.equal(answer.message(), 'configured logging driver does not support reading');
});

test('options and drivers that do not exist are refused', async () => {
  assert.match((await daemon.docker(['create', '--log-driver', 'nothing', 'busybox'])).stderr, per({ moored: /nothing/, dockerd: /error looking up logging plugin nothing: plugin "nothing" not found/ }));
  assert.match((await daemon.docker(['create', '--log-opt', 'max-sice=1', 'busybox'])).stderr, /unknown log opt 'max-sice' for json-file log driver/);
});

test('logs of a container that is not there', async () => {
  const answer = await daemon.request('GET', '/containers/nobody/logs?stdout=1');
  assert.equal(answer.status, 404);
  assert.equal(answer.message(), 'No such container: nobody');
});

test('logs of a created container are empty', async () => {
  await daemon.ok('create', '--name', 'unborn', 'busybox', 'true');
  assert.equal((await daemon.docker(['logs', 'unborn'])).stdout, '');
});

test('a follower that goes away is let go', mooredOnly('not observable there'), async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'while :; do echo x; sleep 0.01; done');
  const answer = await daemon.openRequest('GET', `/containers/${id}/logs?stdout=1&follow=1`);
  answer.destroy();
  await eventually(() => answer.destroyed, 'the end of the stream');
  await daemon.ok('rm', '-f', id);
  assert.equal((await daemon.request('GET', '/_ping')).status, 200);
});
