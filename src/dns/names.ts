/**
 * The daemon's side of name resolution (NamesPort): sockets and rules in a new namespace, the resolver's files, and the
 * resolver itself, started when it is needed and started again when it is gone. It does nothing for those that ask; they
 * are answered with or without a daemon.
 */
import { closeSync } from 'node:fs';
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { errnoOf, messageOf, unavailable } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { RESOLVER_ADDRESS } from '../core/ports/names.ts';
import type { NamesPort, ResolverPorts, ResolverSockets, SandboxNames } from '../core/ports/names.ts';
import { writeFileAtomic } from '../store/record.ts';
import { withNetnsAt } from '../sys/netns.ts';
import { nftApply } from '../sys/nft.ts';
import { bindPairIn } from '../sys/resolverSockets.ts';
import { spawnDetached } from '../sys/spawn.ts';
import { startUnit } from '../sys/systemd.ts';
import { Channel } from './channel.ts';
import { isContainerId, namesFile, parseNames, START_FILE } from './files.ts';

/** How long an API call waits for its names to count: the resolver's start, and one shim that hangs. */
const PATIENCE_MS = 5000;
const RETRY_MS = 20;
const REVIVE_MS = 200;
const MAX_REVIVE_MS = 30_000;
/** A unit was started, and yet nobody answers: once more after this time. */
const UNIT_AGAIN_MS = 2000;

/**
 * What a resolver is started by where it has no unit of its own: a shell, which is small, leaves the daemon's cgroups and
 * becomes the resolver. When that is killed, shims that hold its sockets start it again, daemon or no daemon.
 */
const START = `cgroups=$1; shift; set -f; IFS=:
for each in $cgroups; do echo $$ > "$each/cgroup.procs"; done
exec /bin/sh "$1"`;

export interface NamesDeps {
  /** `<exec-root>/dns`. */
  readonly folder: string;
  /** The resolver's command; its folder and version are added. */
  readonly command: readonly string[];
  /** One word. A resolver of another release is replaced. */
  readonly version: string;
  /** Folders of the cgroups it is to join. */
  readonly cgroups: () => Promise<readonly string[]>;
  /** The service that is to run it (packaging/moored-dns.service), or undefined: then it is started as a process. */
  readonly unit?: string | undefined;
  readonly logger: Logger;
}

export class Names implements NamesPort {
  readonly #deps: NamesDeps;
  readonly #known = new Set<string>();
  #channel: Promise<Channel> | undefined;
  #disposed = false;

  constructor(deps: NamesDeps) {
    this.#deps = deps;
  }

  get revivedIn(): string | undefined {
    return this.#deps.unit === undefined ? this.#deps.folder : undefined;
  }

  async open(netnsPath: string): Promise<ResolverSockets> {
    // Its start takes longer than the container's network: both go on side by side.
    this.#connected().catch(() => {});
    const { udp, tcp } = bindPairIn(netnsPath, RESOLVER_ADDRESS, { udp: 0, tcp: 0 });
    const fds = [udp.fd, tcp.fd];
    const close = (): void => {
      for (const fd of fds.splice(0)) closeSync(fd);
    };
    const ports = { udp: udp.port, tcp: tcp.port };
    try {
      // The program is started before the function returns, and so inside the namespace.
      await withNetnsAt(netnsPath, () => nftApply(resolverRules(ports)));
    } catch (error) {
      close();
      throw error;
    }
    return { ports, fds: [{ name: 'resolver-udp', fd: udp.fd }, { name: 'resolver-tcp', fd: tcp.fd }], [Symbol.dispose]: close };
  }

  async publish(names: Omit<SandboxNames, 'schema'>): Promise<void> {
    const record: SandboxNames = { schema: 1, ...names };
    this.#known.add(names.id);
    await mkdir(this.#deps.folder, { recursive: true, mode: 0o700 });
    await writeFileAtomic(this.#path(names.id), JSON.stringify(record), { durable: false, mode: 0o600 });
    await this.#sync(names.id);
  }

  async published(id: string): Promise<SandboxNames | undefined> {
    try {
      return parseNames(await readFile(this.#path(id), 'utf8'), id);
    } catch {
      return undefined;
    }
  }

  async withdraw(id: string): Promise<void> {
    const known = this.#known.delete(id);
    await rm(this.#path(id), { force: true });
    // Nobody has to be started to forget something.
    if (known && this.#channel !== undefined) await this.#sync(id);
  }

  async restore(live: readonly string[]): Promise<void> {
    const keep = new Set(live);
    try {
      for (const id of await this.#recorded()) {
        if (keep.has(id)) this.#known.add(id);
        else await rm(this.#path(id), { force: true });
      }
    } catch (error) {
      this.#deps.logger.error("the resolver's files cannot be read", { error: messageOf(error) });
    }
    // Whether it answers or has to be started first: nobody needs to wait for it.
    if (this.#known.size > 0) void this.#sync('*');
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    this.#channel?.then((channel) => channel.close(), () => {});
  }

  #path(id: string): string {
    return join(this.#deps.folder, namesFile(id));
  }

  async #recorded(): Promise<string[]> {
    try {
      return (await readdir(this.#deps.folder)).map((name) => name.replace(/\.json$/, '')).filter(isContainerId);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  /** A container is worth more than its names: a resolver that fails is said, and tried again, and the container starts. */
  async #sync(id: string): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        const answer = await (await this.#connected()).order(`sync ${id}`, Math.max(1, deadline - performance.now()));
        if (answer !== 'ok') this.#deps.logger.warn('names cannot be resolved', { container: id, error: answer.replace(/^err /, '') });
        return;
      } catch (error) {
        if (performance.now() + RETRY_MS >= deadline || this.#disposed) {
          this.#deps.logger.warn('the resolver does not answer', { error: messageOf(error) });
          return;
        }
        await sleep(RETRY_MS);
      }
    }
  }

  #connected(): Promise<Channel> {
    this.#channel ??= this.#connect();
    return this.#channel;
  }

  async #connect(): Promise<Channel> {
    try {
      const channel = await this.#reach();
      void channel.closed.then(() => this.#lost());
      return channel;
    } catch (error) {
      this.#channel = undefined;
      throw error;
    }
  }

  /**
   * Connects to the resolver, starting one if there is none. One that is too many ends by itself; one of another release
   * is told to leave, which costs no question, as they wait in the sockets.
   */
  async #reach(): Promise<Channel> {
    const { folder, version } = this.#deps;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const deadline = performance.now() + PATIENCE_MS;
    let ended = true;
    for (;;) {
      let reason = 'another release does not leave';
      try {
        using channel = await Channel.open(folder);
        if ((await channel.order('hello', PATIENCE_MS)) === `ok ${version}`) return channel.keep();
        await channel.order('leave', PATIENCE_MS);
      } catch (error) {
        reason = messageOf(error);
      }
      if (performance.now() > deadline) throw unavailable(`the resolver does not start: ${reason}`);
      if (ended) {
        ended = false;
        const child = await this.#start();
        void child.exited.then(() => {
          ended = true;
        });
      }
      await sleep(RETRY_MS);
    }
  }

  async #start(): Promise<{ readonly exited: Promise<unknown> }> {
    const { command, folder, version, cgroups, unit } = this.#deps;
    const script = join(folder, START_FILE);
    await writeFileAtomic(script, startScript([...command, folder, version]), { durable: false, mode: 0o600 });
    if (unit !== undefined && (await startUnit(unit))) return { exited: sleep(UNIT_AGAIN_MS, undefined, { ref: false }) };
    return spawnDetached(['/bin/sh', '-c', START, 'moored-dns', (await cgroups()).join(':'), script], { cwd: '/' });
  }

  #lost(): void {
    this.#channel = undefined;
    if (!this.#disposed && this.#known.size > 0) void this.#revive();
  }

  /** Questions wait in the shims' sockets until there is a resolver again. */
  async #revive(): Promise<void> {
    for (let pause = REVIVE_MS; this.#channel === undefined && !this.#disposed && this.#known.size > 0; pause = Math.min(pause * 2, MAX_REVIVE_MS)) {
      try {
        this.#deps.logger.warn('the resolver ended, and is started again');
        await this.#connected();
      } catch (error) {
        this.#deps.logger.error('the resolver cannot be started', { error: messageOf(error) });
        await sleep(pause, undefined, { ref: false });
      }
    }
  }
}

/** What the unit, or a shim, runs: which Node.js, which release and where is the daemon's to know. */
const startScript = (command: readonly string[]): string => `exec ${command.map((word) => `'${word.replaceAll("'", String.raw`'\''`)}'`).join(' ')}\n`;

/**
 * Port 53 may be a server's of the container's own: that of the resolver's address alone leads to the resolver. In place
 * of what is there: sockets that died with their shim are followed by others, on other ports.
 */
const resolverRules = ({ udp, tcp }: ResolverPorts): string => `table ip moored-resolver
delete table ip moored-resolver
table ip moored-resolver {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr ${RESOLVER_ADDRESS} udp dport 53 dnat to ${RESOLVER_ADDRESS}:${udp}
    ip daddr ${RESOLVER_ADDRESS} tcp dport 53 dnat to ${RESOLVER_ADDRESS}:${tcp}
  }
}
`;
