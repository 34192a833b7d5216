/** B10 of docs/continuity.md, and ports whose way into a running container changes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { alive, ended, eventually } from '../fixtures/processes.ts';
import { engineCommand, target } from '../fixtures/target.ts';
import { requestFds } from '../../src/sys/receiveFds.ts';

const skip = target === 'dockerd' ? 'dockerd has no shims of its own' : false;
const daemon = useDaemon({ config: { 'live-restore': true } }, async () => {
  if (target !== 'moored') return;
  await daemon.ok('network', 'create', 'mesh');
  await daemon.ok('network', 'create', 'other');
});

const SERVER = ['busybox', 'nc', '-ll', '-p', '7', '-e', 'cat'];
const shimOf = async (name: string): Promise<number> => Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${(await daemon.inspect(name)).State.Pid}/status`, 'utf8'))?.[1]);
const shimSocket = async (name: string): Promise<string> => path.join(daemon.execRoot, 'containers', (await daemon.inspect(name)).Id, 'shim.sock');

/** Another process in the host's place that has a port until it is told to go. */
async function thief(address: string, port: number): Promise<() => Promise<void>> {
  const script = `require('node:net').createServer((s) => s.end('thief')).listen(${port}, '${address}', () => console.log('has it'))`;
  const child = spawn('nsenter', [`--net=/run/netns/${daemon.netns}`, process.execPath, '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  return async () => {
    const gone = once(child, 'exit');
    child.kill('SIGKILL');
    await gone;
  };
}

async function doctor(): Promise<string> {
  const { command, env } = engineCommand('moored');
  const child = spawn('nsenter', [`--net=/run/netns/${daemon.netns}`, command, 'doctor', '--config-file', daemon.configFile, '--data-root', daemon.dataRoot, '--exec-root', daemon.execRoot], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return text;
}

const warnings = async (): Promise<string[]> => (JSON.parse(await daemon.ok('info', '--format', '{{json .Warnings}}')) as string[] | null ?? []).filter((line) => line.includes('published port'));

test('B10: a port that another process took while the shim was dead is shown as lost, and published again when it is free', { skip, timeout: 120_000 }, async () => {
  await daemon.ok('run', '-d', '--name', 'web', '-p', '0.0.0.0:18080:7', '-p', '0.0.0.0:18081:7', ...SERVER);
  const before = await daemon.inspect('web');
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
  const shim = await shimOf('web');
  await daemon.kill9();
  process.kill(shim, 'SIGKILL');
  await ended(shim);
  const leave = await thief('0.0.0.0', 18_080);
  try {
    await daemon.start();
    await eventually(async () => (await warnings()).length === 1, 'the loss in docker info');
    assert.deepEqual(await warnings(), ['WARNING: container web: its published port 0.0.0.0:18080/tcp is taken by another process; it is published again when it is free']);
    const { State, NetworkSettings } = await daemon.inspect('web');
    assert.deepEqual([State.Status, State.Pid], ['running', before.State.Pid]);
    assert.deepEqual(NetworkSettings.Ports['7/tcp'], [{ HostIp: '0.0.0.0', HostPort: '18081' }]);
    assert.equal(await daemon.ok('ps', '--filter', 'name=web', '--format', '{{.Ports}}'), '0.0.0.0:18081->7/tcp');
    assert.match(await doctor(), /problem +ports +taken by another process: tcp 0\.0\.0\.0:18080\n/);
    assert.match(readFileSync(daemon.logFile, 'utf8'), /a published port was taken by another process/);
    assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'thief', 'what it has it is served');
    assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_081)).stdout, 'hello\n');
    // It is managed like any other, and what is lost is nobody else's.
    assert.equal(await daemon.ok('exec', 'web', 'echo', 'managed'), 'managed');
    const refused = await daemon.docker(['run', '--rm', '-p', '0.0.0.0:18080:7', 'busybox', 'true']);
    assert.match(refused.stderr, /port is already allocated|address already in use/);
    await daemon.crash();
    await eventually(async () => (await warnings()).length === 1, 'the loss, told by the next daemon');
  } finally {
    await leave();
  }
  await eventually(async () => (await warnings()).length === 0, 'the port again');
  assert.deepEqual(lines(await daemon.ok('port', 'web')).toSorted(), ['7/tcp -> 0.0.0.0:18080', '7/tcp -> 0.0.0.0:18081']);
  assert.equal((await daemon.talk('tcp', '127.0.0.1', 18_080)).stdout, 'hello\n');
  assert.match((await daemon.talk('bind-tcp', '0.0.0.0', 18_080)).stderr, /EADDRINUSE/, 'reserved again');
  assert.doesNotMatch(await doctor(), /taken by another|not held by its shim/);
  await daemon.ok('rm', '-f', 'web');
});

test('a relay leads to the network that the container is on now', { skip, timeout: 60_000 }, async () => {
  await daemon.ok('run', '-d', '--name', 'relayed', '--network', 'mesh', '-p', '[::1]:18082:7', ...SERVER);
  assert.equal((await daemon.talk('tcp', '::1', 18_082)).stdout, 'hello\n');
  await daemon.ok('network', 'connect', 'other', 'relayed');
  await daemon.ok('network', 'disconnect', 'mesh', 'relayed');
  assert.equal((await daemon.talk('tcp', '::1', 18_082)).stdout, 'hello\n');
  await daemon.ok('rm', '-f', 'relayed');
});

test('a container that joins its first user-defined network while it runs: its shim holds the resolver’s sockets', { skip, timeout: 60_000 }, async () => {
  await daemon.ok('run', '-d', '--name', 'joiner', 'busybox', 'sleep', '600');
  await daemon.ok('run', '-d', '--name', 'neighbour', '--network', 'mesh', 'busybox', 'sleep', '600');
  await daemon.ok('network', 'connect', 'mesh', 'joiner');
  assert.match(await daemon.ok('exec', 'joiner', 'nslookup', 'neighbour'), /Name:\s+neighbour/);
  const { line, fds } = await requestFds(await shimSocket('joiner'), 'give-sockets\n', { timeoutMs: 5000 });
  assert.equal(line, 'ok sockets=resolver-udp,resolver-tcp');
  for (const fd of fds) closeSync(fd);
  assert.ok(alive(await shimOf('joiner')));
  assert.deepEqual(lines(await daemon.ok('rm', '-f', 'joiner', 'neighbour')), ['joiner', 'neighbour']);
});
