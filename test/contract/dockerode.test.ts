/** dockerode, the client of testcontainers and many tools: no Upgrade header unless asked, list-form filters, streams as Node has them. */
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import type { Duplex, Readable } from 'node:stream';
import { test } from 'node:test';
import { useDaemon } from '../fixtures/daemon.ts';

interface Exec {
  start(options: Record<string, unknown>): Promise<Duplex>;
  inspect(): Promise<{ Running: boolean; ExitCode: number }>;
}

interface Container {
  readonly id: string;
  attach(options: Record<string, unknown>): Promise<Duplex>;
  start(): Promise<unknown>;
  wait(): Promise<{ StatusCode: number }>;
  inspect(): Promise<{ State: { Status: string } }>;
  exec(options: Record<string, unknown>): Promise<Exec>;
  logs(options: Record<string, unknown>): Promise<Readable>;
  remove(options?: Record<string, unknown>): Promise<unknown>;
}

/** As much of it as is used here: it has no types of its own. */
interface Dockerode {
  createContainer(options: Record<string, unknown>): Promise<Container>;
  getContainer(name: string): Container;
  listContainers(options: Record<string, unknown>): Promise<{ Names: string[] }[]>;
  getEvents(options: Record<string, unknown>): Promise<Readable>;
  version(): Promise<{ ApiVersion: string }>;
  modem: { demuxStream(stream: Readable, stdout: PassThrough, stderr: PassThrough): void };
}

const Docker = createRequire(import.meta.url)('dockerode') as new (options: { socketPath: string }) => Dockerode;

const daemon = useDaemon();
const client = (): Dockerode => new Docker({ socketPath: daemon.socket });

async function textOf(stream: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

/** stdout and stderr of a framed stream that has ended by itself. */
async function demultiplexed(docker: Dockerode, stream: Readable): Promise<[string, string]> {
  const [out, error] = [new PassThrough(), new PassThrough()];
  docker.modem.demuxStream(stream, out, error);
  stream.once('end', () => {
    out.end();
    error.end();
  });
  return Promise.all([textOf(out), textOf(error)]);
}

test('create, attach without an upgrade, start, wait, remove', async () => {
  const docker = client();
  assert.equal((await docker.version()).ApiVersion, '1.51');
  const container = await docker.createContainer({ name: 'ode-life', Image: 'busybox', Cmd: ['sh', '-c', 'echo out; echo err >&2; exit 3'] });
  const stream = await container.attach({ stream: true, stdout: true, stderr: true });
  const output = demultiplexed(docker, stream);
  await container.start();
  assert.equal((await container.wait()).StatusCode, 3);
  assert.deepEqual(await output, ['out\n', 'err\n']);
  await container.remove();
});

test('stdin through a hijacked attach, to its end', async () => {
  const docker = client();
  const container = await docker.createContainer({ Image: 'busybox', Cmd: ['wc', '-c'], OpenStdin: true, StdinOnce: true });
  const stream = await container.attach({ stream: true, hijack: true, stdin: true, stdout: true, stderr: true });
  const output = demultiplexed(docker, stream);
  await container.start();
  stream.end(Buffer.alloc(200_000, 'x'));
  assert.deepEqual(await output, ['200000\n', '']);
  await container.remove({ force: true });
});

test('exec with and without an upgrade, and its exit code', async () => {
  const docker = client();
  const container = await docker.createContainer({ Image: 'busybox', Cmd: ['sleep', '600'] });
  await container.start();
  for (const hijack of [true, false]) {
    const exec = await container.exec({ Cmd: ['sh', '-c', 'read line; echo "$line"; exit 5'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
    const stream = await exec.start({ hijack, stdin: true });
    // Without an upgrade a client of Node's has no way to say that its input ended.
    stream.write('from the client\n');
    assert.deepEqual(await demultiplexed(docker, stream), ['from the client\n', ''], `hijack ${hijack}`);
    assert.equal((await exec.inspect()).ExitCode, 5);
  }
  await container.remove({ force: true });
});

test('list with filters in their list form, logs that follow, events', async () => {
  const docker = client();
  const since = Math.floor(Date.now() / 1000) - 1;
  const container = await docker.createContainer({ name: 'ode-listed', Image: 'busybox', Labels: { mark: 'ode' }, Cmd: ['sh', '-c', 'echo one; echo two'] });
  await container.start();
  const followed = await container.logs({ follow: true, stdout: true, stderr: true });
  assert.deepEqual(await demultiplexed(docker, followed), ['one\ntwo\n', '']);
  await container.wait();
  const found = await docker.listContainers({ all: true, filters: { label: ['mark=ode'] } });
  assert.deepEqual(found.map(({ Names }) => Names), [['/ode-listed']]);
  await container.remove();
  const events = await textOf(await docker.getEvents({ since, until: Math.ceil(Date.now() / 1000), filters: { container: [container.id] } }));
  const actions = events.trim().split('\n').map((line) => (JSON.parse(line) as { Action: string }).Action);
  assert.deepEqual(actions.filter((action) => ['create', 'start', 'die', 'destroy'].includes(action)), ['create', 'start', 'die', 'destroy']);
});

test('errors have the status and the words that clients look for', async () => {
  const docker = client();
  await assert.rejects(docker.getContainer('nobody').inspect(), { statusCode: 404, message: /No such container: nobody/ });
  await assert.rejects(docker.createContainer({ Image: 'no-such-image' }), { statusCode: 404, message: /No such image: no-such-image:latest/ });
});
