/**
 * moored installed in a virtual machine as its package would be: programs in /usr/bin, units, daemon.json. All suites of
 * one process share a machine, as its start takes longer than most of what they do.
 */
import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { Machine } from './machine.ts';

const INSTALL = `
set -e
ln -s /opt/moored/bin/moored /opt/moored/bin/moored-host-down /usr/bin/
cp /opt/moored/packaging/moored*.service /opt/moored/packaging/moored.socket /etc/systemd/system/
mkdir -p /etc/docker
systemctl daemon-reload
systemctl enable moored.socket moored.service
`;

type Config = Readonly<Record<string, unknown>>;

/** A shell script in a container that says `ready`, and `bye` at SIGTERM after so many seconds, with this exit code. */
export const polite = (seconds: number, code: number): string => `trap "sleep ${seconds}; echo bye; exit ${code}" TERM; echo ready; while :; do sleep 0.2; done`;

/** One word of a shell script. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

export class Host {
  readonly machine: Machine;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  static async boot(): Promise<Host> {
    const host = new Host(await Machine.boot());
    try {
      await host.machine.ok(INSTALL);
      await host.configure({});
      await host.machine.ok('systemctl start moored && docker load -q -i /opt/busybox.tar');
      return host;
    } catch (error) {
      await host.end();
      throw error;
    }
  }

  /** As it was installed, with this daemon.json. */
  async reset(config: Config): Promise<void> {
    await this.removeAll();
    await this.configure(config);
    await this.ok('rm -rf /etc/systemd/system/moored*.d; systemctl daemon-reload; systemctl restart moored.service');
  }

  /** Writes daemon.json; the next reload or restart makes it count. */
  async configure(config: Config): Promise<void> {
    await this.machine.ok(`cat >/etc/docker/daemon.json <<'END'\n${JSON.stringify(config)}\nEND`);
  }

  ok(script: string): Promise<string> {
    return this.machine.ok(script);
  }

  until(script: string): Promise<string> {
    return this.machine.until(script);
  }

  /** One request to the daemon, which must succeed; its answer's JSON, or its text if it is none. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests say what they expect
  async api(method: string, where: string, body?: unknown): Promise<any> {
    const text = await this.ok(`/opt/api ${method} ${quoted(where)} ${body === undefined ? '' : quoted(JSON.stringify(body))}`);
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  }

  /** Creates and starts a container of busybox; its id. */
  async run(name: string, cmd: readonly string[], more: Config = {}): Promise<string> {
    const { Id } = await this.api('POST', `/containers/create?name=${name}`, { Image: 'busybox', Cmd: cmd, ...more });
    await this.api('POST', `/containers/${name}/start`);
    return Id;
  }

  /** `docker inspect`. */
  // oxlint-disable-next-line typescript/no-explicit-any -- tests say what they expect
  inspect(container: string): Promise<any> {
    return this.api('GET', `/containers/${container}/json`);
  }

  /** What it has said on stdout and stderr. */
  logs(container: string): Promise<string> {
    return this.ok(`docker logs ${container} 2>&1`);
  }

  /** Waits until a container has said a word. */
  async untilSaid(container: string, word: string): Promise<void> {
    const { LogPath } = await this.inspect(container);
    await this.until(`grep -qF ${quoted(word)} ${LogPath}`);
  }

  /** Runs a command in a container, which must succeed; what it prints. */
  async exec(container: string, command: string): Promise<string> {
    return this.ok(`docker exec ${container} ${command}`);
  }

  /** Files of a container's cgroup. */
  async cgroupFiles(container: string, files: readonly string[]): Promise<string[]> {
    const { Id } = await this.inspect(container);
    const text = await this.ok(`cd "$(dirname "$(find /sys/fs/cgroup -path "*${Id}*/cgroup.events" | head -n 1)")" && for file in ${files.join(' ')}; do cat $file; echo ---; done`);
    return text.split('\n---').slice(0, -1).map((each) => each.replace(/^\n/, ''));
  }

  async cgroupFile(container: string, file: string): Promise<string> {
    return (await this.cgroupFiles(container, [file]))[0] ?? '';
  }

  /** What identifies the runs of the containers that run, one a line. */
  async runs(): Promise<string> {
    const running = (await this.api('GET', '/containers/json')) as { Id: string }[];
    const seen: string[] = [];
    for (const { Id } of running) {
      const { Name, State, RestartCount } = await this.inspect(Id);
      seen.push(`${Name} ${State.Pid} ${State.StartedAt} ${RestartCount}`);
    }
    return seen.toSorted().join('\n');
  }

  /** Removes every container and network. */
  async removeAll(): Promise<void> {
    for (const { Id } of (await this.api('GET', '/containers/json?all=1')) as { Id: string }[]) await this.api('DELETE', `/containers/${Id}?force=1&v=1`);
    await this.api('POST', '/networks/prune');
  }

  /** kill -9 of the daemon; systemd starts another, which answers. */
  async crash(): Promise<void> {
    const pid = await this.ok('systemctl show -P MainPID moored');
    await this.ok('systemctl kill -s KILL moored');
    await this.until(`pid=$(systemctl show -P MainPID moored); [ "$pid" != 0 ] && [ "$pid" != ${pid} ] && /opt/api GET /_ping`);
  }

  /** Ends the machine; of what went wrong the daemon's log tells. */
  async end(): Promise<void> {
    try {
      if (process.env['MOORED_VM_LOG'] !== undefined) console.log((await this.machine.run('journalctl -u "moored*" -o short-precise --no-pager | tail -n 150')).stdout);
    } finally {
      await this.machine.end();
    }
  }
}

let shared: Host | undefined;
let users = 0;

/** The machine for the tests of a suite, as it was installed, with a daemon.json. */
export function useHost(config: Config): () => Host {
  users += 1;
  before(async () => {
    if (shared?.machine.ended === true) shared = undefined;
    shared ??= await Host.boot();
    await shared.reset(config);
  });
  after(async () => {
    users -= 1;
    if (users > 0 || shared === undefined) return;
    const host = shared;
    shared = undefined;
    await host.end();
  });
  return () => shared ?? assert.fail('the machine did not come up');
}
