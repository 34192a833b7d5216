import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { stringify } from '../../base/json.ts';
import { newId } from '../../base/ids.ts';
import { allDevices, deviceNumbers, devicesAt } from '../../sys/devices.ts';
import { readHostFacts } from '../../sys/hostFacts.ts';
import { testConfig, testHostConfig } from './configs.fixture.ts';
import { execProcess } from './process.ts';
import { ociSpec } from './spec.ts';
import type { SpecInput } from './spec.ts';
import { resolveUser } from './user.ts';

const work = mkdtempSync(join(tmpdir(), 'moored-oci-'));
after(() => rmSync(work, { recursive: true, force: true }));

const PASSWD = 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n';
const GROUP = 'root:x:0:\napp:x:1000:\nextra:x:2000:app\naudio:x:29:\n';

const rootfs = join(work, 'rootfs');
for (const folder of ['bin', 'etc', 'proc', 'sys', 'dev', 'tmp', 'home/app', 'root']) mkdirSync(join(rootfs, folder), { recursive: true });
copyFileSync('/bin/busybox', join(rootfs, 'bin/busybox'));
for (const name of ['sh', 'cat', 'id', 'ls', 'mount', 'touch', 'hostname', 'env', 'pwd', 'sleep', 'head', 'grep', 'stat', 'unshare', 'chroot']) {
  symlinkSync('busybox', join(rootfs, 'bin', name));
}
writeFileSync(join(rootfs, 'etc/passwd'), PASSWD);
writeFileSync(join(rootfs, 'etc/group'), GROUP);

interface Ask {
  host?: Partial<SpecInput['host']>;
  config?: Partial<SpecInput['config']>;
  input?: Partial<SpecInput>;
}

function inputFor(command: string, ask: Ask = {}): SpecInput {
  const config = { ...testConfig(), hostname: 'box', ...ask.config };
  const host = { ...testHostConfig(), ...ask.host };
  return {
    id: newId(),
    config,
    host,
    user: resolveUser(config.user, { passwd: PASSWD, group: GROUP }, host.groupAdd),
    linkedEnv: [],
    defaultUlimits: [],
    noNewPrivilegesDefault: false,
    args: ['/bin/sh', '-c', command],
    rootfs,
    mounts: [],
    etc: {},
    namespaces: {},
    cgroup: { driver: 'cgroupfs', parent: `/moored-test-${process.pid}` },
    facts: readHostFacts(),
    devices: { at: devicesAt, all: allDevices, numbers: deviceNumbers },
    init: { byDefault: false },
    ...ask.input,
  };
}

/** Runs the container to its end, really. */
function run(command: string, ask: Ask = {}): { code: number | null; out: string } {
  const input = inputFor(command, ask);
  const bundle = mkdtempSync(join(work, 'bundle-'));
  writeFileSync(join(bundle, 'config.json'), stringify(ociSpec(input)));
  const result = spawnSync('runc', ['--root', join(work, 'runc'), 'run', '--bundle', bundle, input.id], { encoding: 'utf8', timeout: 20_000 });
  return { code: result.status, out: result.stdout + result.stderr };
}

after(() => {
  for (const controller of ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids', 'systemd', 'unified', '.']) {
    spawnSync('rmdir', [`/sys/fs/cgroup/${controller}/moored-test-${process.pid}`]);
  }
});

const capsOf = (status: string, name: string): bigint => BigInt(`0x${new RegExp(`${name}:\\s*([0-9a-f]+)`).exec(status)?.[1] ?? '0'}`);

test('default container: name, environment, capabilities, seccomp, masks, limits', () => {
  const { code, out } = run('hostname; env; cat /proc/self/status; cat /proc/self/limits; cat /proc/self/oom_score_adj; head -c1 /proc/kcore | cat; ls /sys/firmware; touch /proc/sys/x 2>&1; touch /sys/x 2>&1; cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /dev');
  assert.equal(code, 0, out);
  assert.match(out, /^box\n/);
  assert.match(out, /^PATH=\/usr\/local\/sbin:/m);
  assert.match(out, /^HOSTNAME=box$/m);
  assert.match(out, /^HOME=\/root$/m);
  assert.equal(capsOf(out, 'CapBnd'), 0xa80425fbn);
  assert.equal(capsOf(out, 'CapEff'), 0xa80425fbn);
  assert.match(out, /^Seccomp:\s*2$/m);
  assert.match(out, /^NoNewPrivs:\s*0$/m);
  const { maxNofile } = readHostFacts();
  assert.match(out, new RegExp(`^Max open files\\s+${Math.min(1024, maxNofile)}\\s+${Math.min(524_288, maxNofile)}`, 'm'));
  assert.match(out, /touch: \/proc\/sys\/x/);
  assert.match(out, /touch: \/sys\/x: Read-only file system/);
  for (const name of ['null', 'ptmx', 'shm', 'mqueue', 'pts', 'random']) assert.match(out, new RegExp(`^${name}$`, 'm'));
});

test('privileged: everything, and sysfs to write', () => {
  const { code, out } = run('cat /proc/self/status; grep " /sys " /proc/mounts; ls /dev', { host: { privileged: true } });
  assert.equal(code, 0, out);
  assert.equal(capsOf(out, 'CapEff'), readHostFacts().capabilities);
  assert.match(out, /^Seccomp:\s*0$/m);
  assert.match(out, /\/sys sysfs rw/);
  assert.match(out, /^kmsg$/m);
});

test('cap-add, cap-drop, no-new-privileges, user, groups, cwd, ulimits, sysctls, oom score', () => {
  const { code, out } = run('id; pwd; cat /proc/self/status; cat /proc/self/limits /proc/self/oom_score_adj /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax', {
    config: { user: 'app', workingDir: '/home/app' },
    host: {
      capAdd: ['net_admin'], capDrop: ['ALL'], securityOpt: ['no-new-privileges'], groupAdd: ['audio'], oomScoreAdj: 321,
      ulimits: [{ name: 'nofile', soft: 77, hard: 88 }, { name: 'core', soft: -1, hard: -1 }],
      sysctls: { 'net.ipv4.ip_forward': '1', 'kernel.msgmax': '4321' },
    },
  });
  assert.equal(code, 0, out);
  assert.match(out, /uid=1000\(app\) gid=1000\(app\) groups=.*29\(audio\).*2000\(extra\)|uid=1000\(app\).*2000\(extra\).*29\(audio\)/);
  assert.match(out, /^\/home\/app$/m);
  assert.equal(capsOf(out, 'CapBnd'), 1n << 12n);
  assert.equal(capsOf(out, 'CapEff'), 0n);
  assert.match(out, /^NoNewPrivs:\s*1$/m);
  assert.match(out, /^Max open files\s+77\s+88/m);
  assert.match(out, /^Max core file size\s+unlimited\s+unlimited/m);
  assert.match(out, /^321$/m);
  assert.match(out, /^4321$/m);
});

test('limits stand in the cgroup', () => {
  const { code, out } = run('cat /proc/self/cgroup; cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpuset/cpuset.cpus', {
    host: { memory: 32n * 1024n * 1024n, pidsLimit: 55n, nanoCpus: 500_000_000n, cpuShares: 300, cpusetCpus: '0' },
  });
  assert.equal(code, 0, out);
  assert.match(out, /^33554432\n55\n50000\n300\n0$/m);
});

test('mounts: read-only root, tmpfs, binds, shm size, files under /etc', () => {
  const source = join(work, 'source');
  mkdirSync(source);
  writeFileSync(join(source, 'file'), 'hello\n');
  writeFileSync(join(work, 'hosts'), '127.0.0.1 localhost\n');
  const { code, out } = run('touch /x 2>&1; touch /t/ok && echo tmpfs-ok; cat /data/file; touch /data/no 2>&1; touch /rw/yes && echo rw-ok; cat /etc/hosts; grep -E "/(t|dev/shm|data|deep/er) " /proc/mounts; touch /etc/hosts 2>&1', {
    host: { readonlyRootfs: true, shmSize: 1048576n },
    input: {
      mounts: [
        { kind: 'tmpfs', destination: '/t', options: 'size=64k,mode=1777,exec' },
        { kind: 'bind', source, destination: '/data', readOnly: true, propagation: '' },
        { kind: 'bind', source, destination: '/rw', readOnly: false, propagation: '' },
      ],
      etc: { hosts: join(work, 'hosts') },
    },
  });
  assert.match(out, /touch: \/x: Read-only file system/);
  assert.match(out, /tmpfs-ok\nhello\n/);
  assert.match(out, /touch: \/data\/no: Read-only file system/);
  assert.match(out, /rw-ok\n127.0.0.1 localhost/);
  assert.match(out, /shm \/dev\/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k/);
  assert.match(out, /tmpfs \/t tmpfs rw,nosuid,nodev,relatime,size=64k/);
  assert.match(out, /touch: \/etc\/hosts: Read-only file system/);
  assert.equal(code, 1);
});

test('devices, namespaces of the host, unconfined seccomp, read-write masks', () => {
  const { code, out } = run('ls -l /dev/zero2; head -c3 /dev/zero2 | cat; hostname; cat /proc/self/status; cat /proc/1/comm; ls /proc/acpi /proc/scsi 2>&1', {
    host: {
      devices: [{ pathOnHost: '/dev/zero', pathInContainer: '/dev/zero2', cgroupPermissions: 'r' }],
      utsMode: 'host', pidMode: 'host', securityOpt: ['seccomp=unconfined'], networkMode: 'host', ipcMode: 'host', maskedPaths: [], readonlyPaths: [],
    },
  });
  assert.equal(code === 0 || code === 1, true, out);
  assert.match(out, /1,\s+5.*\/dev\/zero2/);
  assert.match(out, /^Seccomp:\s*0$/m);
  assert.doesNotMatch(out, /^box$/m);
});

test('a seccomp profile given inline', () => {
  const profile = JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 1 }] });
  const { out } = run('/bin/busybox mkdir /tmp/x 2>&1; echo done', { host: { securityOpt: [`seccomp=${profile}`] } });
  assert.match(out, /Operation not permitted\ndone/);
});

test('an exec session has what its container has', () => {
  const input = inputFor('', { config: { env: ['A=1', 'B=2'], workingDir: '/tmp' }, host: { capDrop: ['MKNOD'] } });
  const process = execProcess({ ...input, capabilities: 0x1ffffffffffn, maxNofile: 4096 }, { args: ['/bin/sh'], env: ['B=3', 'A'], workingDir: '', privileged: false, tty: true });
  assert.equal(process.cwd, '/tmp');
  assert.deepEqual(process.env.slice(1), ['HOSTNAME=box', 'TERM=xterm', 'B=3']);
  assert.ok(!process.capabilities.bounding.includes('CAP_MKNOD'));
  const privileged = execProcess({ ...input, capabilities: 0x1ffffffffffn, maxNofile: 4096 }, { args: ['/bin/sh'], env: [], workingDir: '/', privileged: true, tty: false });
  assert.equal(privileged.capabilities.effective?.length, 41);
});

test('an init comes first, where there is none yet', () => {
  const init = { byDefault: true, path: '/usr/bin/tini' };
  const spec = ociSpec(inputFor('true', { input: { init } }));
  assert.deepEqual(spec.process.args.slice(0, 3), ['/sbin/docker-init', '--', '/bin/sh']);
  assert.ok(spec.mounts.some(({ destination, source }) => destination === '/sbin/docker-init' && source === '/usr/bin/tini'));
  assert.equal(ociSpec(inputFor('true', { input: { init }, host: { pidMode: 'host' } })).process.args[0], '/bin/sh');
  assert.equal(ociSpec(inputFor('true', { input: { init }, host: { init: false } })).process.args[0], '/bin/sh');
  assert.throws(() => ociSpec(inputFor('true', { host: { init: true } })), /docker-init/);
});

test('what only shows at the start is refused in words', () => {
  assert.throws(() => ociSpec(inputFor('true', { host: { networkMode: 'host', sysctls: { 'net.ipv4.ip_forward': '1' } } })), /sysctl "net.ipv4.ip_forward" not allowed in host network namespace/);
  assert.throws(() => ociSpec(inputFor('true', { host: { devices: [{ pathOnHost: '/dev/nope', pathInContainer: '/dev/x', cgroupPermissions: 'rwm' }] } })), /error gathering device information while adding custom device "\/dev\/nope": no such file or directory/);
  assert.throws(() => ociSpec(inputFor('true', { host: { pidMode: 'container:abc' } })), /cannot join the pid namespace/);
});
