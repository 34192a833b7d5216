/** The units: the service comes and goes, its containers and its socket stay; the whole system going down stops them in order. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { polite, useHost } from './host.ts';

const SERVE = ['sh', '-c', 'mkdir /www; echo here >/www/index.html; exec httpd -f -h /www'];
const PUBLISHED = { ExposedPorts: { '80/tcp': {} }, HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '8080' }] } } };
const UNITS = 'moored.service moored.socket moored-containers.service moored-dns.service';

suite('systemd units', () => {
  const host = useHost({ 'live-restore': true });

  test('the units are valid, and the socket belongs to the group', async () => {
    assert.equal(await host().ok(`systemd-analyze verify ${UNITS} 2>&1`), '');
    assert.equal(await host().ok('stat -c "%a %U %G" /run/docker.sock'), '660 root docker');
    assert.equal(await host().ok('systemctl is-active moored.socket moored.service moored-containers.service'), 'active\nactive\nactive');
  });

  test('restart, again and again: containers run on, outside the service', async () => {
    await host().run('steady', SERVE, PUBLISHED);
    await host().run('shell', ['sh'], { Tty: true, OpenStdin: true });
    const before = await host().runs();
    for (let round = 0; round < 3; round += 1) {
      await host().ok('systemctl restart moored');
      assert.equal(await host().runs(), before);
    }
    assert.equal(await host().ok('busybox wget -qO- http://127.0.0.1:8080/'), 'here');
    assert.equal(await host().ok(`cat /sys/fs/cgroup$(systemctl show -P ControlGroup moored)/cgroup.subtree_control`), '');
    // The daemon alone is in its service.
    assert.equal(await host().ok(`cat /sys/fs/cgroup$(systemctl show -P ControlGroup moored)/cgroup.procs`), await host().ok('systemctl show -P MainPID moored'));
    assert.equal(await host().ok('wc -l </sys/fs/cgroup/moored-shims/cgroup.procs'), '2');
  });

  test('A11: a client that connects while the daemon is away is answered by the next one', async () => {
    await host().run('insider', ['sleep', '100000'], { HostConfig: { Binds: ['/run/docker.sock:/run/docker.sock', '/opt/docker:/docker', '/opt/api:/api'] } });
    const inode = await host().ok('stat -c %i /run/docker.sock');
    await host().ok('systemctl stop moored; systemctl is-active moored.socket');
    // It waits in the socket; its connection is what starts the daemon.
    assert.match(await host().ok(`docker ps --format '{{.Names}}'`), /steady/);
    assert.equal(await host().ok('systemctl is-active moored; stat -c %i /run/docker.sock'), `active\n${inode}`);
    assert.match(await host().exec('insider', '/api GET /containers/json'), /"\/insider"/);
    await host().api('DELETE', '/containers/insider?force=1');
  });

  test('a crashed daemon is started again', async () => {
    const before = await host().runs();
    await host().crash();
    assert.equal(await host().runs(), before);
  });

  test('reload', async () => {
    const info = async (): Promise<unknown[]> => (({ LiveRestoreEnabled, Debug }) => [LiveRestoreEnabled, Debug])(await host().api('GET', '/info'));
    await host().configure({ 'live-restore': false, 'debug': true });
    await host().ok('systemctl reload moored');
    assert.deepEqual(await info(), [false, true]);
    await host().ok('echo "{" >/etc/docker/daemon.json; systemctl reload moored');
    await host().until(`journalctl -u moored -o cat | grep -q 'level=error.*reloading configuration'`);
    assert.deepEqual(await info(), [false, true]);
    await host().configure({ 'live-restore': true });
    await host().ok('systemctl reload moored');
    assert.deepEqual(await info(), [true, false]);
    await host().removeAll();
  });

  test('the resolver has a unit of its own, which outlives the daemon and comes again when it is killed', async () => {
    assert.equal((await host().machine.run('systemctl is-active moored-dns')).stdout, 'inactive\n');
    const { Id } = await host().api('POST', '/networks/create', { Name: 'mesh' });
    assert.match(Id, /^[0-9a-f]{64}$/);
    await host().run('one', ['sleep', '100000'], { HostConfig: { NetworkMode: 'mesh' } });
    await host().run('two', ['sleep', '100000'], { HostConfig: { NetworkMode: 'mesh' } });
    assert.equal(await host().ok('systemctl is-active moored-dns'), 'active');
    assert.match(await host().exec('one', 'nslookup two'), /Name:\s+two/);
    const pid = await host().ok('systemctl show -P MainPID moored-dns');
    await host().ok('systemctl restart moored');
    assert.equal(await host().ok('systemctl show -P MainPID moored-dns'), pid);
    await host().ok('systemctl stop moored.socket moored.service && systemctl kill -s KILL moored-dns');
    await host().until(`pid=$(systemctl show -P MainPID moored-dns); [ "$pid" != 0 ] && [ "$pid" != ${pid} ]`);
    // Without a daemon, from inside a container's network.
    assert.match(await host().ok('nsenter --net=$(ls -d /run/moored/containers/*/netns | head -n 1) busybox nslookup two 127.0.0.11'), /Name:\s+two/);
    await host().ok('systemctl start moored.socket moored.service');
    await host().removeAll();
  });

  for (const how of ['with its daemon', 'while the daemon is dead', 'without live restore'] as const) {
    test(`A10: the system goes down ${how}: everything stops in order, and the right ones come back`, async () => {
      await host().configure({ 'live-restore': how !== 'without live restore' });
      await host().ok('systemctl reload moored');
      const containers: readonly (readonly [string, string, Readonly<Record<string, unknown>>])[] = [
        ['always', polite(0, 3), { HostConfig: { RestartPolicy: { Name: 'always' } } }],
        ['unless', polite(0, 0), { HostConfig: { RestartPolicy: { Name: 'unless-stopped' } } }],
        ['halted', polite(0, 0), { HostConfig: { RestartPolicy: { Name: 'unless-stopped' } } }],
        ['plain', polite(3, 7), {}],
        ['stubborn', 'trap "" TERM; echo ready; while :; do sleep 0.2; done', { StopTimeout: 2 }],
        ['ephemeral', polite(0, 0), { HostConfig: { AutoRemove: true } }],
      ];
      for (const [name, script, more] of containers) await host().run(name, ['sh', '-c', script], more);
      for (const [name] of containers) await host().untilSaid(name, 'ready');
      await host().api('POST', '/containers/halted/stop');
      const halted = (await host().inspect('halted')).State.FinishedAt;
      if (how === 'while the daemon is dead') await host().ok('systemctl stop moored.socket moored.service; systemctl is-active moored-containers');
      await host().machine.reboot();
      await host().until(`[ "$(/opt/api GET /containers/json | grep -o '"Names":\\["/[a-z]*"' | sort | tr -d '\\n')" = '"Names":["/always""Names":["/unless"' ]`);
      await host().until('! /opt/api GET /containers/ephemeral/json');
      const state = async (name: string): Promise<unknown[]> => (({ Status, ExitCode }) => [Status, ExitCode])((await host().inspect(name)).State);
      assert.deepEqual([await state('plain'), await state('stubborn')], [['exited', 7], ['exited', 137]]);
      assert.equal((await host().inspect('halted')).State.FinishedAt, halted);
      assert.equal(await host().logs('plain'), 'ready\nbye');
      await host().until(`[ "$(docker logs always 2>&1 | tr '\\n' ' ')" = 'ready bye ready ' ]`);
      assert.match((await host().inspect('plain')).State.FinishedAt, /^20\d\d-/);
      await host().removeAll();
    });
  }
});
