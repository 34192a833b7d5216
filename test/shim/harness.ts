/**
 * Drives the real `moored-shim` with the real runc: one temporary folder per container, with a busybox root file system,
 * an OCI bundle, a spec, and a client for `shim.sock`. Everything a test starts ends with its `using` or `t.after`.
 */
import type { ChildProcess } from 'node:child_process';
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import * as os from 'node:os';
import * as path from 'node:path';
import type { TestContext } from 'node:test';

/** Another build of it, for instance with sanitizers, by the environment. */
export const SHIM = process.env['MOORED_SHIM'] ?? path.resolve(import.meta.dirname, '../../shim/build/moored-shim');
export const RUNC = '/usr/sbin/runc';

export type Pairs = Record<string, string>;

/** Encodes a word of the contract. */
export function word(value: string | number | boolean): string {
  const text = typeof value === 'boolean' ? (value ? '1' : '0') : String(value);
  if (text === '') return '%-';
  // oxlint-disable-next-line no-control-regex -- these characters are what the encoding is about
  return text.replace(/[\x00-\x20\x7f%=]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

/** Decodes a word of the contract. */
export function unword(text: string): string {
  if (text === '%-') return '';
  return Buffer.from(text.replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))), 'latin1').toString('latin1');
}

/** `key=word key=word` into an object; leading words without `=` are skipped. */
export function parsePairs(line: string): Pairs {
  const out: Pairs = {};
  for (const item of line.split(' ')) {
    const at = item.indexOf('=');
    if (at > 0) out[item.slice(0, at)] = unword(item.slice(at + 1));
  }
  return out;
}

/** A record file's fields; the last one wins. Undefined when it is torn. */
export function parseRecord(text: string): Pairs | undefined {
  const lines = text.split('\n');
  const end = lines.indexOf('end');
  if (end < 0) return undefined;
  return Object.fromEntries(lines.slice(1, end).map((line) => {
    const [key = '', ...words] = line.split(' ');
    return [key, words.map(unword).join(' ')];
  }));
}

export interface JournalLine {
  seq: number;
  time: bigint;
  kind: string;
  pairs: Pairs;
}

export function parseJournal(text: string): JournalLine[] {
  return text.split('\n').filter((line) => line !== '').map((line) => {
    const [seq = '', time = '', kind = ''] = line.split(' ');
    return { seq: Number(seq), time: BigInt(time), kind, pairs: parsePairs(line) };
  });
}

export interface LogLine {
  log: string;
  stream: string;
  time: string;
  attrs?: Record<string, string>;
}

/** Waits until `probe` gives something other than undefined or false; for what has no event to wait for. */
export async function eventually<T>(probe: () => T | undefined | false, what: string, timeoutMs = 10000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const got = probe();
    if (got !== undefined && got !== false) return got;
    if (Date.now() > deadline) throw new Error(`timed out: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function readIfThere(file: string): string {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** A busybox root file system, made once per test process. */
let rootfs: string | undefined;
export function busyboxRootfs(): string {
  if (rootfs !== undefined) return rootfs;
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'moored-rootfs-'));
  fs.chmodSync(made, 0o755);
  for (const dir of ['bin', 'proc', 'dev', 'tmp', 'sys', 'etc']) fs.mkdirSync(path.join(made, dir));
  fs.chmodSync(path.join(made, 'tmp'), 0o1777);
  fs.copyFileSync('/bin/busybox', path.join(made, 'bin/busybox'));
  fs.chmodSync(path.join(made, 'bin/busybox'), 0o755);
  for (const name of ['sh', 'echo', 'cat', 'sleep', 'kill', 'true', 'false', 'yes', 'head', 'tail', 'stty', 'tty', 'id', 'seq', 'dd', 'nc', 'wc', 'tr', 'env', 'test', 'usleep', 'printf', 'rm', 'touch', 'ls', 'ps'])
    fs.symlinkSync('busybox', path.join(made, 'bin', name));
  process.once('exit', () => fs.rmSync(made, { recursive: true, force: true }));
  rootfs = made;
  return made;
}

/** The connection to `shim.sock`: requests in order, and the raw socket for attach and watch. */
export class Client {
  readonly socket: net.Socket;
  private buffered = Buffer.alloc(0);
  private waiting: (() => void) | undefined;
  ended = false;

  constructor(socket: net.Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.buffered = Buffer.concat([this.buffered, chunk]);
      this.waiting?.();
    });
    const over = (): void => {
      this.ended = true;
      this.waiting?.();
    };
    socket.on('end', over).on('error', over).on('close', over);
  }

  private async more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.waiting = resolve;
    });
    this.waiting = undefined;
  }

  async line(): Promise<string | undefined> {
    for (;;) {
      const at = this.buffered.indexOf(10);
      if (at >= 0) {
        const text = this.buffered.subarray(0, at).toString('latin1');
        this.buffered = this.buffered.subarray(at + 1);
        return text;
      }
      if (this.ended) return undefined;
      await this.more();
    }
  }

  /** Sends a verb and gives the answer's pairs; throws what `err` says. */
  async request(verb: string, pairs: Record<string, string | number | boolean> = {}): Promise<Pairs> {
    this.socket.write(`${[verb, ...Object.entries(pairs).map(([k, v]) => `${k}=${word(v)}`)].join(' ')}\n`);
    const answer = await this.line();
    if (answer === undefined) throw new Error(`${verb}: connection closed`);
    const got = parsePairs(answer);
    if (!answer.startsWith('ok')) throw new Error(`${got['kind']}: ${got['message']}`);
    return got;
  }

  /** Everything until the other side's end. */
  async rest(): Promise<Buffer> {
    while (!this.ended) await this.more();
    return this.buffered;
  }

  /** Waits until the bytes so far satisfy `enough`, and gives them. */
  async until(enough: (bytes: Buffer) => boolean): Promise<Buffer> {
    while (!enough(this.buffered)) {
      if (this.ended) throw new Error(`connection ended: ${this.buffered.toString('latin1')}`);
      await this.more();
    }
    return this.buffered;
  }

  close(): void {
    this.socket.destroy();
  }
}

/** Docker's stream frames into the bytes of each stream. */
export function unframe(bytes: Buffer): { stdout: string; stderr: string } {
  const out = { stdout: '', stderr: '' };
  for (let at = 0; at + 8 <= bytes.length;) {
    const len = bytes.readUInt32BE(at + 4);
    const text = bytes.subarray(at + 8, at + 8 + len).toString('utf8');
    if (bytes[at] === 2) out.stderr += text;
    else out.stdout += text;
    at += 8 + len;
  }
  return out;
}

export interface ContainerOptions {
  args?: string[];
  terminal?: boolean;
  user?: { uid: number; gid: number };
  /** Fields of the spec, over the defaults; a list repeats the key. */
  spec?: Record<string, string | number | boolean | string[]>;
  /** Changes to config.json. */
  config?: (config: Record<string, unknown>) => void;
  /** Descriptors for `port` lines, given as 4, 5, … */
  /** Environment of the shim, on top of this process's. */
  env?: Record<string, string>;
  fds?: number[];
}

export interface Ready {
  ok: boolean;
  pairs: Pairs;
}

/** One container: its folders, its shim, its files. */
export class Container {
  readonly id = `moored-test-${randomBytes(6).toString('hex')}`;
  readonly base = fs.mkdtempSync(path.join(os.tmpdir(), 'moored-shim-'));
  readonly dir = path.join(this.base, 'run', this.id);
  readonly data = path.join(this.base, 'data');
  readonly runtimeRoot = path.join(this.base, 'runc');
  readonly cgroup = `/moored-test/${this.id}`;
  readonly options: ContainerOptions;
  /** Done before the folder is removed. */
  readonly undo: (() => void)[] = [];
  private readonly shims: ChildProcess[] = [];
  private readonly clients: Client[] = [];

  constructor(t: TestContext, options: ContainerOptions = {}) {
    this.options = options;
    fs.mkdirSync(this.dir, { recursive: true, mode: 0o700 });
    fs.mkdirSync(this.data, { recursive: true, mode: 0o700 });
    fs.writeFileSync(path.join(this.dir, 'config.json'), JSON.stringify(this.config(), null, 1));
    this.writeSpec();
    t.after(() => this.dispose());
  }

  private config(): Record<string, unknown> {
    const config = {
      ociVersion: '1.0.2',
      process: {
        terminal: this.options.terminal === true,
        user: this.options.user ?? { uid: 0, gid: 0 },
        args: this.options.args ?? ['true'],
        env: ['PATH=/bin', 'TERM=xterm'],
        cwd: '/',
        capabilities: {},
        noNewPrivileges: true,
      },
      root: { path: busyboxRootfs(), readonly: false },
      hostname: 'test',
      mounts: [
        { destination: '/proc', type: 'proc', source: 'proc' },
        { destination: '/dev', type: 'tmpfs', source: 'tmpfs', options: ['nosuid', 'mode=755'] },
        { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'] },
      ],
      linux: {
        cgroupsPath: this.cgroup,
        namespaces: ['pid', 'ipc', 'uts', 'mount', 'network'].map((type) => ({ type })),
        resources: {},
      },
    };
    this.options.config?.(config);
    return config;
  }

  /** Writes the spec anew, for instance before `adopt`. */
  writeSpec(over: Record<string, string | number | boolean | string[]> = {}): void {
    const fields: Record<string, string | number | boolean | string[]> = {
      kind: 'container',
      id: this.id,
      runtime: RUNC,
      'runtime-root': this.runtimeRoot,
      terminal: this.options.terminal === true,
      log: 'json-file',
      'log-path': path.join(this.data, 'log'),
      'exit-path': path.join(this.data, 'exit'),
      'journal-path': path.join(this.data, 'journal'),
      'cgroup-version': 1,
      'cgroup-memory': `/sys/fs/cgroup/memory${this.cgroup}`,
      'cgroup-procs': `/sys/fs/cgroup/memory${this.cgroup}`,
      'live-restore': true,
      ...this.options.spec,
      ...over,
    };
    this.record(path.join(this.dir, 'spec'), fields);
  }

  private record(file: string, fields: Record<string, string | number | boolean | string[]>): void {
    const lines = Object.entries(fields).flatMap(([key, value]) =>
      Array.isArray(value) ? value.map((v) => `${key} ${v}`) : [`${key} ${key === 'console-size' ? value : word(value)}`]);
    fs.writeFileSync(file, `moored-spec 1.0\n${lines.join('\n')}\nend\n`, { mode: 0o600 });
  }

  /** Starts a shim and gives its ready line. */
  async shim(mode: 'run' | 'adopt' = 'run', dir: string = this.dir): Promise<Ready> {
    return (await this.spawnShim(mode, dir)).ready;
  }

  async spawnShim(mode: string, dir: string): Promise<{ child: ChildProcess; ready: Ready }> {
    const child = spawn(SHIM, [mode, dir], { stdio: ['ignore', 'ignore', 'inherit', 'pipe', ...(this.options.fds ?? [])], detached: true, env: { ...process.env, ...this.options.env } });
    this.shims.push(child);
    const pipe = child.stdio[3] as net.Socket;
    let text = '';
    for await (const chunk of pipe) text += String(chunk);
    return { child, ready: { ok: text.startsWith('ok'), pairs: parsePairs(text.trimEnd()) } };
  }

  async connect(dir: string = this.dir): Promise<Client> {
    const socket = net.connect({ path: path.join(dir, 'shim.sock'), allowHalfOpen: true });
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve).once('error', reject);
    });
    const client = new Client(socket);
    this.clients.push(client);
    return client;
  }

  /** Shim, watch and start in one. */
  async start(): Promise<{ watch: Watch; control: Client; pid: number }> {
    const ready = await this.shim();
    if (!ready.ok) throw new Error(`not ready: ${JSON.stringify(ready.pairs)}`);
    const watch = await this.watch();
    const control = await this.connect();
    const { pid } = await control.request('start');
    return { watch, control, pid: Number(pid) };
  }

  async watch(since = 0): Promise<Watch> {
    const client = await this.connect();
    await client.request('watch', { since });
    return new Watch(client);
  }

  async attach(streams: { stdin?: boolean; stdout?: boolean; stderr?: boolean } = {}, dir: string = this.dir): Promise<Client> {
    const client = await this.connect(dir);
    await client.request('attach', { stdin: streams.stdin ?? false, stdout: streams.stdout ?? true, stderr: streams.stderr ?? true });
    return client;
  }

  /** Starts an exec shim in the container. */
  async exec(args: string[], options: { terminal?: boolean; stdin?: boolean } = {}): Promise<string> {
    const execId = randomBytes(4).toString('hex');
    const dir = path.join(this.dir, 'execs', execId);
    fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
    const terminal = options.terminal ?? false;
    fs.writeFileSync(path.join(dir, 'process.json'), JSON.stringify({
      terminal, user: { uid: 0, gid: 0 }, args, env: ['PATH=/bin'], cwd: '/', noNewPrivileges: true,
    }));
    this.record(path.join(dir, 'spec'), {
      kind: 'exec', id: this.id, 'exec-id': execId, runtime: RUNC, 'runtime-root': this.runtimeRoot,
      terminal, stdin: options.stdin ?? false, log: 'none', 'exit-path': path.join(dir, 'exit'),
    });
    const { ready } = await this.spawnShim('exec', dir);
    if (!ready.ok) throw new Error(`exec not ready: ${JSON.stringify(ready.pairs)}`);
    return dir;
  }

  log(): LogLine[] {
    return readIfThere(path.join(this.data, 'log')).split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as LogLine);
  }

  logText(stream?: string): string {
    return this.log().filter((line) => stream === undefined || line.stream === stream).map((line) => line.log).join('');
  }

  journal(): JournalLine[] {
    return parseJournal(readIfThere(path.join(this.data, 'journal')));
  }

  exitRecord(file: string = path.join(this.data, 'exit')): Pairs | undefined {
    return parseRecord(readIfThere(file));
  }

  status(dir: string = this.dir): Pairs {
    return parseRecord(readIfThere(path.join(dir, 'status'))) ?? {};
  }

  runc(...args: string[]): string {
    const got = spawnSync(RUNC, ['--root', this.runtimeRoot, ...args], { encoding: 'utf8' });
    return got.stdout + got.stderr;
  }

  /** Kills the newest shim as a crash would, and waits until it is gone. */
  async killShim(): Promise<void> {
    const child = this.shims.at(-1);
    if (child === undefined) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await gone;
  }

  /** Waits for the newest shim to leave by itself; its exit status. */
  async shimGone(): Promise<number | null> {
    const child = this.shims.at(-1);
    if (child === undefined) return null;
    if (child.exitCode === null && child.signalCode === null) await new Promise((resolve) => child.once('exit', resolve));
    return child.exitCode;
  }

  newestShim(): ChildProcess {
    const child = this.shims.at(-1);
    if (child === undefined) throw new Error('no shim');
    return child;
  }

  async dispose(): Promise<void> {
    for (const client of this.clients) client.close();
    for (const child of this.shims) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    this.runc('delete', '--force', this.id);
    for (const step of this.undo.toReversed()) step();
    fs.rmSync(this.base, { recursive: true, force: true });
  }
}

/** A `watch` connection: journal lines as they come. */
export class Watch {
  readonly client: Client;
  readonly seen: JournalLine[] = [];

  constructor(client: Client) {
    this.client = client;
  }

  /** The next line of this kind (any before it are kept in `seen`). */
  async next(kind: string): Promise<JournalLine> {
    for (;;) {
      const line = await this.client.line();
      if (line === undefined) throw new Error(`watch ended before ${kind}; seen ${this.seen.map((l) => l.kind).join(' ')}`);
      const [parsed] = parseJournal(line);
      if (parsed === undefined) continue;
      this.seen.push(parsed);
      if (parsed.kind === kind) return parsed;
    }
  }
}
