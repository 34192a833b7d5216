/** C1: `kill -9` at each step of each verb, and of the start itself: everything exists whole or not at all, and nothing leaks. */
import assert from 'node:assert/strict';
import { appendFileSync, globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Daemon, lines } from '../fixtures/daemon.ts';
import { layeredArchive } from '../fixtures/images.ts';
import type { Held } from '../fixtures/leaks.ts';
import { startRegistry } from '../fixtures/registry.ts';
import type { RegistryFixture } from '../fixtures/registry.ts';
import { ended, memoryLimit } from '../fixtures/processes.ts';
import { projectRoot } from '../fixtures/target.ts';
import { die } from './crashes.ts';
import type { Death } from './crashes.ts';
import { history } from './history.ts';

let daemon: Daemon;
let clean: Held;
let registry: RegistryFixture | undefined;

/** A new one after a failure, which may have left anything. */
async function renew(): Promise<void> {
  await registry?.[Symbol.asyncDispose]();
  registry = undefined;
  daemon = new Daemon({ config: { 'live-restore': true } });
  await daemon.prepare();
  clean = daemon.held();
}

before(renew);
after(async () => {
  await daemon.dispose();
  await registry?.[Symbol.asyncDispose]();
});

/** An image in a registry inside the daemon's reach. */
async function pullable(): Promise<string> {
  if (registry === undefined) {
    registry = await startRegistry({ netns: daemon.netns });
    const name = `${registry.host}/busybox`;
    await daemon.ok('tag', 'busybox', name);
    await daemon.ok('push', '-q', name);
    await daemon.ok('rmi', name);
  }
  return `${registry.host}/busybox`;
}

const RICH = ['--name', 'subject', '--network', 'lane', '-p', '20300:7', '-v', '/anonymous', '-v', 'named:/named', '--ipc', 'shareable', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'];
const lane = (d: Daemon): Promise<unknown> => d.ok('network', 'create', 'lane');
const created = async (d: Daemon): Promise<void> => {
  await lane(d);
  await d.ok('create', ...RICH);
};
const alone = async (d: Daemon): Promise<void> => {
  await lane(d);
  await d.ok('run', '-d', '--name', 'subject', 'busybox', 'sleep', '600');
};
const onBoth = async (d: Daemon): Promise<void> => {
  await alone(d);
  await d.ok('network', 'connect', 'lane', 'subject');
};
const running = async (d: Daemon): Promise<void> => {
  await lane(d);
  await d.ok('run', '-d', ...RICH);
};
const docker = (...args: string[]) => (d: Daemon): Promise<unknown> => d.docker(args);

/** Of the container that the death was about. */
const toldOnce = async (d: Daemon, action: string): Promise<void> => {
  const [subject] = (await d.request('GET', '/containers/json?all=1')).json() as { Id: string }[];
  assert.equal((await history(d, { container: [subject?.Id ?? ''], event: [action] })).length, 1, `${action} was lost, or told twice`);
};

/** Nothing of a creation that never answered stays in the way of the next one. */
const creatable = async (d: Daemon): Promise<void> => {
  await d.docker(['rm', '-f', '-v', 'subject']);
  await d.docker(['network', 'create', 'lane']);
  await d.ok('run', '-d', ...RICH);
};

const startDeaths: Death[] = ['start.network', 'start.mounted', 'start.bundled', 'start.launched', 'start.watched', 'start.started'].map((point) => ({
  point, prepare: created, verb: docker('start', 'subject'), check: creatable,
}));

const endDeaths: Death[] = ['stop.remembered', 'stop.ordered', 'give-back', 'give-back.network', 'give-back.done', 'settle.saved'].map((point) => ({
  point, prepare: running, verb: docker('stop', '-t', '0', 'subject'), check: creatable,
}));

const gone = async (d: Daemon): Promise<void> => {
  assert.equal((await d.request('GET', '/containers/subject/json')).status, 404, 'the removal was begun and is not finished');
  await creatable(d);
};
const removeDeaths: Death[] = ['remove.intended', 'remove.given-back', 'remove.layer', 'layers.discard', 'remove.volumes', 'container.removed', 'remove.record'].map((point) => ({
  point, prepare: created, verb: docker('rm', '-v', 'subject'), check: gone,
  // A layer is discarded too when the first container of an image is made ready, which is not what is meant here.
  ...(point === 'layers.discard' ? { before: docker('run', '--rm', 'busybox', 'true') } : {}),
}));

/** One container that runs, one that ends while nobody is there, one whose shim dies; and one that is paused. */
const witnesses = async (d: Daemon): Promise<void> => {
  await running(d);
  await d.ok('run', '-d', '--name', 'paused', 'busybox', 'sleep', '600');
  await d.ok('pause', 'paused');
  await d.ok('run', '-d', '--name', 'orphan', 'busybox', 'sleep', '600');
  await d.ok('run', '-d', '--name', 'ends', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.02; done; rm /go; exit 3');
  const pidOf = async (name: string): Promise<number> => (await d.inspect(name)).State.Pid as number;
  const [orphan, ends] = [await pidOf('orphan'), await pidOf('ends')];
  await d.kill9();
  process.kill(Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${orphan}/status`, 'utf8'))?.[1]), 'SIGKILL');
  writeFileSync(`/proc/${ends}/root/go`, '');
  await ended(ends);
};

/** The first two starts see what was left; each death of a start leaves it to the next. */
const startupDeaths: Death[] = [
  'restore.looked', 'restore.network', 'restore.imported', 'restore.resumed', 'restore.adopted', 'collect.deleted', 'collect.given-back', 'restore.done',
].map((point) => ({
  point, before: witnesses, verb: () => Promise.resolve(), check: async (d) => {
    const told = await history(d, { container: [(await d.inspect('ends')).Id as string], event: ['die'] });
    const codes = told.map(({ Actor }) => Actor.Attributes['exitCode']);
    // Once by itself; the other ones are those of the check that it can be stopped and started.
    assert.equal(codes.filter((code) => code === '3').length, 1, 'its end was told more than once, or never');
  },
}));

/** An intent as a death between an act and its event leaves it. */
const leftUntold = async (d: Daemon): Promise<void> => {
  const id = await d.ok('create', '--name', 'subject', 'busybox', 'sleep', '600');
  await d.kill9();
  const event = { type: 'container', action: 'rename', actorId: id, attributes: { name: 'subject', oldName: '/old' }, time: `${Date.now()}000000` };
  appendFileSync(path.join(d.dataRoot, 'events/intents'), `${JSON.stringify({ id: '999999', event, proof: { of: 'container name', id, name: 'subject' } })}\n`);
};

const deaths: Death[] = [
  ...['create.recorded', 'create.layer', 'create.volumes'].map((point): Death => ({ point, prepare: lane, verb: docker('create', ...RICH), check: creatable })),
  ...startDeaths,
  ...endDeaths,
  ...removeDeaths,
  ...['rename.saved', 'store.rename'].map((point): Death => ({
    point,
    passes: 0,
    prepare: async (d) => {
      if (point === 'rename.saved') await created(d);
    },
    verb: point === 'rename.saved' ? docker('rename', 'subject', 'other') : docker('create', ...RICH),
    check: async (d) => {
      const names = lines(await d.ok('ps', '-a', '--format', '{{.Names}}'));
      assert.deepEqual(names, point === 'rename.saved' ? ['other'] : []);
      if (point === 'rename.saved') await toldOnce(d, 'rename');
    },
  })),
  ...['update.applied', 'update.saved'].map((point): Death => ({ point, prepare: running, verb: docker('update', '--restart', 'always', '--memory', '64m', '--memory-swap', '-1', 'subject'), afterDeath: async (d) => {
    const { HostConfig: { Memory }, State: { Pid } } = await d.inspect('subject');
    assert.equal(Memory, point === 'update.saved' ? 64 << 20 : 0);
    assert.equal(memoryLimit(Pid as number) === 64 << 20, point === 'update.saved', 'the kernel and the record do not agree');
  } })),
  ...['exec.created', 'exec.launched', 'exec.started', 'exec.told'].map((point): Death => ({
    point,
    prepare: running,
    verb: docker('exec', 'subject', 'sleep', '0.3'),
  })),
  ...['connect.recorded', 'connect.linked'].map((point): Death => ({ point, prepare: alone, verb: docker('network', 'connect', 'lane', 'subject') })),
  ...['disconnect.recorded', 'disconnect.unlinked'].map((point): Death => ({ point, prepare: onBoth, verb: docker('network', 'disconnect', 'lane', 'subject') })),
  { point: 'pause.done', prepare: running, verb: docker('pause', 'subject'), afterDeath: (d) => toldOnce(d, 'pause') },
  { point: 'unpause.done', prepare: async (d) => {
    await running(d);
    await d.ok('pause', 'subject');
  }, verb: docker('unpause', 'subject'), afterDeath: (d) => toldOnce(d, 'unpause') },
  // Passed at the end of each act that is told: here of the volume, of the container, and of a stop.
  ...[0, 1].map((passes): Death => ({ point: 'telling.done', passes, verb: docker('create', '--name', 'subject', '-v', 'named:/named', 'busybox', 'sleep', '600') })),
  { point: 'telling.done', passes: 4, prepare: running, verb: docker('stop', '-t', '0', 'subject'), afterDeath: (d) => toldOnce(d, 'stop') },
  ...['network.made', 'network.recorded'].map((point): Death => ({ point, verb: lane, check: async (d) => {
    await d.docker(['network', 'create', 'lane']);
    assert.equal(lines(await d.ok('network', 'ls', '-q', '--filter', 'name=lane')).length, 1);
  } })),
  { point: 'network.removed', prepare: lane, verb: docker('network', 'rm', 'lane'), check: lane },
  ...['volume.made', 'volume.recorded'].map((point): Death => ({ point, verb: docker('volume', 'create', 'named'), check: docker('volume', 'create', 'named') })),
  { point: 'volume.emptied', prepare: docker('volume', 'create', 'named'), verb: docker('volume', 'rm', 'named') },
  { point: 'layers.publish', verb: async (d) => d.docker(['load', '-q', '-i', await layeredArchive()]), check: async (d) => {
    assert.deepEqual(lines(await d.ok('images', '-q', 'busybox:layered')), []);
    await d.ok('load', '-q', '-i', await layeredArchive());
    await d.ok('rmi', 'busybox:layered');
  } },
  ...['load.added', 'load.named'].map((point): Death => ({
    point, verb: async (d) => d.docker(['load', '-q', '-i', await layeredArchive()]), check: async (d) => {
      await d.ok('load', '-q', '-i', await layeredArchive());
      await d.ok('rmi', 'busybox:layered');
    },
  })),
  { point: 'tag.named', verb: docker('tag', 'busybox', 'busybox:other'), check: docker('rmi', 'busybox:other') },
  { point: 'untag.done', prepare: docker('tag', 'busybox', 'busybox:other'), verb: docker('rmi', 'busybox:other'), check: async (d) => assert.deepEqual(lines(await d.ok('images', '-q', 'busybox:other')), []) },
  ...['image.added', 'image.named'].map((point): Death => ({
    point,
    prepare: docker('create', '--name', 'subject', 'busybox', 'sleep', '600'),
    verb: docker('commit', 'subject', 'committed'),
    check: async (d) => {
      const left = lines(await d.ok('images', '-q', '--no-trunc', 'committed'));
      if (point === 'image.named') assert.equal(left.length, 1);
      await d.docker(['rmi', 'committed']);
      await d.ok('image', 'prune', '-f');
    },
  })),
  { point: 'pull.added', before: pullable, verb: async (d) => d.docker(['pull', '-q', await pullable()]), check: async (d) => {
    await d.ok('pull', '-q', await pullable());
    await d.ok('rmi', await pullable());
  } },
  ...['image.remove', 'image.layer-remove'].map((point): Death => ({
    point,
    prepare: async (d) => d.ok('load', '-q', '-i', await layeredArchive()),
    verb: docker('rmi', 'busybox:layered'),
    check: async (d) => assert.deepEqual(lines(await d.ok('images', '-q', 'busybox:layered')), []),
  })),
];

startupDeaths.push({ point: 'telling.made-good', before: leftUntold, verb: () => Promise.resolve(), check: async (d) => {
  assert.equal((await history(d, { event: ['rename'] })).filter(({ Actor }) => Actor.Attributes['oldName'] === '/old').length, 1);
} });

for (const death of [...deaths, ...startupDeaths]) {
  test(`death at ${death.point}${death.passes === undefined ? '' : ` (${death.passes})`}`, async () => {
    try {
      assert.ok(await die(daemon, clean, death), 'the place was not reached');
    } catch (error) {
      await daemon.dispose();
      await renew();
      throw error;
    }
  });
}

test('every failpoint of the source is met here', () => {
  const source = globSync('src/**/*.ts', { cwd: projectRoot })
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap((file) => [...readFileSync(path.join(projectRoot, file), 'utf8').matchAll(/\bfailpoint\('([^']+)'\)/g)].map((match) => match[1] ?? ''));
  const met = new Set([...deaths, ...startupDeaths].map(({ point }) => point));
  assert.deepEqual([...new Set(source)].filter((name) => !met.has(name)), []);
});
