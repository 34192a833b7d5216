/** Without systemd's units: packaging/moored.init starts and stops the daemon, and its containers with the host. */
import assert from 'node:assert/strict';
import { after, suite, test } from 'node:test';
import { polite, useHost } from './host.ts';

const INIT = '/etc/init.d/moored';

suite('the init script', () => {
  // Before the machine is let go.
  after(() => host().ok(`${INIT} stop; rm -f ${INIT}; systemctl start moored.socket moored.service`));
  const host = useHost({ 'live-restore': true });

  test('start, status, restart and stop leave containers alone', async () => {
    await host().ok(`systemctl stop moored.socket moored.service; install -m 755 /opt/moored/packaging/moored.init ${INIT}; ${INIT} start`);
    assert.match(await host().ok(`${INIT} status`), /^moored is running \(process \d+\)$/);
    await host().run('steady', ['sleep', '100000']);
    const before = await host().runs();
    await host().ok(`${INIT} restart`);
    assert.equal(await host().runs(), before);
    await host().ok(`${INIT} start`);
    await host().ok(`RUNLEVEL=2 ${INIT} stop`);
    assert.equal((await host().machine.run(`${INIT} status`)).code, 3);
    await host().ok(`${INIT} start`);
    assert.equal(await host().runs(), before);
  });

  test('reload, and what it says where there is no daemon', async () => {
    await host().configure({ 'live-restore': true, 'debug': true });
    await host().ok(`${INIT} reload`);
    await host().until('/opt/api GET /info | grep -q \'"Debug":true\'');
    await host().ok(`${INIT} stop`);
    const { code, stderr } = await host().machine.run(`${INIT} reload`);
    assert.deepEqual([code, stderr], [7, 'moored is not running\n']);
    await host().ok(`${INIT} start`);
  });

  for (const how of ['with its daemon', 'without one'] as const) {
    test(`the host goes down ${how}: containers are stopped in order, and the right ones start again`, async () => {
      await host().removeAll();
      await host().run('always', ['sh', '-c', polite(1, 4)], { HostConfig: { RestartPolicy: { Name: 'always' } } });
      await host().run('plain', ['sh', '-c', polite(1, 7)]);
      for (const name of ['always', 'plain']) await host().untilSaid(name, 'ready');
      if (how === 'without one') await host().ok(`kill -9 $(cat /var/run/docker.pid)`);
      await host().ok(`RUNLEVEL=0 ${INIT} stop`);
      assert.equal(await host().ok('cat /sys/fs/cgroup/moored-shims/cgroup.procs'), '');
      await host().ok(`${INIT} start`);
      await host().until('/opt/api GET /containers/always/json | grep -q \'"Running":true\'');
      const { State } = await host().inspect('plain');
      assert.deepEqual([State.Status, State.ExitCode], ['exited', 7]);
      assert.equal(await host().logs('plain'), 'ready\nbye');
    });
  }

  test('SIGPWR: the daemon stops its containers, live restore or not', async () => {
    await host().removeAll();
    await host().run('plain', ['sh', '-c', polite(1, 7)]);
    await host().untilSaid('plain', 'ready');
    await host().ok('pid=$(cat /var/run/docker.pid); kill -s PWR $pid; while [ -e /proc/$pid ]; do sleep 0.2; done');
    assert.equal(await host().ok('cat /sys/fs/cgroup/moored-shims/cgroup.procs'), '');
    await host().ok(`${INIT} start`);
    assert.equal((await host().inspect('plain')).State.ExitCode, 7);
  });
});
