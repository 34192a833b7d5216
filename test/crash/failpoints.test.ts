/** C1: death at each failpoint of the source, at its first and its second passage, during a tour through every verb. */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { Daemon } from '../fixtures/daemon.ts';
import { layeredArchive } from '../fixtures/images.ts';
import { alive } from '../fixtures/processes.ts';
import { projectRoot } from '../fixtures/target.ts';

const names = new Set(
  globSync('src/**/*.ts', { cwd: projectRoot })
    .filter((file) => !file.endsWith('.test.ts'))
    .flatMap((file) => [...readFileSync(path.join(projectRoot, file), 'utf8').matchAll(/\bfailpoint\('([^']+)'\)/g)].map((match) => match[1] ?? '')),
);

/** Steps that touch every kind of object; each may fail when the daemon dies. */
async function tour(daemon: Daemon): Promise<void> {
  const steps: string[][] = [
    ['volume', 'create', 'tour'],
    ['network', 'create', 'tour'],
    ['run', '-d', '--name', 'tourist', '--network', 'tour', '-v', 'tour:/v', '-p', '20100:7', 'busybox', 'sleep', '600'],
    ['exec', 'tourist', 'true'],
    ['rename', 'tourist', 'traveller'],
    ['update', '--restart', 'always', 'traveller'],
    ['restart', '-t', '0', 'traveller'],
    ['commit', 'traveller', 'souvenir:1'],
    ['rm', '-f', '-v', 'traveller'],
    ['rmi', 'souvenir:1'],
    ['load', '-q', '-i', await layeredArchive()],
    ['rmi', 'busybox:layered'],
    ['network', 'rm', 'tour'],
    ['volume', 'rm', 'tour'],
  ];
  for (const step of steps) {
    if (daemon.pid === undefined) return;
    await daemon.docker(step);
  }
}

test('there are failpoints', () => assert.ok(names.size >= 5));

for (const name of [...names].toSorted()) {
  test(`death at ${name}`, async () => {
    const daemon = new Daemon({ config: { 'live-restore': true } });
    try {
      await daemon.prepare();
      const witness = await daemon.ok('run', '-d', '--name', 'witness', 'busybox', 'sleep', '600');
      const { Pid } = (await daemon.inspect(witness)).State;
      for (const skip of [0, 1]) {
        await daemon.stop();
        // The place may lie on the way of the start itself.
        if (await daemon.startOrDie([], { MOORED_FAILPOINTS: `${name}=${skip}*off->1*crash` })) await tour(daemon);
        if (daemon.pid === undefined) await daemon.start();
        else await daemon.crash();
        assert.ok(alive(Pid), 'a bystander died');
        assert.equal((await daemon.inspect('witness')).State.Pid, Pid);
        const listed = (await daemon.request('GET', '/containers/json?all=1')).json() as { Id: string }[];
        for (const { Id } of listed) assert.equal((await daemon.request('GET', `/containers/${Id}/json`)).status, 200);
        for (const reference of ['souvenir:1', 'busybox:layered']) {
          if ((await daemon.request('GET', `/images/${reference}/json`)).status !== 200) continue;
          assert.equal((await daemon.docker(['run', '--rm', reference, 'true'])).code, 0, `${reference} is half there`);
          await daemon.ok('rmi', reference);
        }
        await daemon.docker(['rm', '-f', '-v', 'tourist', 'traveller']);
        await daemon.docker(['network', 'rm', 'tour']);
        await daemon.docker(['volume', 'rm', 'tour']);
      }
      await tour(daemon);
      await daemon.assertClean();
    } finally {
      await daemon.dispose();
    }
  });
}
