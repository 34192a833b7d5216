/** The units: the service comes and goes, its containers and its socket stay; the whole system going down stops them in order. */
import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { polite, useHost } from './host.ts';

suite('systemd units', () => {
  const host = useHost({ 'live-restore': true });

  test('the units are valid, and the socket belongs to the group', async () => {
    assert.equal(await host().ok('systemd-analyze verify moored.service moored.socket moored-containers.service 2>&1'), '');
    assert.equal(await host().ok('stat -c "%a %U %G" /run/docker.sock'), '660 root docker');
  });

  test('restart, again and again: containers run on, outside the service', async () => {
    await host().ok(`docker run -d --name steady -p 8080:80 busybox sh -c 'mkdir /www; echo here >/www/index.html; exec httpd -f -h /www'`);
    await host().ok('docker run -dit --name shell busybox sh');
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

  test('a client that connects while the daemon is away is answered by the next one', async () => {
    await host().ok(`docker run -d --name insider -v /run/docker.sock:/run/docker.sock -v /opt/docker:/docker busybox sleep 100000`);
    await host().ok('systemctl stop moored; systemctl is-active moored.socket');
    assert.match(await host().ok(`docker ps --format '{{.Names}}'`), /steady/);
    assert.equal(await host().ok('systemctl is-active moored'), 'active');
    assert.match(await host().ok(`docker exec insider /docker ps --format '{{.Names}}'`), /insider/);
    await host().ok('docker rm -f insider');
  });

  test('a crashed daemon is started again', async () => {
    const before = await host().runs();
    await host().ok('systemctl kill -s KILL moored && sleep 1');
    assert.equal(await host().runs(), before);
  });

  test('reload', async () => {
    await host().configure({ 'live-restore': false, 'debug': true });
    await host().ok('systemctl reload moored');
    await host().until(`[ "$(docker info -f '{{.LiveRestoreEnabled}} {{.Debug}}')" = "false true" ]`);
    await host().ok('echo "{" >/etc/docker/daemon.json; systemctl reload moored');
    await host().until(`journalctl -u moored -o cat | grep -q 'level=error.*reloading configuration'`);
    assert.equal(await host().ok('docker info -f {{.Debug}}'), 'true');
    await host().configure({ 'live-restore': true });
    await host().ok('systemctl reload moored');
    await host().until(`[ "$(docker info -f '{{.LiveRestoreEnabled}}')" = true ]`);
    await host().removeAll();
  });

  for (const how of ['with its daemon', 'while the daemon is dead', 'without live restore'] as const) {
    test(`the system goes down ${how}: everything stops in order, and the right ones come back`, async () => {
      await host().configure({ 'live-restore': how !== 'without live restore' });
      await host().ok('systemctl reload moored');
      await host().until(`[ "$(docker info -f '{{.LiveRestoreEnabled}}')" = ${how !== 'without live restore'} ]`);
      await host().ok(`
        set -e
        docker run -d --name always --restart always busybox ${polite(0, 3)}
        docker run -d --name unless --restart unless-stopped busybox ${polite(0, 0)}
        docker run -d --name halted --restart unless-stopped busybox ${polite(0, 0)}
        docker run -d --name plain busybox ${polite(3, 7)}
        docker run -d --name stubborn --stop-timeout 2 busybox sh -c 'trap "" TERM; echo ready; while :; do sleep 0.2; done'
        docker run -d --name ephemeral --rm busybox ${polite(0, 0)}
        docker stop halted`);
      for (const name of ['always', 'unless', 'plain', 'stubborn', 'ephemeral']) await host().until(`docker logs ${name} | grep -q ready`);
      const finished = '{{.State.FinishedAt}}';
      const halted = await host().inspect('halted', finished);
      if (how === 'while the daemon is dead') await host().ok('systemctl stop moored.socket moored.service; systemctl is-active moored-containers');
      await host().machine.reboot();
      await host().until(`docker ps --format '{{.Names}}' | sort | tr '\\n' ' ' | grep -qx 'always unless '`);
      await host().until(`! docker inspect ephemeral 2>/dev/null`);
      assert.equal(await host().inspect('plain', '{{.State.Status}} {{.State.ExitCode}}'), 'exited 7');
      assert.equal(await host().inspect('stubborn', '{{.State.Status}} {{.State.ExitCode}}'), 'exited 137');
      assert.equal(await host().inspect('halted', finished), halted);
      assert.equal(await host().ok('docker logs plain'), 'ready\nbye');
      await host().until(`[ "$(docker logs always | tr '\\n' ' ')" = 'ready bye ready ' ]`);
      assert.match(await host().inspect('plain', finished), /^20\d\d-/);
      await host().removeAll();
    });
  }
});
