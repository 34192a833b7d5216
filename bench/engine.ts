/**
 * An engine under measurement, in private roots, on a private socket and in a network namespace of its own. dockerd is run
 * as Debian's packages run it: containerd is a service beside it and not its child, so that a restart of dockerd is one of
 * dockerd alone.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, globSync, mkdirSync, openSync, readdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Daemon, lines } from '../test/fixtures/daemon.ts';
import { busyboxArchive } from '../test/fixtures/images.ts';
import { eventually } from '../test/fixtures/processes.ts';
import { engineCommand } from '../test/fixtures/target.ts';
import type { Target } from '../test/fixtures/target.ts';
import { inParallel } from './work.ts';

/** Every engine that is not disposed of yet, for the end of the program. */
const living = new Set<Engine>();

let stopped = false;

/** Removes every engine from the machine, and lets no other be started: for Ctrl-C. */
export async function disposeAll(): Promise<void> {
  stopped = true;
  await Promise.allSettled([...living].map((engine) => engine.dispose()));
}

/** Members of a container's config and host config. */
interface More {
  readonly config?: object;
  readonly host?: object;
}

/** A container's port 80 published as `port` of the host, as the docker client asks for it. */
export const published = (port: number): More => ({ config: { ExposedPorts: { '80/tcp': {} } }, host: { PortBindings: { '80/tcp': [{ HostPort: String(port) }] } } });

export class Engine {
  readonly name: Target;
  readonly daemon: Daemon;
  readonly #flags: string[] = [];
  #containerd: ChildProcess | undefined;
  #disposal: Promise<void> | undefined;

  private constructor(name: Target) {
    if (stopped) throw new Error('the benchmark is ending');
    this.name = name;
    this.daemon = new Daemon({ engine: name, config: { 'live-restore': true } });
    living.add(this);
  }

  /** Whether it has not been disposed of. */
  get usable(): boolean {
    return this.#disposal === undefined;
  }

  /** Starts an engine, with busybox:latest loaded. */
  static async start(name: Target): Promise<Engine> {
    const engine = new Engine(name);
    try {
      if (name === 'dockerd') await engine.#startContainerd();
      await engine.daemon.start(engine.#flags);
      await engine.cli(['load', '-q', '-i', await busyboxArchive()]);
      return engine;
    } catch (error) {
      await engine.dispose();
      throw error;
    }
  }

  async #startContainerd(): Promise<void> {
    const { env } = engineCommand('dockerd');
    const dir = path.join(this.daemon.dir, 'containerd');
    const socket = path.join(dir, 'containerd.sock');
    mkdirSync(dir);
    writeFileSync(path.join(dir, 'config.toml'), [
      'version = 2', `root = "${dir}/root"`, `state = "${dir}/state"`, '[grpc]', `address = "${socket}"`,
      '[plugins."io.containerd.internal.v1.opt"]', `path = "${dir}/opt"`, '',
    ].join('\n'));
    const log = openSync(path.join(dir, 'containerd.log'), 'a');
    try {
      const program = path.join(env['PATH']?.split(':')[1] ?? '', 'containerd');
      this.#containerd = spawn('nsenter', [`--net=/run/netns/${this.daemon.netns}`, program, '--config', path.join(dir, 'config.toml')], { stdio: ['ignore', log, log], detached: true, env });
    } finally {
      closeSync(log);
    }
    await eventually(() => statSync(socket, { throwIfNoEntry: false }) !== undefined, 'containerd to listen');
    this.#flags.push('--containerd', socket);
  }

  /** Runs the docker client, which must succeed within `minutes`; gives what it printed. */
  async cli(args: readonly string[], minutes = 3): Promise<string> {
    const { code, stdout, stderr } = await this.daemon.docker(args, { timeoutMs: minutes * 60_000 });
    if (code !== 0) throw new Error(`${this.name}: docker ${args.slice(0, 6).join(' ')} ended with ${code}: ${stderr.trim()}`);
    return stdout.replace(/\n$/, '');
  }

  /** A request that must be answered with a status below 400; gives the body. */
  async api(method: string, where: string, body?: unknown): Promise<string> {
    const answer = await this.daemon.request(method, where, body === undefined ? {} : { body });
    if (answer.status >= 400) throw new Error(`${this.name}: ${method} ${where}: ${answer.status} ${answer.text}`);
    return answer.text;
  }

  /** Creates and starts a container of busybox through the API; gives its id. */
  async run(name: string, cmd: readonly string[], more: More = {}): Promise<string> {
    const created = await this.api('POST', `/containers/create?name=${name}`, { Image: 'busybox', Cmd: cmd, StopSignal: 'SIGKILL', ...more.config, HostConfig: { ...more.host } });
    const { Id: id } = JSON.parse(created) as { Id: string };
    await this.api('POST', `/containers/${id}/start`);
    return id;
  }

  /**
   * Ends the daemon by a signal, starts it at once, and waits until it answers `docker ps` with `count` containers.
   * Milliseconds, from the signal on.
   */
  async comeback(signal: 'SIGKILL' | 'SIGTERM', count: number): Promise<number> {
    const began = performance.now();
    await (signal === 'SIGKILL' ? this.daemon.kill9() : this.daemon.stop());
    const starting = this.daemon.start(this.#flags);
    let failure: unknown;
    starting.catch((error: unknown) => {
      failure = error;
    });
    // Closer than the fixture looks: what is measured is a few hundred milliseconds.
    while (failure === undefined && !(await this.daemon.answers())) await sleep(2);
    while (failure === undefined && lines(await this.cli(['ps', '-q'])).length !== count) await sleep(2);
    const took = performance.now() - began;
    await starting;
    return took;
  }

  /** Processes of the engine: in its network namespace, where no container is that has one of its own. */
  processes(): number[] {
    const wanted = `net:[${statSync(`/run/netns/${this.daemon.netns}`).ino}]`;
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => namespaceOf(pid) === wanted);
  }

  /** Their memory (PSS), MB. */
  memory(): number {
    return this.processes().reduce((total, pid) => total + Number(/^Pss:\s+(\d+)/m.exec(readProc(`${pid}/smaps_rollup`))?.[1] ?? 0), 0) / 1024;
  }

  /** Their processor time so far, user and system, seconds; of those that live. */
  cpuSeconds(): number {
    return this.processes().reduce((total, pid) => {
      const fields = readProc(`${pid}/stat`).replace(/^.*\) /s, '').split(' ');
      return total + (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / 100;
    }, 0);
  }

  /** Removes all containers, eight at a time. Milliseconds. */
  async removeContainers(): Promise<number> {
    const ids = lines(await this.cli(['ps', '-aq', '--no-trunc']));
    const began = performance.now();
    await inParallel(8, ids, (id) => this.api('DELETE', `/containers/${id}?force=1&v=1`));
    return performance.now() - began;
  }

  /** Ends everything of it and removes it from the machine, however broken it is. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#dispose();
    return this.#disposal;
  }

  async #dispose(): Promise<void> {
    const ids = readdirIfThere(path.join(this.daemon.dataRoot, 'containers'));
    try {
      if (await this.daemon.answers()) await this.removeContainers().catch(() => undefined);
    } finally {
      await this.daemon.dispose();
      if (this.#containerd?.exitCode === null && this.#containerd.signalCode === null) {
        this.#containerd.kill('SIGKILL');
        await once(this.#containerd, 'exit', { signal: AbortSignal.timeout(10_000) });
      }
      const known = new Set(ids);
      for (const cgroup of globSync('/sys/fs/cgroup/{*/,}{docker,moored}/*')) if (known.has(path.basename(cgroup))) removeCgroup(cgroup);
      living.delete(this);
    }
  }
}

function namespaceOf(pid: number): string | undefined {
  try {
    return `net:[${statSync(`/proc/${pid}/ns/net`).ino}]`;
  } catch {
    return undefined;
  }
}

function readProc(name: string): string {
  try {
    return readFileSync(`/proc/${name}`, 'utf8');
  } catch {
    return '';
  }
}

function readdirIfThere(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function removeCgroup(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // Its last process is ending, or it has gone already.
  }
}
