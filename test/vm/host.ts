/** moored installed in a virtual machine as its package would be: programs in /usr/bin, units, daemon.json. */
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

/** A shell loop in a container that says `ready`, and `bye` at SIGTERM after so many seconds, with this exit code. */
export const polite = (seconds: number, code: number): string =>
  `sh -c 'trap "sleep ${seconds}; echo bye; exit ${code}" TERM; echo ready; while :; do sleep 0.2; done'`;

export class Host {
  readonly machine: Machine;

  constructor(machine: Machine) {
    this.machine = machine;
  }

  static async boot(config: Readonly<Record<string, unknown>>): Promise<Host> {
    const host = new Host(await Machine.boot());
    try {
      await host.machine.ok(INSTALL);
      await host.configure(config);
      await host.machine.ok('systemctl start moored && docker load -q -i /opt/busybox.tar');
      return host;
    } catch (error) {
      await host.end();
      throw error;
    }
  }

  /** Writes daemon.json; the next reload or restart makes it count. */
  async configure(config: Readonly<Record<string, unknown>>): Promise<void> {
    await this.machine.ok(`cat >/etc/docker/daemon.json <<'END'\n${JSON.stringify(config)}\nEND`);
  }

  ok(script: string): Promise<string> {
    return this.machine.ok(script);
  }

  until(script: string): Promise<string> {
    return this.machine.until(script);
  }

  /** Fields of `docker inspect`, by Go template. */
  inspect(container: string, template: string): Promise<string> {
    return this.ok(`docker inspect -f '${template}' ${container}`);
  }

  /** A file of a container's cgroup. */
  cgroupFile(container: string, file: string): Promise<string> {
    return this.ok(`cat "$(dirname "$(find /sys/fs/cgroup -path "*$(docker inspect -f '{{.Id}}' ${container})*/cgroup.events" | head -n 1)")/${file}"`);
  }

  /** What identifies the runs of the containers that run, one a line. */
  runs(): Promise<string> {
    return this.ok(`docker inspect -f '{{.Name}} {{.State.Pid}} {{.State.StartedAt}} {{.RestartCount}}' $(docker ps -q) | sort`);
  }

  async removeAll(): Promise<void> {
    await this.ok('docker ps -aq | xargs -r docker rm -f');
  }

  /** Ends the machine; of what went wrong the daemon's log tells. */
  async end(): Promise<void> {
    try {
      if (process.env['MOORED_VM_LOG'] !== undefined) console.log((await this.machine.run('journalctl -u "moored*" -o short-precise --no-pager | tail -n 100')).stdout);
    } finally {
      await this.machine.end();
    }
  }
}

/** One machine for all tests of a file. */
export function useHost(config: Readonly<Record<string, unknown>>): () => Host {
  let host: Host | undefined;
  before(async () => {
    host = await Host.boot(config);
  });
  after(() => host?.end());
  return () => host ?? assert.fail('the machine did not come up');
}
