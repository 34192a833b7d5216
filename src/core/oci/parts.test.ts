import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { capabilityNames, effectiveCapabilities, normalizeCapabilities } from './capabilities.ts';
import { cgroupsPath } from './cgroupsPath.ts';
import { parseDeviceRule } from './devices.ts';
import { containerEnv, mergeEnv } from './env.ts';
import { hostsFile, parseExtraHost, resolvConf, resolverConfig } from './etcFiles.ts';
import { containerMounts } from './mounts.ts';
import type { MountsInput } from './mounts.ts';
import { parseSeccompProfile, resolveSeccomp } from './seccomp.ts';
import { DEFAULT_SECCOMP_PROFILE } from './seccompDefault.ts';
import { parseSecurityOpt } from './securityOpt.ts';
import { tmpfsOptions, tmpfsText } from './tmpfsOptions.ts';
import { resolveUser } from './user.ts';

const ALL = 0x1ffffffffffn;
const files = { passwd: 'root:x:0:0::/root:\n# no\nweb:x:33:33::/www:\nbroken\n7:x:9:9::/:', group: 'root:x:0:\nadm:x:4:web,root\nwww:x:33:\n' };

test('users: names, numbers, groups', () => {
  const cases: [string, number, number, number[]][] = [
    ['', 0, 0, [4]], ['root', 0, 0, [4]], ['web', 33, 33, [4]], ['33', 33, 33, [4]], ['1234', 1234, 0, []],
    ['web:adm', 33, 4, []], ['1:2', 1, 2, []], [':adm', 0, 4, []], ['7', 9, 9, []],
  ];
  for (const [spec, uid, gid, additionalGids] of cases) assert.deepEqual(resolveUser(spec, files), { uid, gid, additionalGids }, spec);
  assert.deepEqual(resolveUser('web', files, ['www', '99', 'adm']).additionalGids, [4, 33, 99]);
  assert.deepEqual(resolveUser('', { passwd: '', group: '' }), { uid: 0, gid: 0, additionalGids: [] });
  assert.throws(() => resolveUser('nobody', files), { message: 'unable to find user nobody: no matching entries in passwd file' });
  assert.throws(() => resolveUser('web:x', files), { message: 'unable to find group x: no matching entries in group file' });
  assert.throws(() => resolveUser('99999999999', files), { message: 'uids and gids must be in range 0-2147483647' });
  assert.throws(() => resolveUser('0', files, ['nix']), { message: 'Unable to find group nix' });
});

test('capabilities', () => {
  assert.deepEqual(normalizeCapabilities(['net_admin', 'CAP_sys_time', 'all']), ['CAP_NET_ADMIN', 'CAP_SYS_TIME', 'ALL']);
  assert.throws(() => normalizeCapabilities(['FLY']), { message: 'unknown capability: "CAP_FLY"' });
  const ask = (add: string[], drop: string[]): string[] => effectiveCapabilities({ add, drop, privileged: false, available: ALL });
  assert.equal(ask([], []).length, 14);
  assert.deepEqual(ask(['CHOWN', 'NET_ADMIN'], ['ALL']), ['CAP_CHOWN', 'CAP_NET_ADMIN']);
  assert.equal(ask(['ALL'], ['SYS_ADMIN', 'SYS_TIME']).length, 39);
  assert.ok(!ask(['SYS_TIME'], ['KILL']).includes('CAP_KILL'));
  assert.deepEqual(capabilityNames(0b101n), ['CAP_CHOWN', 'CAP_DAC_READ_SEARCH']);
});

test('environments', () => {
  assert.deepEqual(mergeEnv(['A=1', 'B=2', 'C=3'], ['B=x', 'C', 'D=4', 'E', 'A=']), ['A=', 'B=x', 'D=4']);
  assert.deepEqual(containerEnv({ hostname: 'h', tty: true, linked: ['DB=x'], configured: ['TERM=dumb', 'PATH=/x'] }), ['PATH=/x', 'HOSTNAME=h', 'TERM=dumb', 'DB=x']);
  fc.assert(fc.property(fc.array(fc.stringMatching(/^[A-D](=[a-z]?)?$/)), fc.array(fc.stringMatching(/^[A-D]=[a-z]?$/)), (base, overrides) => {
    const merged = mergeEnv(mergeEnv([], base), overrides);
    const last = new Map(overrides.map((entry) => [entry[0], entry]));
    for (const [name, entry] of last) assert.deepEqual(merged.filter((each) => each[0] === name), [entry]);
  }));
});

test('seccomp: the default follows capabilities, architecture and kernel', () => {
  const host = { arch: 'amd64', kernel: { major: 6, minor: 1 } };
  const allowed = (caps: string[], on = host): Set<string> => new Set(resolveSeccomp(DEFAULT_SECCOMP_PROFILE, on, caps).syscalls
    .filter(({ action, args }) => action === 'SCMP_ACT_ALLOW' && args === undefined).flatMap(({ names }) => names));
  assert.ok(!allowed([]).has('mount') && !allowed([]).has('io_uring_setup') && !allowed([]).has('unshare') && !allowed([]).has('keyctl'));
  assert.ok(allowed(['CAP_SYS_ADMIN']).has('mount') && allowed(['CAP_SYS_ADMIN']).has('clone'));
  assert.ok(allowed([]).has('arch_prctl') && allowed([]).has('ptrace'));
  assert.ok(!allowed([], { arch: 'arm64', kernel: { major: 4, minor: 4 } }).has('ptrace'));
  assert.ok(allowed([], { arch: 'arm64', kernel: { major: 6, minor: 0 } }).has('set_tls'));
  const resolved = resolveSeccomp(DEFAULT_SECCOMP_PROFILE, host, []);
  assert.deepEqual(resolved.architectures, ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32']);
  assert.deepEqual(resolved.syscalls.filter(({ names }) => names.includes('clone3')), [{ names: ['clone3'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 }]);
  const names = DEFAULT_SECCOMP_PROFILE.syscalls[0]?.names ?? [];
  assert.equal(new Set(names).size, names.length);
});

test('seccomp: profiles given', () => {
  const profile = parseSeccompProfile('{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"name":"kill","action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}],"excludes":{}}],"future":1}');
  assert.deepEqual(resolveSeccomp(profile, { arch: 'amd64', kernel: { major: 6, minor: 1 } }, []).syscalls, [
    { names: ['kill'], action: 'SCMP_ACT_ERRNO', args: [{ index: 0, value: 2n ** 64n - 1n, valueTwo: 0, op: 'SCMP_CMP_EQ' }] },
  ]);
  for (const bad of ['', '[]', '{}', '{"defaultAction":1}', '{"defaultAction":"x","syscalls":{}}', '{"defaultAction":"x","syscalls":[1]}']) {
    assert.throws(() => parseSeccompProfile(bad), /^MooredError: Decoding seccomp profile failed/, bad);
  }
});

test('security options', () => {
  assert.deepEqual(parseSecurityOpt(['no-new-privileges:true', 'apparmor=unconfined', 'seccomp={"a":"b=c"}', 'label:type:x'], false), {
    noNewPrivileges: true, apparmorProfile: 'unconfined', seccompProfile: '{"a":"b=c"}', labels: ['type:x'], writableCgroups: false,
  });
  assert.equal(parseSecurityOpt(['no-new-privileges=false'], true).noNewPrivileges, false);
  assert.throws(() => parseSecurityOpt(['x'], false), { message: 'invalid --security-opt 1: "x"' });
  assert.throws(() => parseSecurityOpt(['x=1'], false), { message: 'invalid --security-opt 2: "x=1"' });
});

test('cgroup paths cannot leave the tree', () => {
  const fs = { driver: 'cgroupfs', parent: '' } as const;
  assert.equal(cgroupsPath('id', '', fs), '/moored/id');
  assert.equal(cgroupsPath('id', '../../etc//x/', fs), '/etc/x/id');
  assert.equal(cgroupsPath('id', '', { ...fs, parent: 'pods' }), '/pods/id');
  assert.equal(cgroupsPath('id', '', { driver: 'systemd', parent: '' }), 'system.slice:moored:id');
  assert.throws(() => cgroupsPath('id', 'a', { driver: 'systemd', parent: '' }), /valid slice/);
});

test('hosts', () => {
  const text = hostsFile({ hostname: 'c', domainname: 'd.e', addresses: ['10.0.0.2', 'fd00::2'], extraHosts: ['a:1.2.3.4', 'b:[::1]', 'gw:host-gateway'], hostGatewayIps: ['172.17.0.1'] });
  assert.ok(text.startsWith('127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n'));
  assert.ok(text.endsWith('1.2.3.4\ta\n::1\tb\n172.17.0.1\tgw\n10.0.0.2\tc.d.e c\nfd00::2\tc.d.e c\n'), text);
  for (const bad of ['', 'a', ':1.2.3.4', 'a b:1.2.3.4']) assert.throws(() => parseExtraHost(bad), { message: `bad format for add-host: "${bad}"` });
  assert.throws(() => parseExtraHost('a:x'), { message: 'invalid IP address in add-host: "x"' });
});

test('resolv.conf', () => {
  const none = { dns: [], search: [], options: [] };
  const host = '# c\nnameserver 127.0.0.53\nnameserver 10.1.1.1 # x\nsearch a b\noptions edns0\n';
  assert.deepEqual(resolverConfig({ host, hostNetwork: false, ...none }), { nameservers: ['10.1.1.1'], search: ['a', 'b'], options: ['edns0'] });
  assert.deepEqual(resolverConfig({ host: 'nameserver ::1', hostNetwork: false, ...none }).nameservers, ['8.8.8.8', '8.8.4.4']);
  assert.equal(resolvConf({ host, hostNetwork: true, ...none }), host);
  const inside = resolvConf({ host, hostNetwork: false, dns: ['9.9.9.9'], search: ['.'], options: [], internalResolver: '127.0.0.11' });
  assert.match(inside, /^nameserver 127\.0\.0\.11\noptions edns0 ndots:0\n# .*9\.9\.9\.9$/m);
});

const MOUNTS: MountsInput = { mounts: [], etc: {}, shm: { kind: 'own', size: 1n }, readonlyRootfs: false, privileged: false, writableCgroups: false, recursiveReadOnly: true };

test('mounts: order, replacement, propagation', () => {
  const bind = (destination: string, more = {}) => ({ kind: 'bind', source: '/s', destination, readOnly: false, propagation: '', ...more }) as const;
  const { mounts, rootfsPropagation } = containerMounts({ ...MOUNTS, etc: { hosts: '/h', hostname: '/n' }, mounts: [bind('/a/b/c'), bind('/a', { propagation: 'rslave' }), bind('/etc/hosts', { readOnly: true }), bind('/dev')] });
  const destinations = mounts.map(({ destination }) => destination);
  assert.ok(destinations.indexOf('/a') < destinations.indexOf('/a/b/c'));
  assert.equal(destinations.filter((each) => each === '/etc/hosts').length, 1);
  assert.deepEqual(mounts.find(({ destination }) => destination === '/etc/hosts')?.options, ['rbind', 'rro', 'rprivate']);
  assert.deepEqual(destinations.filter((each) => each.startsWith('/dev')), ['/dev']);
  assert.equal(rootfsPropagation, 'rslave');
  const force = [bind('/x', { readOnly: true, readOnlyForceRecursive: true })];
  assert.throws(() => containerMounts({ ...MOUNTS, recursiveReadOnly: false, mounts: force }), /rro is not supported/);
});

test('tmpfs options', () => {
  assert.deepEqual(tmpfsOptions('exec,size=1m,size=2m'), ['exec', 'nosuid', 'nodev', 'rprivate', 'size=2m']);
  assert.throws(() => tmpfsOptions('evil=1'), { message: 'invalid tmpfs option ["evil=1"]' });
  assert.equal(tmpfsText({ sizeBytes: 3n * 2n ** 20n, mode: 0o1777, options: [['exec']] }, true), 'ro,mode=1777,size=3m,exec');
});

test('device rules', () => {
  assert.deepEqual(parseDeviceRule('c 42:* rwm'), { allow: true, type: 'c', major: 42, access: 'rwm' });
  for (const bad of ['', 'c 42', 'x 1:1 r', 'c 1:1 x', 'c 1:1 rwmr']) assert.throws(() => parseDeviceRule(bad), { message: `invalid device cgroup rule format: '${bad}'` });
});
