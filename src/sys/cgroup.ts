/**
 * The kernel's cgroup trees: which there are, where a path of an OCI spec lies in them, their files. v1 has a tree for each
 * controller, v2 one for all; a hybrid host (v1 controllers and an empty v2 tree beside) counts as v1. Nothing here caches:
 * the kernel is asked each time.
 */
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, readdir, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';

/** v1: mount point by controller. v2: one. */
export type CgroupTrees =
  | { readonly version: 1; readonly controllers: ReadonlyMap<string, string> }
  | { readonly version: 2; readonly root: string; readonly controllers: ReadonlySet<string> };

const CONTROLLERS = ['cpu', 'cpuacct', 'cpuset', 'memory', 'devices', 'freezer', 'blkio', 'pids', 'net_cls', 'net_prio', 'hugetlb', 'perf_event', 'rdma', 'misc'];

/** From the mount table (`/proc/self/mountinfo`). */
export function detectCgroups(mountinfo = '/proc/self/mountinfo'): CgroupTrees {
  const controllers = new Map<string, string>();
  let unified: string | undefined;
  for (const line of readFileSync(mountinfo, 'utf8').split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const mountPoint = unescape(before.split(' ')[4] ?? '');
    const [type = '', , options = ''] = after.split(' ');
    if (type === 'cgroup2') unified ??= mountPoint;
    if (type !== 'cgroup') continue;
    for (const option of options.split(',')) {
      const name = option === 'name=systemd' ? 'systemd' : option;
      if ((CONTROLLERS.includes(name) || name === 'systemd') && !controllers.has(name)) controllers.set(name, mountPoint);
    }
  }
  if (controllers.has('memory') || controllers.has('pids') || unified === undefined) return { version: 1, controllers };
  return { version: 2, root: unified, controllers: new Set(textOf(join(unified, 'cgroup.controllers')).trim().split(' ')) };
}

/** mountinfo writes blanks as \040. */
const unescape = (text: string): string => text.replaceAll(/\\([0-7]{3})/g, (_match, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/**
 * The path below a tree's root of what a spec names: `/a/b`, or systemd's `slice:prefix:name`, whose scope lies below the
 * slices that the slice's own name spells (`a-b.slice` in `a.slice`).
 */
export function relativePath(cgroupsPath: string): string {
  const parts = cgroupsPath.split(':');
  const [slice = '', prefix = '', name = ''] = parts;
  if (parts.length !== 3) return cgroupsPath;
  return `${slicePath(slice === '' ? 'system.slice' : slice)}/${prefix === '' ? name : `${prefix}-${name}`}.scope`;
}

function slicePath(slice: string): string {
  if (slice === '-.slice') return '';
  const words = slice.replace(/\.slice$/, '').split('-');
  return words.map((_word, index) => `/${words.slice(0, index + 1).join('-')}.slice`).join('');
}

/** The folder of a container in a controller's tree (v2: in the one tree), or undefined if the controller has none. */
export function controllerFolder(trees: CgroupTrees, controller: string, cgroupsPath: string): string | undefined {
  const root = trees.version === 2 ? trees.root : trees.controllers.get(controller);
  return root === undefined ? undefined : join(root, relativePath(cgroupsPath));
}

/** Every folder that a cgroup has. */
export function allFolders(trees: CgroupTrees, cgroupsPath: string): string[] {
  const roots = trees.version === 2 ? [trees.root] : [...new Set(trees.controllers.values())];
  return roots.map((root) => join(root, relativePath(cgroupsPath)));
}

/** A file's text; empty if file or cgroup is not there. */
export async function readCgroupFile(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (isGone(error)) return '';
    throw error;
  }
}

/** The kernel says ENODEV of a file whose cgroup was removed under it; EOPNOTSUPP of one that this kind of cgroup has not. */
const isGone = (error: unknown): boolean => ['ENOENT', 'ENODEV', 'EOPNOTSUPP', 'ENOTDIR'].includes(errnoOf(error) ?? '');

/** Files by name: of v1 `controller/file`, of v2 `file`. Missing ones are left out. */
export async function readCgroupFiles(trees: CgroupTrees, cgroupsPath: string, names: readonly string[]): Promise<Map<string, string>> {
  const read = await Promise.all(names.map(async (name): Promise<[string, string]> => {
    const at = name.indexOf('/');
    const folder = controllerFolder(trees, at < 0 ? '' : name.slice(0, at), cgroupsPath);
    return [name, folder === undefined ? '' : await readCgroupFile(join(folder, name.slice(at + 1)))];
  }));
  return new Map(read.filter(([, text]) => text !== ''));
}

/** Processes in a cgroup and in those below it, in the host's pid namespace. */
export async function cgroupPids(folder: string): Promise<number[]> {
  const own = (await readCgroupFile(join(folder, 'cgroup.procs'))).split('\n').filter((line) => line !== '').map(Number);
  const below = await Promise.all((await subfolders(folder)).map((child) => cgroupPids(child)));
  return [...own, ...below.flat()];
}

async function subfolders(folder: string): Promise<string[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => join(folder, entry.name));
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

/** Frozen now, whoever did it: v1's freezer state, v2's cgroup.events. */
export async function isFrozen(trees: CgroupTrees, cgroupsPath: string): Promise<boolean> {
  const folder = controllerFolder(trees, 'freezer', cgroupsPath);
  if (folder === undefined) return false;
  return saysFrozen(trees, await readCgroupFile(freezerFile(trees, folder)));
}

/** The same at once. */
export function isFrozenNow(trees: CgroupTrees, cgroupsPath: string): boolean {
  const folder = controllerFolder(trees, 'freezer', cgroupsPath);
  return folder !== undefined && saysFrozen(trees, textOf(freezerFile(trees, folder)));
}

const freezerFile = (trees: CgroupTrees, folder: string): string => join(folder, trees.version === 2 ? 'cgroup.events' : 'freezer.state');
const saysFrozen = (trees: CgroupTrees, text: string): boolean =>
  (trees.version === 2 ? /^frozen 1$/m.test(text) : ['FROZEN', 'FREEZING'].includes(text.trim()));

/** Lets its processes run, whoever froze them: frozen ones take no signal, with v1 not even SIGKILL. A missing one is fine. */
export async function thawCgroup(trees: CgroupTrees, cgroupsPath: string): Promise<void> {
  const folder = controllerFolder(trees, 'freezer', cgroupsPath);
  if (folder === undefined) return;
  if (trees.version === 2) await writeCgroupFile(join(folder, 'cgroup.freeze'), '0');
  else await writeCgroupFile(join(folder, 'freezer.state'), 'THAWED');
}

async function writeCgroupFile(path: string, text: string): Promise<boolean> {
  try {
    await writeFile(path, text, { flag: 'r+' });
    return true;
  } catch (error) {
    if (isGone(error) || errnoOf(error) === 'EACCES') return false;
    throw error;
  }
}

/** Everything on the machine is below it. */
const isRoot = (cgroupsPath: string): boolean => join('/', relativePath(cgroupsPath)) === '/';

const KILL_ROUNDS = 100;
const KILL_PAUSE_MS = 20;

/**
 * SIGKILL to everything in a cgroup and below, until it is empty (a process may fork while it is being killed); bounded at
 * about two seconds, for a process in the kernel's D state ends when it ends. True if it is empty.
 */
export async function killCgroup(trees: CgroupTrees, cgroupsPath: string): Promise<boolean> {
  if (isRoot(cgroupsPath)) throw new Error('the root of a cgroup tree is nobody\'s to kill');
  for (let round = 0; round < KILL_ROUNDS; round += 1) {
    const pids = await pidsOf(trees, cgroupsPath);
    if (pids.length === 0) return true;
    const atOnce = trees.version === 2 && await writeCgroupFile(join(trees.root, relativePath(cgroupsPath), 'cgroup.kill'), '1');
    if (!atOnce) for (const pid of pids) killPid(pid);
    await thawCgroup(trees, cgroupsPath);
    await new Promise((resolve) => {
      setTimeout(resolve, KILL_PAUSE_MS);
    });
  }
  return (await pidsOf(trees, cgroupsPath)).length === 0;
}

/** One controller of v1 is enough: a process is in all of them at the same place. Pids below 2 are not ours (0: another pid namespace). */
async function pidsOf(trees: CgroupTrees, cgroupsPath: string): Promise<number[]> {
  const folders = allFolders(trees, cgroupsPath);
  const pids = await Promise.all(folders.map((folder) => cgroupPids(folder)));
  return [...new Set(pids.flat())].filter((pid) => pid > 1 && pid !== process.pid);
}

function killPid(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (errnoOf(error) !== 'ESRCH') throw error;
  }
}

/** True if no process is in it; a missing one is empty. */
export const isEmptyCgroup = async (trees: CgroupTrees, cgroupsPath: string): Promise<boolean> =>
  (await pidsOf(trees, cgroupsPath)).length === 0;

/** Removes an empty cgroup and what is below it, from every tree. One that has processes stays. */
export async function removeCgroup(trees: CgroupTrees, cgroupsPath: string): Promise<void> {
  if (isRoot(cgroupsPath)) return;
  await Promise.all(allFolders(trees, cgroupsPath).map((folder) => removeFolder(folder)));
}

async function removeFolder(folder: string): Promise<void> {
  for (const child of await subfolders(folder)) await removeFolder(child);
  try {
    await rmdir(folder);
  } catch (error) {
    if (!isGone(error) && errnoOf(error) !== 'EBUSY') throw error;
  }
}

/** Makes a cgroup in the trees of these controllers (v2: in the one tree); gives the folders. */
export async function makeCgroup(trees: CgroupTrees, path: string, controllers: readonly string[]): Promise<string[]> {
  const wanted = trees.version === 2 ? [''] : controllers;
  const folders = [...new Set(wanted.flatMap((controller) => controllerFolder(trees, controller, path) ?? []))];
  for (const folder of folders) {
    await mkdir(folder, { recursive: true });
    await inheritCpuset(folder);
  }
  return folders;
}

/** v1 makes cpusets empty, and nobody can enter an empty one. */
async function inheritCpuset(folder: string): Promise<void> {
  for (const name of ['cpuset.cpus', 'cpuset.mems']) {
    const file = join(folder, name);
    if (!existsSync(file) || (await readCgroupFile(file)).trim() !== '') continue;
    const parent = join(folder, '..');
    await inheritCpuset(parent);
    await writeCgroupFile(file, await readCgroupFile(join(parent, name)));
  }
}
