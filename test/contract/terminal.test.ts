/** Terminals: `-t`, resizing, detach keys. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';
import { eventually } from '../fixtures/processes.ts';

const daemon = useDaemon();

test('-t gives a terminal, and stderr goes the same way', async () => {
  const session = daemon.terminal(['run', '--rm', '-t', 'busybox', 'sh', '-c', 'test -t 0 && test -t 1 && test -t 2 && echo yes; echo err >&2']);
  const { code, stdout } = await session.result();
  // The client's own terminal is not raw without -i and adds a carriage return.
  assert.deepEqual([code, stdout.replaceAll('\r', '')], [0, 'yes\nerr\n']);
});

test('-it: a shell that answers, and whose exit code comes back', async () => {
  const session = daemon.terminal(['run', '--rm', '-it', 'busybox', 'sh']);
  await session.until('# ');
  session.send('echo a-$((6*7))\n');
  await session.until('a-42');
  session.send('exit 5\n');
  assert.equal((await session.result()).code, 5);
});

test('the size of the client’s terminal is the container’s, and later sizes too', async () => {
  const id = await daemon.ok('run', '-dit', 'busybox', 'sh');
  assert.equal((await daemon.request('POST', `/containers/${id}/resize?h=41&w=123`)).status, 200);
  const attached = await daemon.hijack('POST', `/containers/${id}/attach?stream=1&stdin=1&stdout=1`, { headers: { Connection: 'Upgrade', Upgrade: 'tcp' } });
  attached.socket.write('stty size\n');
  await attached.until('41 123');
  attached.socket.destroy();
  await daemon.ok('rm', '-f', id);
});

test('resize says what is wrong', async () => {
  const id = await daemon.ok('create', '-t', 'busybox', 'sh');
  assert.equal((await daemon.request('POST', `/containers/${id}/resize?h=x&w=80`)).status, 400);
  const stopped = await daemon.request('POST', `/containers/${id}/resize?h=24&w=80`);
  assert.equal(stopped.status, 409);
  assert.match(stopped.message(), new RegExp(`ontainer ${id} is not running`));
  await daemon.ok('rm', id);
});

test('detach keys leave the container running', async () => {
  const session = daemon.terminal(['run', '-it', '--name', 'detached', 'busybox', 'sh']);
  await session.until('# ');
  session.send('\u0010\u0011');
  const { code } = await session.result();
  assert.equal(code, 0);
  assert.equal((await daemon.inspect('detached')).State.Running, true);
});

test('attach again, other detach keys, exit', async () => {
  const session = daemon.terminal(['attach', '--detach-keys', 'ctrl-x,q', 'detached']);
  session.send('echo b-$((6*7))\n');
  await session.until('b-42');
  session.send('\u0018q');
  await session.result();
  assert.equal((await daemon.inspect('detached')).State.Running, true);
  const last = daemon.terminal(['attach', 'detached']);
  last.send('exit 4\n');
  assert.equal((await last.result()).code, 4);
  await daemon.ok('rm', 'detached');
});

test('an interrupt from the terminal', async () => {
  const session = daemon.terminal(['run', '--rm', '-it', '--init', 'busybox', 'sh', '-c', 'echo ready; sleep 600']);
  await session.until('ready');
  session.send('\u0003');
  assert.equal((await session.result()).code, 130);
});

test('logs of a terminal are not framed', async () => {
  const id = await daemon.ok('run', '-dt', 'busybox', 'echo', 'hello');
  await daemon.ok('wait', id);
  const answer = await daemon.request('GET', `/containers/${id}/logs?stdout=1&stderr=1`);
  assert.equal(answer.text, 'hello\r\n');
  await daemon.ok('rm', id);
});

test('exec -it', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  const session = daemon.terminal(['exec', '-it', id, 'sh']);
  await session.until('# ');
  session.send('tty; exit 9\n');
  const { code, stdout } = await session.result();
  assert.equal(code, 9);
  assert.match(stdout, /\/dev\/pts\/0/);
  await daemon.ok('rm', '-f', id);
});

test('the size of an exec’s terminal', async () => {
  const id = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  const exec = (await daemon.request('POST', `/containers/${id}/exec`, { body: { Cmd: ['sh'], Tty: true, AttachStdin: true, AttachStdout: true } })).json().Id as string;
  const session = await daemon.hijack('POST', `/exec/${exec}/start`, { headers: { Connection: 'Upgrade', Upgrade: 'tcp' }, body: { Tty: true } });
  await eventually(async () => (await daemon.request('POST', `/exec/${exec}/resize?h=33&w=99`)).status < 300, 'the resize');
  session.socket.write('stty size\n');
  await session.until('33 99');
  session.socket.end('exit\n');
  await session.rest();
  await daemon.ok('rm', '-f', id);
});
