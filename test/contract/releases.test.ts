/**
 * Across releases (S8 of docs/continuity.md): what a recorded release started is adopted by today's daemon and the other
 * way round, data roots that it wrote are read, and what a newer major wrote is refused and left as it is.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { suite, test } from 'node:test';
import { Daemon, lines, withDaemon } from '../fixtures/daemon.ts';
import type { Told } from '../fixtures/furniture.ts';
import { tell } from '../fixtures/furniture.ts';
import { alive, ended, eventually, startTime } from '../fixtures/processes.ts';
import { RELEASES, recordedReleases, unpackDataRoot, unpackEngine } from '../fixtures/releases.ts';
import { projectRoot, target } from '../fixtures/target.ts';

const skip = target === 'dockerd' ? 'releases of moored' : false;
const LIVE = { 'live-restore': true };
const COUNT = 'trap "echo bye; exit 7" TERM; i=0; while :; do i=$((i+1)); echo line $i; sleep 0.02; done';

/** A mixed load, started through the API of whatever release runs. */
async function startLoad(daemon: Daemon): Promise<void> {
  await daemon.ok('network', 'create', 'mesh');
  await daemon.ok('run', '-d', '--name', 'web', '--network', 'mesh', '--network-alias', 'www', '-p', '18080:7', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
  await daemon.ok('run', '-d', '--name', 'counter', '--network', 'mesh', '--stop-timeout', '5', 'busybox', 'sh', '-c', COUNT);
  await daemon.ok('run', '-d', '--name', 'healthy', '--health-cmd', 'test ! -e /tmp/sick', '--health-interval', '200ms', '--health-retries', '2', 'busybox', 'sleep', '600');
  await daemon.ok('run', '-d', '--name', 'phoenix', '--restart', 'always', 'busybox', 'sh', '-c', 'echo up; while [ ! -e /tmp/die ]; do sleep 0.05; done; rm /tmp/die; exit 3');
  await daemon.ok('run', '-dit', '--name', 'shell', 'busybox', 'sh');
  await daemon.ok('run', '-d', '--name', 'cold', 'busybox', 'sleep', '600');
  await daemon.ok('pause', 'cold');
  await daemon.untilState('healthy', (state) => state.Health.Status === 'healthy');
}

/** What identifies each container's run. */
async function runs(daemon: Daemon): Promise<string[]> {
  const names = lines(await daemon.ok('ps', '--format', '{{.Names}}')).toSorted();
  return Promise.all(names.map(async (name) => {
    const { Id, State, RestartCount, NetworkSettings } = await daemon.inspect(name);
    return `${name} ${Id} ${State.Status} ${State.Pid} ${startTime(State.Pid)} ${State.StartedAt} ${RestartCount} ${JSON.stringify(NetworkSettings)}`;
  }));
}

/** The load is managed: log, exec, names, ports, health, restarts by policy. */
async function assertManaged(daemon: Daemon): Promise<void> {
  const counted = lines(await daemon.ok('logs', 'counter')).map((line) => Number(line.replace('line ', '')));
  assert.deepEqual(counted, counted.map((_line, index) => index + 1));
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
  assert.match((await daemon.talk('bind-tcp', '0.0.0.0', 18_080)).stderr, /EADDRINUSE/);
  assert.match(await daemon.ok('exec', 'counter', 'nslookup', 'www'), /Name:\s+www/);
  assert.equal((await daemon.docker(['exec', 'counter', 'sh', '-c', 'exit 9'])).code, 9);
  assert.equal((await daemon.inspect('cold')).State.Status, 'paused');
  await daemon.ok('exec', 'healthy', 'touch', '/tmp/sick');
  await daemon.untilState('healthy', (state) => state.Health.Status === 'unhealthy');
  await daemon.ok('exec', 'healthy', 'rm', '/tmp/sick');
  await daemon.untilState('healthy', (state) => state.Health.Status === 'healthy');
  const { RestartCount, State } = await daemon.inspect('phoenix');
  writeFileSync(`/proc/${State.Pid}/root/tmp/die`, '');
  await ended(State.Pid);
  await eventually(async () => (await daemon.inspect('phoenix')).RestartCount === RestartCount + 1, 'its restart');
  await daemon.untilState('phoenix', (state) => state.Running && state.Pid > 0);
  const attached = daemon.session(['attach', '--no-stdin', 'counter']);
  await attached.until(/line \d+\n/);
  attached.kill();
}

/** The changing verbs, which end the load. */
async function assertChangeable(daemon: Daemon): Promise<void> {
  await daemon.ok('unpause', 'cold');
  await daemon.ok('update', '--restart', 'no', 'phoenix');
  await daemon.ok('network', 'connect', 'mesh', 'healthy');
  await daemon.ok('network', 'disconnect', 'mesh', 'healthy');
  await daemon.ok('rename', 'shell', 'shelly');
  assert.equal(await daemon.ok('stop', 'counter').then(() => daemon.ok('wait', 'counter')), '7');
  assert.match(await daemon.ok('logs', '--tail', '1', 'counter'), /^bye$/);
  await daemon.ok('restart', '-t', '0', 'web');
  await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', 18_080)).code === 0, 'the server after its restart');
  await daemon.ok('start', 'counter');
  await daemon.ok('kill', 'counter');
  await daemon.ok('rm', '-f', 'cold');
  assert.equal(await daemon.ok('run', '--rm', '--network', 'mesh', 'busybox', 'echo', 'new'), 'new');
}

for (const version of recordedReleases()) {
  suite(`release ${version}`, { skip }, () => {
    const recording = path.join(RELEASES, version);
    const withEngine = (body: (daemon: Daemon, program: string) => Promise<void>): Promise<void> => withDaemon({ config: LIVE }, async (daemon) => {
      // Below the daemon's folder, so that what runs of it is found and ended with it.
      await body(daemon, unpackEngine(recording, path.join(daemon.dir, 'release')));
    });
    const switchTo = async (daemon: Daemon, program: string | undefined): Promise<void> => {
      await daemon.kill9();
      daemon.program = program;
      await daemon.start();
    };
    const versionOf = async (daemon: Daemon): Promise<string> => (await daemon.request('GET', '/version')).json().Components[0].Version;

    test('S8: upgrade under running containers, and back, and forth again', { timeout: 180_000 }, async () => {
      await withEngine(async (daemon, program) => {
        await switchTo(daemon, program);
        assert.equal(await versionOf(daemon), version);
        await startLoad(daemon);
        let before = await runs(daemon);
        for (const next of [undefined, program, undefined]) {
          await switchTo(daemon, next);
          assert.equal((await versionOf(daemon)) === version, next === program);
          assert.deepEqual(await runs(daemon), before);
          await assertManaged(daemon);
          before = await runs(daemon);
        }
        await assertChangeable(daemon);
        await daemon.assertClean();
      });
    });

    test('S8: downgrade: what today’s daemon started is managed by the release', { timeout: 180_000 }, async () => {
      await withEngine(async (daemon, program) => {
        await startLoad(daemon);
        const before = await runs(daemon);
        await switchTo(daemon, program);
        assert.deepEqual(await runs(daemon), before);
        await assertManaged(daemon);
        await assertChangeable(daemon);
        await switchTo(daemon, undefined);
        await daemon.assertClean();
      });
    });

    test('S8: what exited while no daemon was there is told by the next one, whichever it is', { timeout: 120_000 }, async () => {
      await withEngine(async (daemon, program) => {
        for (const [from, to] of [[program, undefined], [undefined, program]]) {
          await switchTo(daemon, from);
          const id = await daemon.ok('run', '-d', 'busybox', 'sh', '-c', 'while [ ! -e /go ]; do sleep 0.05; done; echo last words; exit 42');
          const { Pid } = (await daemon.inspect(id)).State;
          await daemon.kill9();
          writeFileSync(`/proc/${Pid}/root/go`, '');
          await ended(Pid);
          daemon.program = to;
          await daemon.start();
          const { State } = await daemon.inspect(id);
          assert.deepEqual([State.Status, State.ExitCode], ['exited', 42]);
          assert.equal(await daemon.ok('logs', id), 'last words');
          await daemon.ok('rm', id);
        }
      });
    });

    test('S8: its data root is read, and what was in it can be used', { timeout: 120_000 }, async () => {
      const daemon = new Daemon({ config: LIVE });
      try {
        const told = unpackDataRoot(recording, daemon.dir);
        await daemon.start();
        await assertSame(daemon, told);
        await assertUsable(daemon);
        await daemon.removeAll();
      } finally {
        await daemon.dispose();
      }
    });
  });
}

/** What a container is, apart from what a reboot and a restart by policy change. */
// oxlint-disable-next-line typescript/no-explicit-any -- as the API gives it
const lasting = ({ State: _state, RestartCount: _count, NetworkSettings: _network, GraphDriver: _driver, ResolvConfPath: _1, HostnamePath: _2, HostsPath: _3, ...rest }: any): unknown => rest;

async function assertSame(daemon: Daemon, told: Told): Promise<void> {
  const now = await tell(daemon);
  assert.deepEqual(Object.keys(now.containers), Object.keys(told.containers));
  for (const [name, container] of Object.entries(told.containers)) assert.deepEqual(lasting(now.containers[name]), lasting(container), name);
  for (const [name, text] of Object.entries(told.logs)) assert.ok((now.logs[name] ?? '').startsWith(text), `the log of ${name}: ${now.logs[name]}`);
  // An empty list is shown as null or as one by releases, as Docker's do.
  // oxlint-disable-next-line typescript/no-explicit-any -- as the API gives it
  const networks = (list: readonly any[]): unknown[] => list.map(({ Containers: _containers, IPAM, ...rest }) => ({ ...rest, IPAM: { ...IPAM, Config: IPAM.Config ?? [], Options: IPAM.Options ?? {} } })).toSorted((a, b) => (a.Name < b.Name ? -1 : 1));
  assert.deepEqual(networks(now.networks), networks(told.networks));
  assert.deepEqual(now.volumes, told.volumes);
  assert.deepEqual(now.images, told.images);
  assert.deepEqual(now.events.slice(0, told.events.length), told.events);
}

async function assertUsable(daemon: Daemon): Promise<void> {
  // The machine went down over them: policies say which start again.
  for (const name of ['steady', 'updated', 'cold']) await daemon.untilState(name, (state) => state.Running);
  const { State, NetworkSettings } = await daemon.inspect('steady');
  assert.equal(NetworkSettings.Networks.front.IPAddress, '10.77.1.200');
  assert.equal(NetworkSettings.Networks.back !== undefined, true);
  assert.ok(alive(State.Pid));
  for (const [name, status] of [['ended', 'exited'], ['halted', 'exited'], ['renamed', 'exited'], ['waiting', 'created'], ['guest', 'created']] as const) {
    assert.equal((await daemon.inspect(name)).State.Status, status, name);
  }
  assert.equal((await daemon.inspect('ended')).State.ExitCode, 3);
  await daemon.untilState('trying', (state) => state.Restarting);
  await daemon.ok('start', 'halted');
  await daemon.ok('start', 'guest');
  assert.match(await daemon.ok('logs', 'halted'), /^ready\nbye\nready$/);
  await daemon.ok('stop', 'halted', 'guest', 'trying');
  assert.equal((await daemon.docker(['run', '--rm', 'tiny:two', '/bin/tiny', 'exit', '6'])).code, 6);
}

suite('a newer major', { skip }, () => {
  /** Rewrites a record as a newer major; gives its bytes. */
  function raise(file: string): Buffer {
    const record = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
    writeFileSync(file, JSON.stringify({ ...record, schema: 99, novel: true }));
    return readFileSync(file);
  }

  test('S8: of the data root: the daemon says so, naming the release, and touches nothing', async () => {
    await withDaemon({ config: LIVE }, async (daemon) => {
      const file = path.join(daemon.dataRoot, 'version');
      assert.equal((JSON.parse(readFileSync(file, 'utf8')) as { schema: number }).schema, 1);
      await daemon.ok('run', '-d', '--name', 'web', '-p', '18080:7', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
      const before = await runs(daemon);
      await daemon.kill9();
      const version = readFileSync(file);
      writeFileSync(file, '{"schema": 2, "release": "1.4.0"}');
      const held = [...stamps(daemon.dataRoot), ...stamps(daemon.execRoot)];
      assert.equal(await daemon.startOrDie(), false);
      assert.match(daemon.complaints(), /the data root \S+ has format 2 \(moored 1\.4\.0\), and moored \d\S+ reads up to format 1/);
      assert.deepEqual([...stamps(daemon.dataRoot), ...stamps(daemon.execRoot)], held);
      assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
      writeFileSync(file, version);
      await daemon.start();
      assert.deepEqual(await runs(daemon), before);
    });
  });

  test('S8: of a data root’s version that cannot be read: it is put aside', async () => {
    await withDaemon({ config: LIVE, image: false }, async (daemon) => {
      await daemon.kill9();
      writeFileSync(path.join(daemon.dataRoot, 'version'), '{');
      await daemon.start();
      assert.deepEqual(readdirSync(daemon.dataRoot).filter((name) => name.startsWith('version')).toSorted(), ['version', 'version.corrupt']);
    });
  });

  test('S8: of the records of a container, a network, a volume, an image', { timeout: 120_000 }, async () => {
    await withDaemon({ config: LIVE }, async (daemon) => {
      const network = await daemon.ok('network', 'create', 'novel');
      await daemon.ok('volume', 'create', 'novel');
      const id = await daemon.ok('run', '-d', '--name', 'web', '--network', 'novel', '-v', 'novel:/data', '-p', '18080:7', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
      await daemon.ok('run', '-d', '--name', 'bystander', 'busybox', 'sleep', '600');
      const { Pid } = (await daemon.inspect('web')).State;
      const image = (await daemon.inspect('web')).Image.replace('sha256:', '') as string;
      await daemon.kill9();
      const files = [`containers/${id}/config.json`, `networks/${network}.json`, 'volumes/novel/volume.json', `images/records/${image}.json`].map((name) => path.join(daemon.dataRoot, name));
      const bytes = files.map(raise);
      await daemon.start();
      assert.ok(alive(Pid));
      assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
      const subject = (await daemon.inspect(id)).State;
      assert.match(subject.Error, /schema 99/);
      assert.equal((await daemon.inspect('bystander')).State.Status, 'running');
      for (const [args, complaint] of [
        [['network', 'inspect', 'novel'], /written by a newer release \(schema 99/],
        [['network', 'create', 'novel'], /already exists.*schema 99/],
        [['network', 'rm', 'novel'], /schema 99/],
        [['volume', 'rm', '-f', 'novel'], /newer release \(schema 99/],
        [['run', '--rm', '-v', 'novel:/data', 'bystander', 'true'], /./],
      ] as const) {
        const { code, stderr } = await daemon.docker(args);
        assert.notEqual(code, 0, args.join(' '));
        assert.match(stderr, complaint, args.join(' '));
      }
      assert.match((await daemon.request('GET', '/info')).json().Warnings.join('\n'), /network novel cannot be used: .*schema 99/);
      assert.deepEqual(files.map((file) => readFileSync(file)), bytes);
      assert.deepEqual(readdirSync(path.join(daemon.dataRoot, 'networks')).filter((name) => name.includes('corrupt')), []);
      await daemon.ok('stop', '-t', '0', id);
      assert.equal(alive(Pid), false);
      assert.deepEqual(files.map((file) => readFileSync(file)), bytes);
      await daemon.kill9();
      for (const file of files) writeFileSync(file, readFileSync(file, 'utf8').replace('"schema":99', '"schema":1'));
      await daemon.start();
      await daemon.ok('rm', '-f', 'web', 'bystander');
    });
  });

  test('S8: of the default network: nothing is put in its place', async () => {
    await withDaemon({ config: LIVE }, async (daemon) => {
      const id = await daemon.ok('network', 'inspect', '-f', '{{.Id}}', 'bridge');
      await daemon.kill9();
      const file = path.join(daemon.dataRoot, 'networks', `${id}.json`);
      const bytes = raise(file);
      const present = readdirSync(path.dirname(file));
      await daemon.start();
      assert.match((await daemon.docker(['run', '--rm', 'busybox', 'true'])).stderr, /network bridge cannot be used: .*schema 99/);
      assert.equal(await daemon.ok('run', '--rm', '--network', 'host', 'busybox', 'echo', 'other'), 'other');
      assert.deepEqual(readFileSync(file), bytes);
      assert.deepEqual(readdirSync(path.dirname(file)), present);
    });
  });

  test('S8: of the shim contract: its container stays listed with the reason, and can be stopped', { timeout: 180_000 }, async () => {
    await withDaemon({ config: LIVE }, async (daemon) => {
      const id = await daemon.ok('run', '-d', '--name', 'novel', 'busybox', 'sleep', '600');
      const other = await daemon.ok('run', '-d', '--name', 'bystander', 'busybox', 'sleep', '600');
      await daemon.kill9();
      await replaceShim(daemon, id, newerShim(daemon.dir));
      const { pid } = statusOf(daemon, id);
      const started = performance.now();
      await daemon.start();
      assert.ok(performance.now() - started < 10_000);
      assert.equal((await daemon.inspect(other)).State.Status, 'running');
      const { State } = await daemon.inspect(id);
      assert.match(State.Error, /its shim speaks contract 2\.0/);
      assert.match(await daemon.ok('ps', '-a', '--format', '{{.Names}}'), /novel/);
      assert.ok(alive(pid));
      await daemon.ok('stop', '-t', '1', id);
      await ended(pid);
      await daemon.ok('rm', '-f', id, other);
      await daemon.assertClean();
    });
  });
});

/** Path, size, time of change and inode of everything below, what live shims write left out. */
const stamps = (root: string): string[] => lines(execFileSync('find', [root, '-not', '-path', '*/layers/*', '-not', '-name', '*.log', '-printf', '%p %s %C@ %i\n'], { encoding: 'utf8' })).toSorted();

/** Builds today's shim as one that says it speaks contract 2.0. */
function newerShim(dir: string): string {
  const sources = path.join(dir, 'shim');
  mkdirSync(sources);
  const shim = path.join(projectRoot, 'shim');
  cpSync(shim, sources, { recursive: true, filter: (source) => path.relative(shim, source) !== 'build' });
  for (const name of readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((each) => /\.[ch]$/.test(each))) {
    const file = path.join(sources, name);
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace(/#define CONTRACT "\S+"/, '#define CONTRACT "2.0"').replaceAll(/"moored-status \d+\.\d+/g, '"moored-status 2.0'));
  }
  execFileSync('make', ['-s', '-C', sources, 'CFLAGS=-O0']);
  return path.join(sources, 'build/moored-shim');
}

const statusOf = (daemon: Daemon, id: string): { pid: number; shimPid: number } => {
  const text = readFileSync(path.join(daemon.execRoot, 'containers', id, 'status'), 'utf8');
  const field = (name: string): number => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? assert.fail(text));
  return { pid: field('pid'), shimPid: field('shim-pid') };
};

/** Puts another shim in the place of a container's, as a newer daemon would have started it. */
async function replaceShim(daemon: Daemon, id: string, shim: string): Promise<void> {
  const dir = path.join(daemon.execRoot, 'containers', id);
  const { shimPid } = statusOf(daemon, id);
  process.kill(shimPid, 'SIGKILL');
  await ended(shimPid);
  // Its sockets died with it; descriptor 3 is the ready pipe.
  const spec = readFileSync(path.join(dir, 'spec'), 'utf8').split('\n').filter((line) => !/^(?:port|hold) /.test(line)).join('\n');
  writeFileSync(path.join(dir, 'spec'), spec);
  const said = execFileSync('sh', ['-c', '{ setsid "$0" adopt "$1" 3>&1 >/dev/null </dev/null 2>/dev/null & } | head -n 1', shim, dir], { encoding: 'utf8', cwd: '/', timeout: 20_000 });
  assert.match(said, /^ok/);
  await eventually(() => existsSync(path.join(dir, 'shim.sock')) && /^contract 2\.0$/m.test(readFileSync(path.join(dir, 'status'), 'utf8')), 'its status');
}
