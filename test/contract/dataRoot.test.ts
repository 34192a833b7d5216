/** S6 of docs/continuity.md: a data root that was moved with its content while containers run, and one that is only another. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { alive, eventually } from '../fixtures/processes.ts';
import { mooredOnly } from '../fixtures/target.ts';

const PORT = 18_080;
const daemon = useDaemon({ config: { 'live-restore': true } });
const skip = mooredOnly('dockerd loses what runs');
const notices = async (): Promise<string> => ((await daemon.request('GET', '/info')).json().Warnings as string[]).join('\n');

async function startKept(): Promise<string> {
  const id = await daemon.ok('run', '-d', '--name', 'kept', '-p', `${PORT}:7`, 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
  await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', PORT)).code === 0, 'the server');
  return id;
}

/** Lines with a number, as fast as they are asked for: `kill -USR1` makes the next hundred. */
const COUNTER = 'n=0; trap \'i=0; while [ $i -lt 100 ]; do n=$((n+1)); i=$((i+1)); echo line $n; done\' USR1; echo started; while :; do sleep 0.1; done';
/** What is in a container's log files, of all turns; empty while one is being turned. */
function readLogs(folder: string): string {
  try {
    const files = readdirSync(folder).filter((name) => name.includes('-json.log'));
    return files.map((name) => readFileSync(path.join(folder, name), 'utf8')).join('');
  } catch {
    return '';
  }
}
const counted = (text: string): number[] => text.split('\n').flatMap((line) => (/^line \d+$/.test(line) ? [Number(line.slice(5))] : []));

test('S6: the data root moved with its content to another path', skip, async () => {
  const roots = [daemon.dataRoot, path.join(daemon.dir, 'moved')] as const;
  await daemon.ok('network', 'create', 'own');
  await daemon.ok('volume', 'create', 'kept-volume');
  const server = await daemon.ok('run', '-d', '--name', 'kept', '-p', `${PORT}:7`, '-v', 'kept-volume:/v', '--restart', 'always', 'busybox', 'sh', '-c', 'echo started; exec nc -ll -p 7 -e cat');
  const writer = await daemon.ok('run', '-d', '--name', 'writer', '--network', 'own', '--log-opt', 'max-size=1k', '--log-opt', 'max-file=50', 'busybox', 'sh', '-c', COUNTER);
  const pids = await Promise.all([server, writer].map(async (id) => (await daemon.inspect(id)).State.Pid as number));
  const write = async (lines: number): Promise<void> => {
    process.kill(pids[1] ?? assert.fail(), 'SIGUSR1');
    await eventually(() => roots.some((root) => readLogs(path.join(root, 'containers', writer)).match(/"log":"line \d+\\n"/g)?.length === lines), `${lines} lines in the log`);
  };
  await write(100);
  for (const [index, [from, to]] of [roots, [roots[1], roots[0]] as const].entries()) {
    await daemon.kill9();
    renameSync(from, to);
    // Nobody has told the shim yet, and its log turns several times.
    await write(200 + index * 200);
    await daemon.start(['--data-root', to]);
    assert.deepEqual(await Promise.all([server, writer].map(async (id) => (await daemon.inspect(id)).State.Pid as number)), pids);
    assert.doesNotMatch(await notices(), /wait|no record/);
    assert.equal((await daemon.request('GET', '/info')).json().DockerRootDir, to);
    assert.equal((await daemon.talk('tcp', '127.0.0.1', PORT)).stdout, 'hello\n');
    assert.equal(await daemon.ok('exec', server, 'sh', '-c', 'echo x >> /v/file; echo inside'), 'inside');
    await write(300 + index * 200);
    assert.deepEqual(counted(await daemon.ok('logs', writer)), Array.from({ length: 300 + index * 200 }, (_, n) => n + 1));
    const { Mounts, LogPath, HostsPath } = await daemon.inspect(server);
    assert.deepEqual([Mounts[0].Source, LogPath, HostsPath], [path.join(to, 'volumes/kept-volume/_data'), path.join(to, 'containers', server, `${server}-json.log`), path.join(to, 'containers', server, 'hosts')]);
  }
  // Its shim restarts it by itself, from a bundle that names the root as it is now.
  await daemon.kill9();
  process.kill(pids[0] ?? assert.fail(), 'SIGKILL');
  await eventually(async () => (await daemon.talk('tcp', '127.0.0.1', PORT)).stdout === 'hello\n', 'the server after its restart');
  await daemon.start(['--data-root', roots[0]]);
  const { State, RestartCount } = await daemon.inspect(server);
  assert.deepEqual([State.Status, RestartCount], ['running', 1]);
  assert.equal(await daemon.ok('exec', server, 'cat', '/v/file'), 'x\nx');
  for (const id of [server, writer]) {
    await daemon.ok('restart', '-t', '0', id);
    await daemon.ok('stop', '-t', '0', id);
    await daemon.ok('start', id);
    await daemon.ok('rm', '-f', id);
  }
  await daemon.ok('network', 'rm', 'own');
  await daemon.ok('volume', 'rm', 'kept-volume');
});

test('S6: another data root: the one in use stays until none of its containers runs', skip, async () => {
  const id = await startKept();
  const elsewhere = path.join(daemon.dir, 'other-data');
  await daemon.kill9();
  await daemon.start(['--data-root', elsewhere]);
  assert.match(await notices(), /data-root .*other-data waits until no container of .*data runs/);
  assert.equal((await daemon.request('GET', '/info')).json().DockerRootDir, daemon.dataRoot);
  assert.equal((await daemon.inspect(id)).State.Running, true);
  await daemon.ok('rm', '-f', id);
  await daemon.kill9();
  await daemon.start(['--data-root', elsewhere]);
  assert.deepEqual([(await daemon.request('GET', '/info')).json().DockerRootDir, await daemon.ok('ps', '-aq')], [elsewhere, '']);
  await daemon.kill9();
  await daemon.start();
});

test('S6: the data root moved, and the old path given: nothing is ended, and the right path finds all', skip, async () => {
  const id = await startKept();
  const before = await daemon.inspect(id);
  const moved = path.join(daemon.dir, 'moved');
  await daemon.kill9();
  renameSync(daemon.dataRoot, moved);
  await daemon.start();
  const listed = await daemon.inspect(id);
  assert.deepEqual([listed.State.Pid, alive(before.State.Pid)], [before.State.Pid, true]);
  assert.match(await notices(), new RegExp(`container ${id.slice(0, 12)}.*no record in ${daemon.dataRoot}`));
  assert.equal((await daemon.talk('tcp', '127.0.0.1', PORT)).stdout, 'hello\n');
  await daemon.kill9();
  rmSync(daemon.dataRoot, { recursive: true });
  await daemon.start(['--data-root', moved]);
  const after = await daemon.inspect(id);
  assert.deepEqual([after.State.Pid, after.State.Status, after.Name], [before.State.Pid, 'running', '/kept']);
  await daemon.ok('rm', '-f', id);
  await daemon.kill9();
  renameSync(moved, daemon.dataRoot);
  await daemon.start();
});
