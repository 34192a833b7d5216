/** What a container is made of: every option that `docker create` has for the process, its limits, its files and its namespaces. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { useDaemon } from '../fixtures/daemon.ts';
import { per } from '../fixtures/target.ts';

const daemon = useDaemon();
const sh = async (script: string, ...args: string[]): Promise<string> => daemon.ok('run', '--rm', ...args, 'busybox', 'sh', '-c', script);
const create = (body: Record<string, unknown>, query = '') => daemon.request('POST', `/containers/create${query}`, { body: { Image: 'busybox', Cmd: ['true'], ...body } });
const refused = async (...args: string[]): Promise<string> => {
  const { code, stderr } = await daemon.docker(['create', ...args, 'busybox', 'true']);
  assert.notEqual(code, 0, args.join(' '));
  return stderr;
};

test('capabilities: Docker’s default ones, more, fewer, all', async () => {
  const effective = (...args: string[]): Promise<string> => sh(`grep CapEff /proc/self/status | cut -f2`, ...args);
  assert.equal(await effective(), '00000000a80425fb');
  assert.equal(await effective('--cap-drop', 'ALL'), '0000000000000000');
  assert.equal(await effective('--cap-drop', 'all', '--cap-add', 'NET_BIND_SERVICE'), '0000000000000400');
  assert.equal(await effective('--cap-add', 'SYS_TIME'), '00000000aa0425fb');
  if (daemon.engine === 'moored') assert.equal(await effective('--privileged'), /^CapBnd:\t(.*)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]);
  assert.equal(await effective('--user', '1000'), '0000000000000000');
  assert.match(await refused('--cap-add', 'NOT_A_CAP'), /invalid CapAdd: unknown capability: "CAP_NOT_A_CAP"|[Uu]nknown capability/);
});

test('user: by name, number, with group, additional groups', async () => {
  assert.equal(await sh('id -u; id -g', '-u', '1000:2000'), '1000\n2000');
  assert.equal(await sh('id -u', '-u', 'root'), '0');
  assert.equal(await sh('id -G', '-u', '1000:1000', '--group-add', '3000'), '1000 3000');
  const { stderr } = await daemon.docker(['run', '--rm', '-u', 'stranger', 'busybox', 'true']);
  assert.match(stderr, /unable to find user stranger: no matching entries in passwd file/);
});

test('read-only root, tmpfs, and what stays writable', async () => {
  assert.equal(await sh('touch /x 2>/dev/null || echo refused; touch /scratch/x && echo ok; df /scratch | tail -1 | cut -d" " -f1', '--read-only', '--tmpfs', '/scratch:size=1m'), 'refused\nok\ntmpfs');
  assert.match(await sh('grep " /scratch " /proc/mounts', '--tmpfs', '/scratch:rw,size=64k,mode=700,noexec'), /^tmpfs \/scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=64k,mode=700/);
});

test('binds: folders and files, read-only, missing sources', async () => {
  const folder = `${daemon.dir}/bound`;
  mkdirSync(folder);
  writeFileSync(`${folder}/file`, 'from the host\n');
  assert.equal(await sh('cat /in/file; echo written > /in/new', '-v', `${folder}:/in`), 'from the host');
  assert.equal(readFileSync(`${folder}/new`, 'utf8'), 'written\n');
  assert.equal(await sh('touch /in/x 2>/dev/null || echo refused; cat /f', '-v', `${folder}:/in:ro`, '--mount', `type=bind,source=${folder}/file,target=/f,readonly`), 'refused\nfrom the host');
  assert.equal(await sh('ls -d /made', '-v', `${daemon.dir}/not/there:/made`), '/made');
  assert.match((await daemon.docker(['run', '--rm', '--mount', `type=bind,source=${daemon.dir}/never,target=/x`, 'busybox', 'true'])).stderr, /bind source path does not exist: .*\/never/);
  assert.match(await refused('-v', '/a:relative'), /invalid mount path: 'relative' mount path must be absolute/);
  const twice = await create({ HostConfig: { Binds: [`${folder}:/x`, `${folder}/file:/x`] } });
  assert.deepEqual([twice.status, twice.message()], [400, 'Duplicate mount point: /x']);
});

test('volumes take what the image has at their place', async () => {
  assert.equal(await sh('ls /etc/passwd', '-v', 'copied:/etc'), '/etc/passwd');
  assert.equal(await sh('ls /v', '-v', 'uncopied:/v:nocopy'), '');
  await daemon.ok('volume', 'rm', 'copied', 'uncopied');
});

test('limits reach the cgroup and inspect', async () => {
  const id = await daemon.ok('create', '-m', '64m', '--memory-swap', '128m', '--memory-reservation', '32m', '--cpus', '1.5', '--cpu-shares', '512', '--cpuset-cpus', '0', '--pids-limit', '77', '--blkio-weight', '0', 'busybox', 'sleep', '600');
  const { HostConfig } = await daemon.inspect(id);
  assert.deepEqual([HostConfig.Memory, HostConfig.MemorySwap, HostConfig.MemoryReservation, HostConfig.NanoCpus, HostConfig.CpuShares, HostConfig.CpusetCpus, HostConfig.PidsLimit], [67_108_864, 134_217_728, 33_554_432, 1_500_000_000, 512, '0', 77]);
  await daemon.ok('start', id);
  assert.match(await daemon.ok('exec', id, 'sh', '-c', 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max'), /^67108864$/);
  assert.match(await daemon.ok('exec', id, 'sh', '-c', 'cat /sys/fs/cgroup/pids/pids.max 2>/dev/null || cat /sys/fs/cgroup/pids.max'), /^77$/);
  assert.equal(await daemon.ok('exec', id, 'sh', '-c', 'grep Cpus_allowed_list /proc/self/status | cut -f2'), '0');
  await daemon.ok('rm', '-f', id);
});

test('limits that make no sense', async () => {
  assert.match(await refused('-m', '1m'), /[Mm]inimum memory limit allowed is [46]MB/);
  assert.match(await refused('-m', '64m', '--memory-swap', '32m'), /[Mm]inimum memoryswap limit should be larger than memory limit, see usage/);
  assert.match(await refused('--memory-swap', '64m'), /[Yy]ou should always set the [Mm]emory limit when using [Mm]emoryswap limit, see usage/);
  assert.match(await refused('--cpus', '9999'), /[Rr]ange of CPUs is from 0\.01 to \d+\.00, as there are only \d+ CPUs available/);
  assert.match(await refused('--cpuset-cpus', '77'), /Requested CPUs are not available - requested 77, available: /);
  assert.match(await refused('--restart', 'on-failure', '--rm'), /[Cc]onflicting options: (cannot specify both )?--restart and --rm/);
  const both = await create({ HostConfig: { AutoRemove: true, RestartPolicy: { Name: 'always' } } });
  assert.deepEqual([both.status, both.message()], [400, "can't create 'AutoRemove' container with restart policy"]);
});

test('ulimits, sysctls, oom score, no new privileges', async () => {
  assert.equal(await sh('ulimit -n; ulimit -Hn', '--ulimit', 'nofile=100:200'), '100\n200');
  assert.equal(await sh('cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax', '--sysctl', 'net.ipv4.ip_unprivileged_port_start=777', '--sysctl', 'kernel.msgmax=9999'), '777\n9999');
  assert.equal(await sh('cat /proc/self/oom_score_adj', '--oom-score-adj', '500'), '500');
  assert.equal(await sh('grep NoNewPrivs /proc/self/status | cut -f2', '--security-opt', 'no-new-privileges'), '1');
  assert.equal(await sh('grep Seccomp: /proc/self/status | cut -f2'), '2');
  assert.equal(await sh('grep Seccomp: /proc/self/status | cut -f2', '--security-opt', 'seccomp=unconfined'), '0');
});

test('shared memory and ipc', async () => {
  assert.match(await sh('df -k /dev/shm | tail -1', '--shm-size', '3m'), / 3072 /);
  assert.match(await sh('df -k /dev/shm | tail -1'), / 65536 /);
  await daemon.ok('run', '-d', '--name', 'sharer', '--ipc', 'shareable', 'busybox', 'sleep', '600');
  await daemon.ok('exec', 'sharer', 'touch', '/dev/shm/shared');
  assert.equal(await sh('ls /dev/shm', '--ipc', 'container:sharer'), 'shared');
  await daemon.ok('rm', '-f', 'sharer');
});

test('init, pid, uts and network modes', async () => {
  assert.match(await sh('cat /proc/1/cmdline | tr "\\0" " "', '--init'), /init/);
  assert.match(await sh('cat /proc/1/cmdline | tr "\\0" " "'), /^sh -c/);
  assert.notEqual(await sh('readlink /proc/self/ns/pid', '--pid', 'host'), await sh('readlink /proc/self/ns/pid'));
  await daemon.ok('run', '-d', '--name', 'first', '-h', 'first', 'busybox', 'sleep', '600');
  assert.match(await sh('ps', '--pid', 'container:first'), /sleep 600/);
  assert.equal(await sh('ip -o -4 addr show eth0 | wc -l; hostname', '--network', 'container:first'), '1\nfirst');
  assert.equal(await sh('ls /sys/class/net', '--network', 'none'), 'lo');
  await daemon.ok('rm', '-f', 'first');
});

test('hostname, hosts, dns, domain name', async () => {
  assert.equal(await sh('hostname; cat /etc/hostname; grep -c ship /etc/hosts', '-h', 'ship'), 'ship\nship\n1');
  assert.match(await sh('cat /etc/hosts', '--add-host', 'lighthouse:10.1.2.3'), /^10\.1\.2\.3\tlighthouse$/m);
  const resolv = await sh('cat /etc/resolv.conf', '--dns', '10.9.8.7', '--dns-search', 'example.org', '--dns-option', 'ndots:3');
  assert.match(resolv, /^nameserver 10\.9\.8\.7$/m);
  assert.match(resolv, /^search example\.org$/m);
  assert.match(resolv, /^options ndots:3$/m);
  const id = await daemon.ok('create', 'busybox', 'true');
  assert.equal((await daemon.inspect(id)).Config.Hostname, id.slice(0, 12));
  await daemon.ok('rm', id);
});

test('host-gateway, and what links to nobody', async () => {
  assert.match(await sh('cat /etc/hosts', '--add-host', 'gw:host-gateway'), /^172\.17\.0\.1\tgw$/m);
  for (const flags of [['--link', 'nobody'], ['--volumes-from', 'nobody']]) {
    // A 404 would make the client pull the image.
    const { code, stderr } = await daemon.docker(['run', '--rm', ...flags, 'busybox', 'true']);
    assert.equal(code, 125);
    assert.match(stderr, /No such container: nobody/);
    assert.doesNotMatch(stderr, /Unable to find image/);
  }
});

test('links on the default network: names and variables', async () => {
  const db = await daemon.ok('run', '-d', '--name', 'db', '-e', 'PW=x', '--expose', '5432', 'busybox', 'sleep', '600');
  const address = (await daemon.inspect(db)).NetworkSettings.IPAddress as string;
  const linked = await sh('cat /etc/hosts; env', '--name', 'web', '--link', 'db:data');
  assert.match(linked, new RegExp(`^${address}\tdata `, 'm'));
  for (const line of ['DATA_NAME=/web/data', `DATA_PORT=tcp://${address}:5432`, `DATA_PORT_5432_TCP_ADDR=${address}`, 'DATA_ENV_PW=x']) assert.ok(linked.split('\n').includes(line), line);
  await daemon.ok('create', '--name', 'web', '--link', 'db:data', 'busybox', 'true');
  assert.deepEqual((await daemon.inspect('web')).HostConfig.Links, ['/db:/web/data']);
  await daemon.ok('stop', '-t', '0', 'db');
  assert.match((await daemon.docker(['start', 'web'])).stderr, /Cannot link to a non running container: \/db AS \/web\/data/);
  await daemon.ok('rm', 'web');
  await daemon.ok('start', 'db');
  await daemon.ok('run', '-d', '--name', 'web', '--link', 'db', 'busybox', 'sleep', '600');
  // Its next address is another one, which those that link to it are told.
  await daemon.ok('stop', '-t', '0', 'db');
  const squatter = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  await daemon.ok('start', 'db');
  const now = (await daemon.inspect(db)).NetworkSettings.IPAddress as string;
  assert.match(await daemon.ok('exec', 'web', 'cat', '/etc/hosts'), new RegExp(`^${now}\tdb `, 'm'));
  await daemon.ok('rm', '-f', 'db', 'web', squatter);
});

test('devices', async () => {
  assert.equal(await sh('test -c /dev/fuse && echo yes || echo no'), 'no');
  assert.equal(await sh('head -c 4 /dev/zero2 | wc -c', '--device', '/dev/zero:/dev/zero2:r'), '4');
  assert.equal(await sh('for d in null zero full random urandom tty; do test -c /dev/$d || echo $d; done; ls /dev/pts /dev/shm >/dev/null && readlink /dev/stdout'), '/proc/self/fd/1');
});

test('what a container must not see or do', async () => {
  assert.equal(await sh('cat /proc/kcore 2>/dev/null | head -c 1 | wc -c; ls /proc/acpi 2>/dev/null | wc -l; echo 1 > /proc/sysrq-trigger 2>/dev/null || echo refused'), '0\n0\nrefused');
  assert.equal(await sh('mount -t tmpfs none /mnt 2>/dev/null || echo refused; mknod /tmp/x b 8 0 2>/dev/null && head -c 1 /tmp/x 2>/dev/null || echo refused'), 'refused\nrefused');
  assert.equal(await sh('echo 1 > /proc/sys/kernel/panic 2>/dev/null || echo refused'), 'refused');
  assert.match(await sh('cat /proc/self/mounts | grep " /sys "'), /sysfs ro/);
});

test('image settings are merged with the container’s', async () => {
  await daemon.ok('create', '--name', 'base', '-e', 'FROM_IMAGE=1', '-w', '/srv', '-l', 'from=image', '--entrypoint', '/bin/echo', 'busybox', 'default');
  await daemon.ok('commit', '-c', 'EXPOSE 99/udp', '-c', 'USER 55', 'base', 'merged:1');
  const id = await daemon.ok('create', '-e', 'MINE=2', '-l', 'own=yes', 'merged:1', 'word');
  const { Config, Path, Args } = await daemon.inspect(id);
  assert.deepEqual([Path, Args], ['/bin/echo', ['word']]);
  assert.ok(Config.Env.includes('FROM_IMAGE=1') && Config.Env.includes('MINE=2'));
  assert.deepEqual([Config.WorkingDir, Config.User, Config.Labels.from, Config.Labels.own], ['/srv', '55', 'image', 'yes']);
  assert.deepEqual(Object.keys(Config.ExposedPorts), ['99/udp']);
  const replaced = await daemon.ok('create', '--entrypoint', 'sh', 'merged:1');
  assert.deepEqual((await daemon.inspect(replaced)).Args, []);
  await daemon.ok('rm', 'base', id, replaced);
  await daemon.ok('rmi', 'merged:1');
});

test('names: taken, invalid, generated', async () => {
  const first = await create({}, '?name=taken');
  const again = await create({}, '?name=taken');
  assert.equal(again.status, 409);
  assert.equal(again.message(), `Conflict. The container name "/taken" is already in use by container "${first.json().Id}". You have to remove (or rename) that container to be able to reuse that name.`);
  const invalid = await create({}, '?name=-x');
  assert.deepEqual([invalid.status, invalid.message()], [400, 'Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed']);
  const generated = await create({});
  assert.match((await daemon.inspect(generated.json().Id)).Name, /^\/[a-z]+_[a-z]+\d*$/);
  await daemon.ok('rm', 'taken', generated.json().Id);
});

test('create: bodies that are wrong', async () => {
  const send = (body: string) => daemon.request('POST', '/containers/create', { body });
  for (const body of ['', '{', '{"Image":5}', '{"Image":"busybox","Cmd":{}}']) {
    const answer = await send(body);
    assert.equal(answer.status, per({ moored: 400, dockerd: answer.status }), body);
    assert.ok(answer.status >= 400, body);
  }
  const missing = await create({ Image: 'no-such-image' });
  assert.deepEqual([missing.status, missing.message()], [404, 'No such image: no-such-image:latest']);
  const empty = await create({ Cmd: [], Entrypoint: [''] });
  assert.equal(empty.status, 400);
  assert.match(empty.message(), /[Nn]o command specified/);
});

test('inspect has the shape that clients rely on', async () => {
  const id = await daemon.ok('run', '-d', '--name', 'shape', '-p', '127.0.0.1:18099:80', '--expose', '81', 'busybox', 'sleep', '600');
  const found = await daemon.inspect(id);
  for (const key of ['Id', 'Created', 'Path', 'Args', 'State', 'Image', 'ResolvConfPath', 'HostnamePath', 'HostsPath', 'LogPath', 'Name', 'RestartCount', 'Driver', 'Platform', 'MountLabel', 'ProcessLabel', 'AppArmorProfile', 'ExecIDs', 'HostConfig', 'GraphDriver', 'Mounts', 'Config', 'NetworkSettings'])
    assert.ok(key in found, key);
  assert.deepEqual(Object.keys(found.State).toSorted(), ['Dead', 'Error', 'ExitCode', 'FinishedAt', 'OOMKilled', 'Paused', 'Pid', 'Restarting', 'Running', 'StartedAt', 'Status']);
  assert.deepEqual(found.NetworkSettings.Ports, { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '18099' }], '81/tcp': null });
  assert.deepEqual(found.HostConfig.PortBindings, { '80/tcp': [{ HostIp: '127.0.0.1', HostPort: '18099' }] });
  const network = found.NetworkSettings.Networks.bridge;
  assert.match(network.IPAddress, /^\d+\.\d+\.\d+\.\d+$/);
  assert.equal(network.IPAddress, found.NetworkSettings.IPAddress);
  assert.match(network.MacAddress, /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/);
  assert.match(found.Created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/);
  assert.equal(found.HostConfig.NetworkMode, per({ moored: 'bridge', dockerd: 'default' }));
  assert.equal(found.HostConfig.ShmSize, 67_108_864);
  assert.equal(found.Platform, 'linux');
  await daemon.ok('rm', '-f', id);
});
