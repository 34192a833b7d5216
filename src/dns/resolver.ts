/**
 * The resolver's process: one per exec root, outliving daemons. It answers for every container that has a file in its
 * folder, over sockets that the containers' shims hold, so that its own end loses no question: what is asked meanwhile
 * waits in the sockets for the next resolver.
 */
import { closeSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { errnoOf, internal, messageOf } from '../base/errors.ts';
import { KeyedMutex } from '../base/keyedMutex.ts';
import { mapLimit } from '../base/mutex.ts';
import { RESOLVER_ADDRESS } from '../core/ports/names.ts';
import type { SandboxNames } from '../core/ports/names.ts';
import { requestFds } from '../sys/receiveFds.ts';
import { bindPairIn, boundPort } from '../sys/resolverSockets.ts';
import { isOver, isRunning } from './alive.ts';
import { Directory } from './directory.ts';
import { CONTROL_SOCKET, isContainerId, LOCK_FILE, parseNames } from './files.ts';
import { Service } from './service.ts';

const SHIM_TIMEOUT_MS = 2000;
const SWEEP_MS = 10_000;
/** Sweeps without a container after which it ends although a daemon is there. */
const IDLE_SWEEPS = 3;
const AT_ONCE = 16;

interface Sandbox {
  /** Tells one run of a container from the next. */
  readonly key: string;
  readonly service: Service;
}

/** Works in the current folder, which its lock says is its own, until nothing is left to do. */
export class Resolver {
  readonly #directory = new Directory(({ shimDir }) => isRunning(shimDir));
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #mutex = new KeyedMutex();
  readonly #connections = new Set<Socket>();
  readonly #server: Server;
  readonly #sweep: NodeJS.Timeout;
  #idle = 0;
  #tidying = false;
  #ended = false;

  readonly #version: string;

  constructor(version: string) {
    this.#version = version;
    this.#server = createServer((socket) => this.#onConnection(socket));
    this.#sweep = setInterval(() => {
      if (this.#tidying) return;
      this.#tidying = true;
      void this.#tidy().finally(() => {
        this.#tidying = false;
      });
    }, SWEEP_MS);
  }

  /** Serves what is there, then takes orders. */
  async run(): Promise<void> {
    // What is wrong with one container is said when the daemon asks.
    await this.#syncAll().catch(() => {});
    rmSync(CONTROL_SOCKET, { force: true });
    this.#server.on('error', () => {
      process.exitCode = 1;
      this.end();
    });
    this.#server.listen(CONTROL_SOCKET);
  }

  /** Lets go of everything, after which nothing keeps the process. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    clearInterval(this.#sweep);
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    for (const id of this.#sandboxes.keys()) this.#close(id);
  }

  #onConnection(socket: Socket): void {
    this.#connections.add(socket);
    this.#idle = 0;
    socket.on('error', () => {});
    socket.once('close', () => this.#connections.delete(socket));
    void (async () => {
      try {
        for await (const line of createInterface({ input: socket })) socket.write(`${await this.#order(line)}\n`);
      } catch {
        socket.destroy();
      }
    })();
  }

  /** `sync ID` or `sync *`: what the files say counts when `ok` comes. `hello`: the release. `leave`: for another one. */
  async #order(line: string): Promise<string> {
    const [verb, id = ''] = line.split(' ');
    if (verb === 'hello') return `ok ${this.#version}`;
    if (verb === 'leave') {
      setImmediate(() => this.end());
      return 'ok';
    }
    if (verb !== 'sync' || (id !== '*' && !isContainerId(id))) return 'err unknown order';
    try {
      await (id === '*' ? this.#syncAll() : this.#sync(id));
      return 'ok';
    } catch (error) {
      return `err ${messageOf(error).replaceAll('\n', ' ')}`;
    }
  }

  async #syncAll(): Promise<void> {
    const ids = new Set([...readdirSync('.').map((name) => name.replace(/\.json$/, '')).filter(isContainerId), ...this.#directory.ids()]);
    const failures: string[] = [];
    await mapLimit([...ids], AT_ONCE, async (id) => {
      try {
        await this.#sync(id);
      } catch (error) {
        failures.push(`${id.slice(0, 12)}: ${messageOf(error)}`);
      }
    });
    if (failures.length > 0) throw internal(failures.join('; '));
  }

  #sync(id: string): Promise<void> {
    return this.#mutex.run(id, async () => {
      const record = readNames(id);
      if (record === undefined) {
        this.#directory.delete(id);
        this.#close(id);
        return;
      }
      this.#directory.set(record);
      await this.#serve(record);
    });
  }

  async #serve(record: SandboxNames): Promise<void> {
    const key = keyOf(record);
    if (this.#sandboxes.get(record.id)?.key === key) return;
    this.#close(record.id);
    const service = await Service.start(record.id, this.#directory, await socketsOf(record));
    // The process ends: what was under way must not keep it.
    if (this.#ended) service.close();
    else this.#sandboxes.set(record.id, { key, service });
  }

  #close(id: string): void {
    this.#sandboxes.get(id)?.service.close();
    this.#sandboxes.delete(id);
  }

  /** What ended while no daemon was there keeps no namespace alive; without anything left to serve the process ends. */
  async #tidy(): Promise<void> {
    if (!isOurs()) {
      this.end();
      return;
    }
    await mapLimit(this.#directory.ids(), AT_ONCE, async (id) => {
      const record = this.#directory.get(id);
      if (record !== undefined && isOver(record.shimDir)) this.#close(id);
      else if (record !== undefined && !this.#sandboxes.has(id)) await this.#sync(id).catch(() => {});
    });
    this.#idle = this.#sandboxes.size === 0 ? this.#idle + 1 : 0;
    if (this.#idle > (this.#connections.size === 0 ? 0 : IDLE_SWEEPS)) this.end();
  }
}

/** A removed exec root takes the lock's file with it: nobody would ever talk to us again. */
function isOurs(): boolean {
  try {
    return statSync(LOCK_FILE).nlink > 0;
  } catch {
    return false;
  }
}

function readNames(id: string): SandboxNames | undefined {
  try {
    return parseNames(readFileSync(`${id}.json`, 'utf8'), id);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

const keyOf = ({ netnsPath, ports }: SandboxNames): string => `${statSync(netnsPath).ino} ${ports.udp} ${ports.tcp}`;

/** The shim's sockets; where it has none (a replacement of one that died, a network joined later), new ones on the same ports. */
async function socketsOf(record: SandboxNames): Promise<{ udp: number; tcp: number }> {
  const given = await fromShim(record);
  if (given !== undefined) return given;
  const { udp, tcp } = bindPairIn(record.netnsPath, RESOLVER_ADDRESS, record.ports);
  return { udp: udp.fd, tcp: tcp.fd };
}

async function fromShim({ shimDir, ports }: SandboxNames): Promise<{ udp: number; tcp: number } | undefined> {
  try {
    const { line, fds } = await requestFds(join(shimDir, 'shim.sock'), 'give-sockets\n', { timeoutMs: SHIM_TIMEOUT_MS });
    const names = /^ok sockets=(\S+)$/.exec(line)?.[1]?.split(',') ?? [];
    const udp = fds[names.indexOf('resolver-udp')];
    const tcp = fds[names.indexOf('resolver-tcp')];
    const right = udp !== undefined && tcp !== undefined && boundPort(udp) === ports.udp && boundPort(tcp) === ports.tcp;
    for (const fd of fds) if (!right || (fd !== udp && fd !== tcp)) closeSync(fd);
    return right ? { udp, tcp } : undefined;
  } catch {
    return undefined;
  }
}
