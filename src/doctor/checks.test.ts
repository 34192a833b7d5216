import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from './checks.ts';
import type { ContainerFacts, HostFacts } from './facts.ts';
import { ID, well, wellContainer, wellHost, wellStatus, wellUnit } from './facts.fixture.ts';
import { verdictOf } from './finding.ts';
import type { Level } from './finding.ts';
import { jsonReport, textReport } from './report.ts';
import { sizeText } from './sizeText.ts';

const notOk = (host: HostFacts, containers: readonly ContainerFacts[]): string[] =>
  check({ host, containers }).filter(({ level }) => level !== 'ok').map(({ level, subject, check: name, text }) => `${level} ${subject} ${name}: ${text}`);

test('a host on which all is well', () => {
  assert.deepEqual(notOk(wellHost, [wellContainer]), []);
  assert.equal(verdictOf(check(well)), 'holds');
});

const HOST_CASES: [string, Partial<HostFacts>, Level, RegExp][] = [
  ['no privileges', { privileged: false }, 'unknown', /privileges: not root/],
  ['no daemon', { daemonPid: 0 }, 'note', /daemon: does not run/],
  ['live restore off', { config: { ...wellHost.config, liveRestore: false } }, 'problem', /live restore: off/],
  ['a file that cannot be used', { config: { ...wellHost.config, error: 'invalid JSON' } }, 'problem', /configuration: invalid JSON/],
  ['the unit kills all', { unit: { ...wellUnit, killMode: 'control-group', delegate: true } }, 'problem', /KillMode=control-group/],
  ['the unit kills what remains', { unit: { ...wellUnit, killMode: 'mixed', delegate: true } }, 'problem', /KillMode=mixed/],
  ['the unit removes the exec root', { unit: { ...wellUnit, removesExecRoot: true } }, 'problem', /RuntimeDirectoryPreserve=yes/],
  ['the unit has mounts of its own', { unit: { ...wellUnit, confining: ['PrivateTmp=yes'] } }, 'problem', /PrivateTmp=yes: mounts/],
  ['the daemon has mounts of its own', { daemonConfined: true }, 'problem', /mount namespace of its own/],
  ['the unit does not come again', { unit: { ...wellUnit, restart: 'no' } }, 'note', /Restart=no/],
  ['nothing stops containers with the host', { unit: { ...wellUnit, stopsWithHost: false } }, 'note', /killed instead of stopped in order/],
  ['nobody keeps the socket', { unit: { ...wellUnit, keepsSocket: false } }, 'note', /moored\.socket is not active/],
  ['a data root of a newer format', { dataFormat: { condition: { kind: 'ok' }, schema: 2, release: '1.0.0' } }, 'problem', /data format: 2, of moored 1\.0\.0/],
  ['a version that cannot be read', { dataFormat: { condition: { kind: 'damaged', reason: 'torn' }, schema: 0, release: '' } }, 'note', /version cannot be read: torn/],
  ['the unit does not delegate', { unit: { ...wellUnit, killMode: 'process', delegate: false } }, 'note', /Delegate=yes/],
  ['a full data root', { dataRoot: { ...wellHost.dataRoot, freeBytes: 4096n } }, 'problem', /4 KiB.* free: log lines are dropped/],
  ['no inodes', { dataRoot: { ...wellHost.dataRoot, freeInodes: 3n } }, 'problem', /3 inodes free/],
  ['a data root that is nearly full', { dataRoot: { ...wellHost.dataRoot, freeBytes: 900n * 1024n ** 2n } }, 'note', /only 900 MiB of 20 GiB free/],
  ['a read-only data root', { dataRoot: { ...wellHost.dataRoot, readOnly: true } }, 'problem', /read-only/],
  ['a root that is not there', { dataRoot: { ...wellHost.dataRoot, exists: false } }, 'note', /does not exist/],
  ['an exec root on a disk', { execRoot: { ...wellHost.execRoot, type: 'ext4' } }, 'note', /not on a tmpfs/],
  ['an exec root that waits', { pendingRoots: [{ option: 'exec-root', wanted: '/run/other', used: '/run/moored' }] }, 'note', /exec root: \/run\/other waits until no container of \/run\/moored/],
  ['a data root that waits', { pendingRoots: [{ option: 'data-root', wanted: '/srv/other', used: '/var/lib/moored' }] }, 'note', /data root: \/srv\/other waits until no container of \/var\/lib\/moored/],
  ['no shim', { shim: { path: '', version: '', contract: '', error: '' } }, 'problem', /moored-shim: was not found/],
  ['a shim of another contract', { shim: { ...wellHost.shim, contract: '2.0' } }, 'problem', /contract 2\.0/],
  ['a shim that cannot be run', { shim: { ...wellHost.shim, contract: '', error: 'EACCES' } }, 'problem', /cannot be run: EACCES/],
  ['no runtime', { runtime: { name: 'runc', path: '', version: '', error: '' } }, 'problem', /runc was not found/],
  ['no pidfd', { kernel: { ...wellHost.kernel, pidfd: false } }, 'problem', /no pidfd/],
  ['no overlay', { kernel: { ...wellHost.kernel, overlay: false } }, 'note', /overlay/],
  ['no nft', { nft: { path: '', version: '', error: '' } }, 'problem', /nft was not found/],
  ['a pipe that is larger than allowed', { config: { ...wellHost.config, pipeSize: 4_194_304 } }, 'note', /4 MiB is more than fs\.pipe-max-size 1 MiB/],
  ['another driver', { config: { ...wellHost.config, storageDriver: 'vfs' } }, 'note', /1 container stays with overlay2/],
  ['network options that wait', { networkChanges: { names: ['bip', 'mtu'], error: '' } }, 'note', /wait until no running container uses it: bip, mtu/],
  ['network options that count from the next start', { networkChanges: { names: ['bip'], error: '' }, defaultNetworkUsed: false }, 'note', /next start: bip/],
  ['network options that cannot be met', { networkChanges: { names: [], error: 'invalid CIDR' }, defaultNetworkUsed: false }, 'problem', /cannot be met: invalid CIDR/],
  ['a record set aside', { quarantined: ['networks/x.json.corrupt'] }, 'note', /networks\/x\.json\.corrupt/],
  ['a stray folder', { daemonPid: 0, strays: [{ id: ID, alive: false }] }, 'note', /left its folder/],
  ['a stray process', { strays: [{ id: ID, alive: true }] }, 'problem', /runs without a record/],
  ['a list that cannot be read', { listError: 'EACCES' }, 'unknown', /cannot be listed: EACCES/],
];

for (const [name, spoiled, level, text] of HOST_CASES) {
  test(`the host: ${name}`, () => {
    const found = notOk({ ...wellHost, ...spoiled }, [wellContainer]);
    assert.ok(found.some((line) => line.startsWith(`${level} host `) && text.test(line)), found.join('\n'));
  });
}

test('names need a resolver, on networks that a user made', () => {
  const named = { ...wellContainer, networks: ['mesh'] };
  assert.deepEqual(notOk({ ...wellHost, resolverPid: 0 }, [wellContainer]), []);
  assert.deepEqual(notOk({ ...wellHost, resolverPid: 0 }, [named]), ['problem host names: no resolver runs: names do not resolve in web']);
  assert.deepEqual(notOk(wellHost, [named]), []);
});

test('a folder without a record is nothing while a daemon may be at work on it', () => {
  assert.deepEqual(notOk({ ...wellHost, strays: [{ id: ID, alive: false }] }, []), []);
});

const delivered = { driver: 'syslog', error: '', behindBytes: 0, gaps: 0, lostBytes: 0 };
const CONTAINER_CASES: [string, Partial<ContainerFacts>, Level, RegExp][] = [
  ['a damaged record', { record: { kind: 'damaged', reason: 'torn' }, name: '' }, 'problem', /^problem a{12} record: is damaged: torn/],
  ['a newer record', { record: { kind: 'newer', reason: 'schema 9' } }, 'problem', /is newer: schema 9/],
  ['a missing record', { record: { kind: 'missing' } }, 'problem', /is missing/],
  ['a record that may not be read', { record: { kind: 'unreadable', reason: 'EACCES' } }, 'unknown', /EACCES/],
  ['a damaged view', { view: { kind: 'damaged', reason: 'torn' } }, 'note', /made anew/],
  ['a damaged status', { status: { kind: 'damaged', reason: 'torn' }, shimStatus: undefined, init: 'unknown' }, 'problem', /status: of its shim is damaged: torn/],
  ['a shim that is gone', { shim: 'gone' }, 'problem', /shim: is gone/],
  ['a shim of another contract', { shim: 'foreign', contract: '2.0' }, 'problem', /speaks contract 2\.0, which this release does not know/],
  ['a shim that is stopped', { shim: 'stopped' }, 'problem', /stopped by a signal \(process 100\)/],
  ['a shim that hangs', { shim: 'silent' }, 'problem', /does not answer/],
  ['a shim in a service', { shimService: 'moored.service' }, 'problem', /cgroup of moored\.service/],
  ['a process that is not known', { init: 'unknown' }, 'unknown', /whether it runs/],
  ['a process that will be started again', { init: 'gone', shimStatus: { ...wellStatus, state: 'restarting', pid: 0, error: 'no such file' } }, 'note', /start it again \(the last attempt failed: no such file\)/],
  ['a small pipe', { shimStatus: { ...wellStatus, pipeSize: 65_536 } }, 'note', /log pipe: is 64 KiB instead of 1 MiB/],
  ['lines that were dropped', { shimStatus: { ...wellStatus, logDropped: 7n } }, 'note', /7 lines were dropped/],
  ['a log target that cannot be reached', { logTarget: { ...delivered, error: 'refused', behindBytes: 2048 } }, 'note', /log target: syslog cannot be reached \(refused\): 2 KiB of its log wait/],
  ['a log target that missed something', { logTarget: { ...delivered, gaps: 1, lostBytes: 10 } }, 'note', /syslog missed at least 10/],
  ['bad health', { shimStatus: { ...wellStatus, health: 'unhealthy', healthStreak: 3 } }, 'note', /unhealthy, 3 failures/],
  ['a damaged sandbox', { sandbox: { kind: 'damaged', reason: 'torn' } }, 'problem', /sandbox: record is damaged/],
  ['a namespace without a pin', { netnsPinned: false }, 'problem', /not pinned/],
  ['a root that is not mounted', { rootfs: { path: '/merged', mounted: false } }, 'problem', /\/merged is not mounted/],
  ['a port that is not held', { ports: { wanted: ['tcp 0.0.0.0:80', 'tcp [::]:80'], missing: ['tcp [::]:80'], error: '' } }, 'problem', /not held by its shim: tcp \[::\]:80/],
  ['ports that cannot be seen', { ports: { wanted: ['tcp 0.0.0.0:80'], missing: [], error: 'EPERM' } }, 'unknown', /EPERM/],
  ['one that ended while away', { shim: 'gone', init: 'gone', shimStatus: { ...wellStatus, state: 'exited', exitCode: 3 } }, 'note', /has ended with 3/],
];

for (const [name, spoiled, level, text] of CONTAINER_CASES) {
  test(`a container: ${name}`, () => {
    const found = notOk(wellHost, [{ ...wellContainer, ...spoiled }]);
    assert.equal(found.filter((line) => line.startsWith(`${level} `) && text.test(line)).length, 1, found.join('\n'));
  });
}

test('shims of another release are told on one line, with what can be done', () => {
  const other = (name: string, contract: string): ContainerFacts => ({ ...wellContainer, name, shimStatus: { ...wellStatus, shimVersion: '0.0.9', contract } });
  const told = (...containers: ContainerFacts[]): string[] => check({ host: wellHost, containers }).filter(({ check: name }) => name === 'shims').map(({ level, text, advice }) => `${level} ${text} -> ${advice}`);
  assert.deepEqual(told(wellContainer), []);
  assert.deepEqual(told(other('web', '1.1'), wellContainer), ['note of another release than the installed 0.1.0: web (0.0.9) -> moored shim-upgrade --all replaces them in place']);
  assert.match(told(other('web', '1.1'), other('old', '1.0'))[0] ?? '', /web \(0\.0\.9\), old \(0\.0\.9\) -> they are replaced when their containers stop/);
  assert.deepEqual(told({ ...other('gone', '1.0'), shim: 'gone', init: 'gone' }), []);
});

test('what does not run needs nothing but its record', () => {
  const stopped: ContainerFacts = { ...wellContainer, desired: 'stopped', shim: 'gone', init: 'gone', shimStatus: undefined, status: { kind: 'missing' }, sandbox: { kind: 'missing' }, netnsPinned: undefined, rootfs: undefined };
  assert.deepEqual(notOk(wellHost, [stopped]), []);
});

test('a problem outweighs what is not known', () => {
  const finding = (level: Level) => ({ level, subject: 'host', check: 'x', text: 'y' });
  assert.equal(verdictOf([finding('ok'), finding('note')]), 'holds');
  assert.equal(verdictOf([finding('unknown'), finding('note')]), 'unknown');
  assert.equal(verdictOf([finding('unknown'), finding('problem')]), 'does-not-hold');
});

test('the text stands below its subject: a line a finding, and one for all that is right with a container', () => {
  const text = textReport(check({ host: { ...wellHost, daemonPid: 0 }, containers: [{ ...wellContainer, shim: 'stopped' }] }));
  const lines = text.split('\n');
  assert.deepEqual(lines.filter((line) => /^\S/.test(line)), ['host', 'web', 'live restore does not hold for everything: see what is marked as a problem']);
  assert.equal(lines.filter((line) => /^ {2}ok +well +record /.test(line)).length, 1);
  assert.match(text, /\nweb\n[^]*\n {2}problem +shim +is stopped .*\n +-> kill -CONT 100\n/);
  assert.match(text, /^host\n[^]*\n? {2}note +daemon +does not run/);
  assert.equal(lines.at(-2), 'live restore does not hold for everything: see what is marked as a problem');
});

test('no name or reason breaks a line', () => {
  const text = textReport(check({ host: { ...wellHost, listError: 'a\nb\u001b[31mc' }, containers: [] }));
  assert.match(text, /a b \[31mc/);
});

test('the JSON', () => {
  const parsed = JSON.parse(jsonReport(check({ host: wellHost, containers: [{ ...wellContainer, netnsPinned: false }] })));
  assert.equal(parsed.verdict, 'does-not-hold');
  assert.deepEqual(parsed.findings.filter(({ level }: { level: string }) => level === 'problem').map(({ container, check: name }: Record<string, string>) => [container, name]), [[ID, 'network']]);
});

test('sizes', () => {
  assert.deepEqual([0n, 999n, 1024n, 65_536n, 1_048_576n, 1_500_000_000n].map(sizeText), ['0 B', '999 B', '1 KiB', '64 KiB', '1 MiB', '1.4 GiB']);
});
