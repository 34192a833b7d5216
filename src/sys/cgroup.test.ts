import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { allFolders, cgroupPids, controllerFolder, detectCgroups, isEmptyCgroup, isFrozen, killCgroup, makeCgroup, readCgroupFiles, relativePath, removeCgroup } from './cgroup.ts';
import type { CgroupTrees } from './cgroup.ts';
import { readLimitSupport } from './cgroupInfo.ts';

const work = mkdtempSync(join(tmpdir(), 'moored-cgroup-'));
after(() => rmSync(work, { recursive: true, force: true }));

test('the mount table says which trees there are', () => {
  const file = join(work, 'mountinfo');
  writeFileSync(file, '30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n');
  const v2 = detectCgroups(file);
  assert.equal(v2.version, 2);
  writeFileSync(file, [
    '31 24 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct',
    '32 24 0:28 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory',
    '33 24 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd',
    '34 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw',
  ].join('\n'));
  const hybrid = detectCgroups(file);
  assert.ok(hybrid.version === 1);
  assert.equal(controllerFolder(hybrid, 'cpuacct', '/moored/x'), '/sys/fs/cgroup/cpu,cpuacct/moored/x');
  assert.equal(controllerFolder(hybrid, 'memory', '/moored/x'), '/sys/fs/cgroup/mem ory/moored/x');
  assert.equal(controllerFolder(hybrid, 'pids', '/moored/x'), undefined);
  assert.equal(allFolders(hybrid, '/a').length, 3);
});

test('paths of the systemd driver', () => {
  assert.equal(relativePath('/moored/x'), '/moored/x');
  assert.equal(relativePath('system.slice:moored:x'), '/system.slice/moored-x.scope');
  assert.equal(relativePath('a-b.slice:moored:x'), '/a.slice/a-b.slice/moored-x.scope');
});

test('a real cgroup: processes, freezing, killing while frozen, removing', async () => {
  const trees = detectCgroups();
  const path = `/moored-test-cgroup-${process.pid}`;
  const child = spawn('sh', ['-c', 'sleep 100 & sleep 100 & wait'], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  after(() => child.kill('SIGKILL'));
  const folders = await makeCgroup(trees, path, ['pids', 'freezer', 'cpuset']);
  for (const folder of folders) writeFileSync(join(folder, 'cgroup.procs'), String(child.pid));
  const procs = controllerFolder(trees, 'pids', path) ?? '';
  assert.ok((await cgroupPids(procs)).includes(child.pid ?? 0));
  assert.equal(await isEmptyCgroup(trees, path), false);
  assert.equal(await isFrozen(trees, path), false);
  const freezer = controllerFolder(trees, 'freezer', path) ?? '';
  writeFileSync(join(freezer, trees.version === 1 ? 'freezer.state' : 'cgroup.freeze'), trees.version === 1 ? 'FROZEN' : '1');
  assert.equal(await isFrozen(trees, path), true);
  assert.equal(await killCgroup(trees, path), true);
  const [, signal] = (await ended) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL');
  await removeCgroup(trees, path);
  assert.ok(folders.every((folder) => !existsSync(folder)));
  assert.equal(await killCgroup(trees, path), true, 'one that is gone');
  await assert.rejects(killCgroup(trees, '/'));
});

test('cgroup v2, on a recorded tree', async () => {
  const root = join(work, 'v2');
  mkdirSync(join(root, 'moored/c'), { recursive: true });
  const file = (name: string, text: string): void => writeFileSync(join(root, 'moored/c', name), text);
  file('cgroup.events', 'populated 1\nfrozen 1\n');
  file('cgroup.procs', '');
  file('memory.current', '4096\n');
  file('memory.swap.max', 'max\n');
  file('cgroup.freeze', '1\n');
  writeFileSync(join(root, 'cpuset.cpus.effective'), '0-3\n');
  const trees: CgroupTrees = { version: 2, root, controllers: new Set(['cpu', 'memory', 'pids']) };
  assert.equal(await isFrozen(trees, '/moored/c'), true);
  assert.deepEqual([...await readCgroupFiles(trees, '/moored/c', ['memory.current', 'pids.max'])], [['memory.current', '4096\n']]);
  assert.equal(await isEmptyCgroup(trees, '/moored/c'), true);
  const support = readLimitSupport(trees);
  assert.deepEqual([support.memoryLimit, support.cpuset, support.oomKillDisable, support.pidsLimit, support.blkioWeight], [true, false, false, true, false]);
  assert.equal(readFileSync(join(root, 'moored/c/cgroup.freeze'), 'utf8'), '1\n');
});

test('what this host can enforce', () => {
  const support = readLimitSupport(detectCgroups());
  assert.ok(support.ncpu > 0 && support.memoryLimit && support.pidsLimit);
  assert.match(support.cpus, /^\d/);
});
