/** Events: their order, shapes, filters and windows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { per } from '../fixtures/target.ts';

const daemon = useDaemon();

interface Event {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly status?: string;
  readonly id?: string;
  readonly from?: string;
  readonly scope: string;
  readonly time: number;
  readonly timeNano: number;
}

const seconds = (): string => (Date.now() / 1000).toFixed(3);

async function between(since: string, filters: Record<string, string[]> = {}, until = seconds()): Promise<Event[]> {
  const answer = await daemon.request('GET', `/events?since=${since}&until=${until}&filters=${encodeURIComponent(JSON.stringify(filters))}`);
  assert.equal(answer.status, 200, answer.text);
  return lines(answer.text).map((line) => JSON.parse(line) as Event);
}

const actions = (events: Event[]): string[] => events.map(({ Type, Action }) => `${Type} ${Action}`);

test('the life of docker run --rm', async () => {
  const since = seconds();
  await daemon.ok('run', '--rm', '--name', 'brief', '-l', 'team=deck', 'busybox', 'sh', '-c', 'exit 0');
  const events = await between(since);
  assert.deepEqual(actions(events).filter((action) => action !== 'container resize'), ['container create', 'container attach', 'network connect', 'container start', 'container die', 'network disconnect', 'container destroy']);
  const start = events.find(({ Action }) => Action === 'start');
  assert.match(start?.Actor.ID ?? '', /^[0-9a-f]{64}$/);
  assert.equal(start?.Actor.Attributes['image'], 'busybox');
  assert.equal(start?.Actor.Attributes['name'], 'brief');
  assert.equal(start?.Actor.Attributes['team'], 'deck');
  assert.deepEqual([start?.status, start?.id, start?.from, start?.scope], ['start', start?.Actor.ID, 'busybox', 'local']);
  assert.equal(events.find(({ Action }) => Action === 'die')?.Actor.Attributes['exitCode'], '0');
  const connect = events.find(({ Action }) => Action === 'connect');
  assert.deepEqual([connect?.Actor.Attributes['container'], connect?.Actor.Attributes['name'], connect?.Actor.Attributes['type'], connect?.status], [start?.Actor.ID, 'bridge', 'bridge', undefined]);
  const times = events.map(({ timeNano }) => timeNano);
  assert.deepEqual(times.toSorted((a, b) => a - b), times);
});

test('times are whole, to the nanosecond', async () => {
  const since = seconds();
  await daemon.ok('volume', 'create', 'stamped');
  const { text } = await daemon.request('GET', `/events?since=${since}&until=${seconds()}`);
  const [, time = '', nano = ''] = /"time":(\d+),"timeNano":(\d+)/.exec(text) ?? [];
  assert.equal(nano.length, 19);
  assert.equal(nano.slice(0, 10), time);
  await daemon.ok('volume', 'rm', 'stamped');
});

test('a health probe is an exec session with the command that was configured', async () => {
  const since = seconds();
  const id = await daemon.ok('run', '-d', '--health-cmd', 'test -e /bin/sh', '--health-interval', '200ms', 'busybox', 'sleep', '600');
  await daemon.untilState(id, (state) => state.Health.Log.length >= 2);
  const probes = (await between(since, { container: [id], type: ['container'] })).filter(({ Action }) => Action.startsWith('exec_'));
  assert.deepEqual(actions(probes.slice(0, 3)), ['container exec_create: /bin/sh -c test -e /bin/sh', 'container exec_start: /bin/sh -c test -e /bin/sh', 'container exec_die']);
  await daemon.ok('rm', '-f', id);
});

test('stop, restart, pause, rename, update, kill, exec, health', async () => {
  const id = await daemon.ok('run', '-d', '--name', 'busy', '--health-cmd', 'true', '--health-interval', '30s', 'busybox', 'sh', '-c', 'trap "exit 0" TERM; while :; do sleep 0.05; done');
  const during = async (...args: string[]): Promise<Event[]> => {
    const since = seconds();
    await daemon.ok(...args);
    return between(since, { container: [id], type: ['container'] });
  };
  assert.deepEqual(actions(await during('pause', id)), ['container pause']);
  assert.deepEqual(actions(await during('unpause', id)), ['container unpause']);
  const [renamed] = await during('rename', 'busy', 'busier');
  assert.deepEqual([renamed?.Action, renamed?.Actor.Attributes['oldName'], renamed?.Actor.Attributes['name']], ['rename', '/busy', 'busier']);
  assert.deepEqual(actions(await during('update', '--memory', '64m', '--memory-swap', '64m', id)), ['container update']);
  const exec = await during('exec', id, 'sh', '-c', 'exit 0');
  assert.deepEqual(actions(exec), ['container exec_create: sh -c exit 0', 'container exec_start: sh -c exit 0', 'container exec_die']);
  assert.equal(exec[2]?.Actor.Attributes['exitCode'], '0');
  assert.match(exec[2]?.Actor.Attributes['execID'] ?? '', /^[0-9a-f]{64}$/);
  const restarted = await during('restart', id);
  assert.deepEqual(actions(restarted), ['container kill', 'container die', 'container stop', 'container start', 'container restart']);
  assert.equal(restarted[0]?.Actor.Attributes['signal'], '15');
  const stopped = await during('stop', id);
  assert.deepEqual(actions(stopped), ['container kill', 'container die', 'container stop']);
  await daemon.ok('rm', id);
});

test('images, volumes and networks', async () => {
  const since = seconds();
  await daemon.ok('tag', 'busybox', 'evented:1');
  await daemon.ok('rmi', 'evented:1');
  await daemon.ok('volume', 'create', 'evol');
  await daemon.ok('run', '--rm', '-v', 'evol:/v', 'busybox', 'true');
  await daemon.ok('volume', 'rm', 'evol');
  await daemon.ok('network', 'create', 'enet');
  await daemon.ok('network', 'rm', 'enet');
  assert.deepEqual(actions(await between(since, { type: ['image'] })), ['image tag', 'image untag']);
  const volume = await between(since, { type: ['volume'] });
  // dockerd 20.10 tells a creation again when a container names the volume.
  if (volume[1]?.Action === 'create' && daemon.engine === 'dockerd') volume.shift();
  assert.deepEqual(actions(volume), ['volume create', 'volume mount', 'volume unmount', 'volume destroy']);
  assert.deepEqual([volume[1]?.Actor.ID, volume[1]?.Actor.Attributes['destination'], volume[1]?.Actor.Attributes['read/write'], volume[1]?.Actor.Attributes['propagation']], ['evol', '/v', 'true', '']);
  assert.deepEqual(actions(await between(since, { network: ['enet'] })), ['network create', 'network destroy']);
});

test('filters', async () => {
  const since = seconds();
  const id = await daemon.ok('run', '-d', '--name', 'filtered', '-l', 'a=b', '-l', 'c', 'busybox', 'sleep', '600');
  await daemon.ok('exec', id, 'true');
  await daemon.ok('rm', '-f', id);
  const count = async (filters: Record<string, string[]>): Promise<number> => (await between(since, filters)).length;
  assert.equal(await count({ event: ['start'] }), 1);
  assert.equal(await count({ event: ['start', 'create'] }), 2);
  assert.equal(await count({ event: ['exec_create'] }), 1);
  assert.equal(await count({ event: ['start'], label: ['a=b'] }), 1);
  assert.equal(await count({ event: ['start'], label: ['a=b', 'd'] }), 0);
  assert.equal(await count({ event: ['start'], label: ['c'] }), 1);
  assert.equal(await count({ event: ['start'], image: ['busybox'] }), 1);
  assert.equal(await count({ event: ['start'], container: [id.slice(0, 8)] }), 1);
  assert.equal(await count({ event: ['start'], container: ['filtered'] }), 1);
  assert.equal(await count({ event: ['connect'], type: ['network'] }), 1);
  assert.equal(await count({ scope: ['swarm'] }), 0);
  const unknown = await daemon.request('GET', `/events?until=${seconds()}&filters=${encodeURIComponent('{"colour":["x"]}')}`);
  assert.equal(unknown.status, per({ moored: 400, dockerd: unknown.status }));
});

test('the stream begins at once, goes on, and ends at until', async () => {
  const session = daemon.session(['events', '--format', '{{.Action}}', '--filter', 'type=volume']);
  const answer = await daemon.openRequest('GET', `/events?since=${seconds()}&until=${(Date.now() / 1000 + 2).toFixed(3)}`);
  assert.equal(answer.statusCode, 200);
  await daemon.ok('volume', 'create', 'live');
  let text = '';
  for await (const chunk of answer) text += String(chunk);
  assert.deepEqual(lines(text).map((line) => (JSON.parse(line) as Event).Action), ['create']);
  await daemon.ok('volume', 'rm', 'live');
  if (!session.stdout.includes('destroy')) await session.until('destroy');
  session.kill();
  await session.result();
});

test('windows that make no sense', async () => {
  const answer = await daemon.request('GET', '/events?since=200&until=100');
  assert.equal(answer.status, per({ moored: 400, dockerd: 400 }));
  assert.equal((await daemon.request('GET', '/events?since=yesterday')).status, per({ moored: 400, dockerd: 500 }));
});
