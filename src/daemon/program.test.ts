/** The program from outside, as far as it goes without an engine. The contract tests drive the rest. */
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import type { TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from '../sys/spawn.ts';
import { takeRoots, writePidFile } from './lock.ts';

const MOORED = fileURLToPath(new URL('../../bin/moored', import.meta.url));

function folder(t: TestContext): string {
  const dir = mkdtempSync(path.join(tmpdir(), 'moored-program-'));
  t.after(() => rmSync(dir, { recursive: true }));
  return dir;
}

test('version and help', async (t) => {
  const link = path.join(folder(t), 'moored');
  symlinkSync(MOORED, link);
  const version = await run([link, '-v']);
  assert.match(version.stdout, /^moored version \d+\.\d+\.\d+\S*, build \S+\n$/);
  assert.equal(version.code, 0);
  assert.equal(version.stderr, '');
  assert.match((await run([MOORED, '--help'])).stdout, /^Usage: {2}moored \[OPTIONS\]/);
});

test('--validate checks and creates nothing', async (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'daemon.json');
  const validate = () => run([MOORED, '--validate', '--config-file', file, '--data-root', path.join(dir, 'data')]);
  const missing = await validate();
  assert.equal(missing.code, 1);
  assert.equal(missing.stderr, `unable to configure the Docker daemon with file ${file}: open ${file}: no such file or directory\n`);
  writeFileSync(file, '{"mtu":1400}');
  const good = await validate();
  assert.deepEqual([good.code, good.stdout, good.stderr], [0, '', 'configuration OK\n']);
  writeFileSync(file, '{"live-restor":true}');
  const bad = await validate();
  assert.equal(bad.code, 1);
  assert.equal(bad.stderr, `unable to configure the Docker daemon with file ${file}: the following directives don't match any configuration option: live-restor\n`);
  assert.ok(!existsSync(path.join(dir, 'data')));
});

test('unknown flags', async () => {
  const { code, stderr } = await run([MOORED, '--nope']);
  assert.deepEqual([code, stderr], [1, "unknown flag: --nope\nSee 'moored --help'.\n"]);
});

test('a root that another daemon holds is refused, whichever of the two it is', async (t) => {
  const dir = folder(t);
  const dataRoot = path.join(dir, 'data');
  const execRoot = path.join(dir, 'exec');
  using _held = takeRoots({ dataRoot, execRoot });
  void _held;
  const file = path.join(dir, 'daemon.json');
  writeFileSync(file, '{}');
  const start = (data: string, exec: string) =>
    run([MOORED, '--config-file', file, '--data-root', data, '--exec-root', exec, '--pidfile', path.join(dir, 'pid'), '-H', `unix://${dir}/d.sock`]);
  const sameData = await start(dataRoot, path.join(dir, 'other-exec'));
  assert.equal(sameData.code, 1);
  assert.match(sameData.stderr, new RegExp(`level=fatal msg="failed to start daemon: the data root ${dataRoot} is in use by another daemon \\(process ${process.pid}\\)"`));
  const sameExec = await start(path.join(dir, 'other-data'), execRoot);
  assert.match(sameExec.stderr, /the exec root .* is in use by another daemon/);
  assert.ok(!existsSync(path.join(dir, 'pid')));
});

test('a pid file is written over whatever is there, links included', (t) => {
  const dir = folder(t);
  const file = path.join(dir, 'run', 'pid');
  writePidFile(file)[Symbol.dispose]();
  const victim = path.join(dir, 'victim');
  writeFileSync(victim, 'precious');
  symlinkSync(victim, file);
  const pidFile = writePidFile(file);
  assert.equal(readFileSync(file, 'utf8'), String(process.pid));
  assert.equal(readFileSync(victim, 'utf8'), 'precious');
  pidFile[Symbol.dispose]();
  assert.ok(!existsSync(file));
});
