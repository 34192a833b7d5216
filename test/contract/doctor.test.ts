/** `moored doctor` on a real host: with a daemon and without, and what it says of broken things. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { lines, useDaemon, withDaemon } from '../fixtures/daemon.ts';
import type { Daemon } from '../fixtures/daemon.ts';
import { alive, ended, eventually } from '../fixtures/processes.ts';
import { Session } from '../fixtures/session.ts';
import { engineCommand, target } from '../fixtures/target.ts';

const skip = target === 'dockerd' ? 'dockerd has no doctor' : false;
const daemon = useDaemon({ config: { 'live-restore': true } }, async () => {
  if (target === 'moored') await daemon.ok('run', '-d', '--name', 'web', '-p', '18080:7', '--health-cmd', 'true', '--health-interval', '100ms', 'busybox', 'nc', '-ll', '-p', '7', '-e', 'cat');
});

interface Finding {
  readonly level: string;
  readonly subject: string;
  readonly container?: string;
  readonly check: string;
  readonly text: string;
  readonly advice?: string;
}

interface Report {
  readonly code: number | null;
  readonly verdict: string;
  readonly findings: Finding[];
}

async function run(subject: Daemon, ...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { command, env } = engineCommand('moored');
  const roots = ['--config-file', subject.configFile, '--data-root', subject.dataRoot, '--exec-root', subject.execRoot];
  const session = new Session(spawn('nsenter', [`--net=/run/netns/${subject.netns}`, command, 'doctor', ...roots, ...args], { env }), 'moored doctor');
  session.closeStdin();
  return session.result();
}

async function doctor(subject: Daemon, ...args: string[]): Promise<Report> {
  const { code, stdout, stderr } = await run(subject, '--json', ...args);
  assert.equal(stderr, '');
  const { verdict, findings } = JSON.parse(stdout) as Omit<Report, 'code'>;
  return { code, verdict, findings };
}

/** `level check` of a subject's findings that are not ok. */
const complaints = ({ findings }: Report, subject: string): string[] => findings.filter((finding) => finding.subject === subject && finding.level !== 'ok').map(({ level, check }) => `${level} ${check}`);
const textOf = ({ findings }: Report, subject: string, check: string): string => findings.find((finding) => finding.subject === subject && finding.check === check)?.text ?? assert.fail(`nothing on ${check} of ${subject}`);

/** What is on disk below the roots, with times and sizes: the doctor changes nothing of it. Logs and status are the shims'. */
function state(subject: Daemon): string[] {
  const found = execFileSync('find', [subject.dataRoot, subject.execRoot, '-not', '-path', '*/layers/*', '-not', '-name', '*.log', '-not', '-name', 'probe*', '-not', '-name', 'runtime.*', '-not', '-name', 'health*', '-not', '-name', 'status*', '-not', '-name', 'journal*', '-not', '-name', 'view.json', '-not', '-name', '.view.json.new', '-not', '-path', '*/events*', '-printf', '%y %P %s %i\n'], { encoding: 'utf8' });
  return lines(found).toSorted();
}

const shimOf = async (name: string): Promise<number> => Number(/^PPid:\t(\d+)$/m.exec(readFileSync(`/proc/${(await daemon.inspect(name)).State.Pid}/status`, 'utf8'))?.[1]);

test('all is well, with a daemon', { skip }, async () => {
  const report = await doctor(daemon);
  assert.deepEqual(report.findings.filter(({ level }) => level === 'problem' || level === 'unknown'), []);
  assert.deepEqual([report.code, report.verdict], [0, 'holds']);
  assert.match(textOf(report, 'host', 'daemon'), new RegExp(`process ${daemon.pid}$`));
  assert.match(textOf(report, 'host', 'runtime'), /^runc \d/);
  assert.match(textOf(report, 'host', 'moored-shim'), /contract 1\./);
  assert.match(textOf(report, 'web', 'shim'), new RegExp(`^answers \\(process ${await shimOf('web')},`));
  assert.equal(textOf(report, 'web', 'log pipe'), '1 MiB');
  assert.equal(textOf(report, 'web', 'ports'), 'held: tcp 0.0.0.0:18080, tcp [::]:18080');
  assert.match(textOf(report, 'web', 'network'), /pinned, on bridge/);
  assert.match(textOf(report, 'web', 'health'), /healthy|starting/);
});

test('all is well, without a daemon, and nothing is changed', { skip }, async () => {
  await daemon.kill9();
  const before = state(daemon);
  const report = await doctor(daemon);
  assert.deepEqual(state(daemon), before);
  assert.equal(report.code, 0);
  assert.deepEqual(complaints(report, 'web'), []);
  assert.ok(complaints(report, 'host').includes('note daemon'));
  const { code, stdout } = await run(daemon);
  assert.equal(code, 0);
  assert.match(stdout, /^host\n {2}note +daemon +does not run; containers do not need it\n +-> start it/);
  assert.match(stdout, /\nweb\n {2}ok +well +record can be read; shim answers/);
  assert.match(stdout, /\nlive restore holds\n$/);
  await daemon.start();
});

test('flags are those of the running daemon', { skip }, async () => {
  await withDaemon({ flags: ['--live-restore', '--storage-driver', 'vfs'], image: false }, async (other) => {
    const report = await doctor(other);
    assert.match(textOf(report, 'host', 'live restore'), /^on, /);
    assert.equal(textOf(report, 'host', 'storage driver'), 'vfs');
    await other.kill9();
    assert.match(textOf(await doctor(other), 'host', 'live restore'), /^off, /);
  });
});

test('a shim that is stopped, and one that is gone', { skip }, async () => {
  await daemon.ok('run', '-d', '--name', 'lost', 'busybox', 'sleep', '600');
  const [held, lost] = [await shimOf('web'), await shimOf('lost')];
  await daemon.kill9();
  process.kill(held, 'SIGSTOP');
  try {
    process.kill(lost, 'SIGKILL');
    await ended(lost);
    const report = await doctor(daemon);
    assert.deepEqual([report.code, report.verdict], [1, 'does-not-hold']);
    assert.deepEqual(complaints(report, 'web'), ['problem shim']);
    assert.match(textOf(report, 'web', 'shim'), new RegExp(`is stopped by a signal \\(process ${held}\\)`));
    assert.deepEqual(complaints(report, 'lost'), ['problem shim']);
    assert.match(textOf(report, 'lost', 'shim'), /^is gone/);
    assert.match(textOf(report, 'lost', 'process'), /^runs /);
  } finally {
    process.kill(held, 'SIGCONT');
  }
  await daemon.start();
  assert.deepEqual(complaints(await doctor(daemon), 'lost'), []);
  await daemon.ok('rm', '-f', 'lost');
});

test('a damaged record stays where it is, and is told', { skip }, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'torn', 'busybox', 'sleep', '600');
  await daemon.kill9();
  const file = path.join(daemon.dataRoot, 'containers', id, 'config.json');
  writeFileSync(file, '{"schema":1, torn');
  const report = await doctor(daemon);
  assert.equal(report.code, 1);
  const subject = id.slice(0, 12);
  assert.deepEqual(complaints(report, subject), ['problem record']);
  assert.match(textOf(report, subject, 'record'), /^is damaged: /);
  assert.match(textOf(report, subject, 'process'), /^runs /);
  assert.deepEqual(complaints(report, 'web'), []);
  assert.deepEqual(readdirSync(path.dirname(file)).filter((name) => name.includes('corrupt')), []);
  await daemon.start();
  const after = await doctor(daemon);
  assert.ok(after.findings.some(({ level, check, text }) => level === 'note' && check === 'records' && text.includes(`containers/${id}/config.json.corrupt`)));
  await daemon.ok('rm', '-f', id);
});

test('options that wait, live restore off, a file that cannot be used', { skip }, async () => {
  daemon.configure({ 'live-restore': false, bip: '192.168.99.1/24', mtu: 1400, 'storage-driver': 'vfs', 'log-pipe-size': '64m' });
  const waiting = await doctor(daemon);
  assert.equal(waiting.code, 1);
  assert.deepEqual(complaints(waiting, 'host').filter((line) => line.startsWith('problem')), ['problem live restore']);
  assert.match(textOf(waiting, 'host', 'network'), /wait until no running container uses it: bip, mtu/);
  assert.match(textOf(waiting, 'host', 'storage driver'), /1 container stays with overlay2/);
  assert.ok(complaints(waiting, 'host').includes('note pipe size'));
  daemon.configure('{');
  const broken = await doctor(daemon);
  assert.equal(broken.code, 1);
  assert.match(textOf(broken, 'host', 'configuration'), /unable to configure the Docker daemon with file .*daemon\.json: /);
  daemon.configure({ 'live-restore': true });
});

test('a namespace and a root that are gone, a stray folder', { skip }, async () => {
  const id = await daemon.ok('run', '-d', '--name', 'bare', 'busybox', 'sleep', '600');
  const { Pid } = (await daemon.inspect(id)).State;
  await daemon.kill9();
  execFileSync('umount', ['-l', path.join(daemon.execRoot, 'containers', id, 'netns')]);
  const root = lines(readFileSync('/proc/self/mountinfo', 'utf8')).map((line) => line.split(' ')[4] ?? '').find((point) => point.startsWith(daemon.dataRoot) && existsSync(path.join(point, 'bin/busybox')) && point.includes(id));
  execFileSync('umount', ['-l', root ?? assert.fail('no root')]);
  mkdirSync(path.join(daemon.execRoot, 'containers', 'f'.repeat(64)));
  const report = await doctor(daemon);
  assert.ok(alive(Pid));
  assert.deepEqual(complaints(report, 'bare').toSorted(), ['problem network', 'problem root']);
  assert.ok(complaints(report, 'host').includes('note strays'));
  await daemon.start();
  await daemon.ok('rm', '-f', id);
});

test('the resolver of names', { skip }, async () => {
  await daemon.ok('network', 'create', 'mesh');
  await daemon.ok('run', '-d', '--name', 'named', '--network', 'mesh', 'busybox', 'sleep', '600');
  await daemon.kill9();
  const report = await doctor(daemon);
  assert.equal(report.code, 0);
  assert.match(textOf(report, 'host', 'names'), /^are resolved by process \d+$/);
  assert.match(textOf(report, 'named', 'network'), /pinned, on mesh/);
  await daemon.start();
  await daemon.ok('rm', '-f', 'named');
  await daemon.ok('network', 'rm', 'mesh');
});

test('a log target that cannot be reached, with a daemon and without', { skip }, async () => {
  await daemon.ok('run', '-d', '--name', 'told', '--log-driver', 'syslog', '--log-opt', 'syslog-address=tcp://127.0.0.1:1', 'busybox', 'sh', '-c', 'echo something; sleep 600');
  const said = async (): Promise<string> => (await doctor(daemon)).findings.find(({ subject, check }) => subject === 'told' && check === 'log target')?.text ?? '';
  await eventually(async () => /^syslog cannot be reached \(.*ECONNREFUSED.*\): \d+ B of its log wait$/.test(await said()), 'the finding');
  await daemon.kill9();
  assert.match(await said(), /^syslog cannot be reached .*: \d+ B of its log wait$/);
  await daemon.start();
  await daemon.ok('rm', '-f', 'told');
});

test('a port that its shim does not hold, an exec root that waits', { skip }, async () => {
  await daemon.kill9();
  const id = lines(execFileSync('ls', [path.join(daemon.dataRoot, 'containers')], { encoding: 'utf8' })).find((name) => readFileSync(path.join(daemon.dataRoot, 'containers', name, 'config.json'), 'utf8').includes('"web"')) ?? assert.fail();
  const file = path.join(daemon.execRoot, 'containers', id, 'sandbox.json');
  const sandbox = readFileSync(file, 'utf8');
  writeFileSync(file, sandbox.replaceAll('18080', '18081'));
  try {
    const report = await doctor(daemon, '--exec-root', path.join(daemon.dir, 'other'));
    assert.equal(textOf(report, 'web', 'ports').startsWith('not held by its shim: tcp 0.0.0.0:18081, tcp [::]:18081'), true);
    assert.match(textOf(report, 'host', 'exec root'), /other waits until no container of .*exec runs/);
    assert.deepEqual(complaints(report, 'web'), ['problem ports']);
  } finally {
    writeFileSync(file, sandbox);
  }
  await daemon.start();
});

test('what cannot be looked at is unknown, a wrong flag too', { skip }, async () => {
  const { command, env } = engineCommand('moored');
  const asNobody = new Session(spawn('setpriv', ['--reuid', '65534', '--regid', '65534', '--clear-groups', command, 'doctor', '--json', '--config-file', daemon.configFile, '--data-root', daemon.dataRoot, '--exec-root', daemon.execRoot], { env, cwd: '/' }), 'moored doctor');
  asNobody.closeStdin();
  const refused = await asNobody.result();
  const { findings } = JSON.parse(refused.stdout) as Report;
  assert.deepEqual(findings.filter(({ level }) => level === 'unknown').map(({ check }) => check), ['privileges', 'live restore', 'records']);
  const wrong = await run(daemon, '--no-such-flag');
  assert.deepEqual([wrong.code, wrong.stdout], [2, '']);
  assert.match(wrong.stderr, /unknown flag: --no-such-flag/);
});
