/** The suite that every adapter of the LogTarget port passes, against real receivers; then what each protocol has of its own. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo, Server, Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createServer as createTlsServer } from 'node:tls';
import { gunzipSync } from 'node:zlib';
import { GelfChunks, parseEvents, splitCounted, splitEnded } from '../../../test/fixtures/logProtocols.ts';
import type { LogSubject } from '../../core/log/attributes.ts';
import { DeliveryError } from '../../core/ports/logTargets.ts';
import type { LogMessage, LogTarget } from '../../core/ports/logTargets.ts';
import { DatagramReceiver } from '../../sys/datagramReceiver.fixture.ts';
import { journaldTarget } from './journald.ts';
import { openTarget } from './open.ts';
import { StreamTarget } from './streamTarget.ts';

const dir = mkdtempSync(join(tmpdir(), 'moored-targets-'));
process.on('exit', () => rmSync(dir, { recursive: true, force: true }));

const subject: LogSubject = { id: 'c'.repeat(64), name: 'web', imageId: 'i', imageName: 'busybox', hostname: 'h', command: ['x'], labels: {}, env: [], createdNs: 0n };
const messages = (from: number, count: number): LogMessage[] => Array.from({ length: count }, (_, n) => ({ stream: 'stdout', timeNs: 1_700_000_000_000_000_000n, text: `n ${from + n}.`, ordinal: from + n, partial: undefined }));

/** A receiver that can be away. */
interface Peer {
  start(): Promise<void>;
  /** In good order: all that came is read. */
  stop(): Promise<void>;
  /** Resolves with the texts of all messages when so many have come. */
  until(count: number): Promise<string[]>;
}

/** Splits what came over one connection into texts. */
type Split = (bytes: Buffer, socket: Socket) => { texts: string[]; rest: Buffer };

class StreamPeer implements Peer {
  readonly #listen: (server: Server) => void;
  readonly #make: (serve: (socket: Socket) => void) => Server;
  readonly #split: Split;
  readonly #texts: string[] = [];
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #came: () => void = () => {};

  constructor(listen: (server: Server) => void, split: Split, make: (serve: (socket: Socket) => void) => Server = createServer) {
    this.#listen = listen;
    this.#split = split;
    this.#make = make;
  }

  async start(): Promise<void> {
    this.#server = this.#make((socket) => this.#serve(socket));
    this.#listen(this.#server);
    await once(this.#server, 'listening');
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server?.close();
    await once(this.#server ?? assert.fail(), 'close');
  }

  async until(count: number): Promise<string[]> {
    while (this.#texts.length < count) await new Promise<void>((resolve) => (this.#came = resolve));
    return this.#texts;
  }

  #serve(socket: Socket): void {
    let rest: Buffer = Buffer.alloc(0);
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk: Buffer) => {
      const split = this.#split(Buffer.concat([rest, chunk]), socket);
      this.#texts.push(...split.texts);
      ({ rest } = split);
      this.#came();
    });
  }
}

class UdpPeer implements Peer {
  readonly #port: number;
  readonly #textOf: (datagram: Buffer) => string | undefined;
  readonly #texts: string[] = [];
  #socket = createSocket('udp4');
  #came: () => void = () => {};

  constructor(port: number, textOf: (datagram: Buffer) => string | undefined) {
    this.#port = port;
    this.#textOf = textOf;
  }

  async start(): Promise<void> {
    this.#socket = createSocket('udp4');
    this.#socket.on('message', (datagram) => {
      const text = this.#textOf(datagram);
      if (text !== undefined) this.#texts.push(text);
      this.#came();
    });
    this.#socket.bind(this.#port, '127.0.0.1');
    await once(this.#socket, 'listening');
  }

  async stop(): Promise<void> {
    this.#socket.close();
    await once(this.#socket, 'close');
  }

  async until(count: number): Promise<string[]> {
    while (this.#texts.length < count) await new Promise<void>((resolve) => (this.#came = resolve));
    return this.#texts;
  }
}

class DatagramPeer implements Peer {
  readonly #path: string;
  readonly #texts: string[] = [];
  #receiver: DatagramReceiver | undefined;
  #taking: NodeJS.Timeout | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  start(): Promise<void> {
    const receiver = new DatagramReceiver(this.#path);
    this.#receiver = receiver;
    // The kernel holds ten datagrams and no more.
    this.#taking = setInterval(() => {
      while (receiver.take());
    }, 1);
    return Promise.resolve();
  }

  stop(): Promise<void> {
    clearInterval(this.#taking);
    this.#collect();
    this.#receiver?.[Symbol.dispose]();
    return Promise.resolve();
  }

  async until(count: number): Promise<string[]> {
    await this.#receiver?.until(count - this.#texts.length);
    this.#collect();
    return this.#texts;
  }

  #collect(): void {
    this.#texts.push(...(this.#receiver?.received.splice(0) ?? []).map(String));
  }
}

/** A port that is free now. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

const onPort = (port: number) => (server: Server): void => void server.listen(port, '127.0.0.1');
const onPath = (path: string) => (server: Server): void => void server.listen(path);
const ended = (end: number): Split => (bytes) => splitEnded(bytes, end);

const acked: Split = (bytes, socket) => {
  const { events, chunks, rest } = parseEvents(bytes);
  for (const chunk of chunks) socket.write(Buffer.concat([Buffer.from([0x81, 0xa3]), Buffer.from('ack'), Buffer.from([0xd9, chunk.length]), Buffer.from(chunk)]));
  return { texts: events.map(({ record }) => String(record['log'])), rest };
};

const gelfPieces = new GelfChunks();
const gelfText = (datagram: Buffer): string | undefined => {
  const whole = gelfPieces.take(datagram);
  return whole === undefined ? undefined : (JSON.parse(gunzipSync(whole).toString()) as { short_message: string }).short_message;
};

let certificate: string | undefined;

/** A self-signed certificate for localhost and 127.0.0.1: `<path>.crt`, `<path>.key`. */
function tlsFiles(): string {
  if (certificate === undefined) {
    certificate = join(dir, 'tls');
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', `${certificate}.key`, '-out', `${certificate}.crt`], { stdio: 'ignore' });
  }
  return certificate;
}

const tlsServer = (serve: (socket: Socket) => void): Server => createTlsServer({ key: readFileSync(`${tlsFiles()}.key`), cert: readFileSync(`${tlsFiles()}.crt`) }, serve);

const ADAPTERS: Readonly<Record<string, (port: number) => { target: LogTarget; peer: Peer }>> = {
  'syslog tcp': (port) => ({ target: openTarget('syslog', { 'syslog-address': `tcp://127.0.0.1:${port}` }, subject), peer: new StreamPeer(onPort(port), ended(0x0a)) }),
  'syslog tls': (port) => ({
    target: openTarget('syslog', { 'syslog-address': `tcp+tls://localhost:${port}`, 'syslog-format': 'rfc5424', 'syslog-tls-ca-cert': `${tlsFiles()}.crt` }, subject),
    peer: new StreamPeer(onPort(port), splitCounted, tlsServer),
  }),
  'syslog unix': (port) => ({ target: openTarget('syslog', { 'syslog-address': `unix://${dir}/${port}` }, subject), peer: new StreamPeer(onPath(join(dir, String(port))), ended(0x0a)) }),
  'syslog unixgram': (port) => ({ target: openTarget('syslog', { 'syslog-address': `unixgram://${dir}/${port}` }, subject), peer: new DatagramPeer(join(dir, String(port))) }),
  'syslog udp': (port) => ({ target: openTarget('syslog', { 'syslog-address': `udp://127.0.0.1:${port}` }, subject), peer: new UdpPeer(port, String) }),
  journald: (port) => ({ target: journaldTarget({}, subject, join(dir, String(port))), peer: new DatagramPeer(join(dir, String(port))) }),
  'gelf udp': (port) => ({ target: openTarget('gelf', { 'gelf-address': `udp://127.0.0.1:${port}` }, subject), peer: new UdpPeer(port, gelfText) }),
  'gelf tcp': (port) => ({ target: openTarget('gelf', { 'gelf-address': `tcp://127.0.0.1:${port}` }, subject), peer: new StreamPeer(onPort(port), ended(0)) }),
  'fluentd tcp': (port) => ({ target: openTarget('fluentd', { 'fluentd-address': `127.0.0.1:${port}` }, subject), peer: new StreamPeer(onPort(port), (bytes, socket) => acked(bytes, socket)) }),
  'fluentd acknowledged': (port) => ({ target: openTarget('fluentd', { 'fluentd-address': `127.0.0.1:${port}`, 'fluentd-request-ack': 'true' }, subject), peer: new StreamPeer(onPort(port), acked) }),
  'fluentd unix': (port) => ({ target: openTarget('fluentd', { 'fluentd-address': `unix://${dir}/${port}` }, subject), peer: new StreamPeer(onPath(join(dir, String(port))), acked) }),
};

const numbersOf = (texts: readonly string[]): number[] => texts.map((text) => Number(/n (\d+)\./.exec(text)?.[1]));

for (const [name, make] of Object.entries(ADAPTERS)) {
  test(`${name}: in order; away it fails and says nothing was delivered; back again it takes what comes`, { timeout: 30_000 }, async () => {
    const { target, peer } = make(await freePort());
    assert.ok(target.address.startsWith(name.split(' ', 1)[0] ?? ''), target.address);
    const away = (error: unknown): boolean => error instanceof DeliveryError && error.delivered === 0;
    await assert.rejects(target.send(messages(1, 3)), away);
    await peer.start();
    try {
      await target.send(messages(1, 500));
      await target.send(messages(501, 1));
      assert.deepEqual(numbersOf(await peer.until(501)), Array.from({ length: 501 }, (_, n) => n + 1));
      await peer.stop();
      await assert.rejects(target.send(messages(502, 2)), away);
      await peer.start();
      await target.send(messages(502, 2));
      assert.deepEqual(numbersOf(await peer.until(503)).slice(501), [502, 503]);
      // Let go in between, as after a removal that failed.
      target.close();
      await target.send(messages(504, 1));
      assert.equal(numbersOf(await peer.until(504)).at(-1), 504);
    } finally {
      target.close();
      await peer.stop();
    }
  });
}

test('messages of 16 KiB and more: chunks, files in memory, long frames', { timeout: 30_000 }, async () => {
  const long = 'é'.repeat(120_000);
  for (const name of ['journald', 'syslog tcp', 'fluentd acknowledged', 'gelf tcp']) {
    const { target, peer } = ADAPTERS[name]?.(await freePort()) ?? assert.fail();
    await peer.start();
    try {
      await target.send([{ ...(messages(1, 1)[0] ?? assert.fail()), text: long }]);
      assert.ok((await peer.until(1))[0]?.includes(long), name);
    } finally {
      target.close();
      await peer.stop();
    }
  }
  // What does not compress comes in chunks.
  const { target, peer } = ADAPTERS['gelf udp']?.(await freePort()) ?? assert.fail();
  const noise = Array.from({ length: 8000 }, (_, n) => String.fromCharCode(33 + ((n * 7919) % 90) + ((n * n) % 3))).join('');
  await peer.start();
  try {
    await target.send([{ ...(messages(1, 1)[0] ?? assert.fail()), text: noise }]);
    assert.deepEqual(await peer.until(1), [noise]);
  } finally {
    target.close();
    await peer.stop();
  }
});

test('a file in memory that journald gets cannot be changed any more', { timeout: 20_000 }, async () => {
  const path = join(dir, 'sealed');
  using receiver = new DatagramReceiver(path);
  const target = journaldTarget({}, subject, path);
  await target.send([{ ...(messages(1, 1)[0] ?? assert.fail()), text: 'x'.repeat(9_000_000) }]);
  await receiver.until(1);
  assert.deepEqual(receiver.seals, [0xf]);
  target.close();
});

/** A server that does with each connection as it is told. */
async function hostile(serve: (socket: Socket) => void): Promise<{ port: number } & AsyncDisposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    serve(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

const short = (port: number, options: { ack?: boolean } = {}): LogTarget =>
  new StreamTarget({ address: 'x', endpoint: { kind: 'tcp', host: '127.0.0.1', port }, timeoutMs: 300, encode: (given) => ({ bytes: Buffer.concat(given.map(({ text }) => Buffer.from(text))), ...(options.ack === true ? { answered: () => false } : {}) }) });

test('a peer that never reads, never answers, resets or answers nonsense is given up within the bound', { timeout: 30_000 }, async () => {
  const many = Array.from({ length: 100 }, (_, n): LogMessage => ({ ...(messages(n, 1)[0] ?? assert.fail()), text: 'x'.repeat(1_000_000) }));
  await using deaf = await hostile((socket) => void socket.pause());
  await assert.rejects(short(deaf.port).send(many), { name: 'DeliveryError', message: 'nothing was taken within 300 ms', delivered: 0 });
  await using silent = await hostile((socket) => void socket.resume());
  await assert.rejects(short(silent.port, { ack: true }).send(messages(1, 1)), { name: 'DeliveryError', message: 'nothing was taken within 300 ms' });
  await using rude = await hostile((socket) => void socket.once('data', () => socket.resetAndDestroy()));
  await assert.rejects(short(rude.port, { ack: true }).send(messages(1, 1)), { name: 'DeliveryError', doubtful: true });
  await using chatty = await hostile((socket) => void socket.on('data', () => socket.write(Buffer.alloc(1_000_000, 0xc1))));
  const fluentd = openTarget('fluentd', { 'fluentd-address': `127.0.0.1:${chatty.port}`, 'fluentd-request-ack': 'true', 'fluentd-write-timeout': '5s' }, subject);
  await assert.rejects(fluentd.send(messages(1, 1)), { name: 'DeliveryError', message: 'the answer is no acknowledgement' });
  await using closing = await hostile((socket) => void socket.end());
  const target = short(closing.port, { ack: true });
  await assert.rejects(target.send(messages(1, 1)), { name: 'DeliveryError' });
});

test('a certificate that nobody trusts is refused, unless that is asked for', { timeout: 20_000 }, async () => {
  const port = await freePort();
  const peer = new StreamPeer(onPort(port), ended(0x0a), tlsServer);
  await peer.start();
  try {
    const address = `tcp+tls://127.0.0.1:${port}`;
    const strict = openTarget('syslog', { 'syslog-address': address }, subject);
    await assert.rejects(strict.send(messages(1, 1)), { name: 'DeliveryError', message: /self-signed/ });
    const missing = openTarget('syslog', { 'syslog-address': address, 'syslog-tls-ca-cert': `${dir}/none.pem` }, subject);
    await assert.rejects(missing.send(messages(1, 1)), { name: 'DeliveryError', message: /ENOENT/ });
    const lax = openTarget('syslog', { 'syslog-address': address, 'syslog-tls-skip-verify': '' }, subject);
    await lax.send(messages(1, 1));
    assert.equal((await peer.until(1)).length, 1);
    lax.close();
  } finally {
    await peer.stop();
  }
});
