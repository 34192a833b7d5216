/**
 * Where a container lies: its desired state in the data root, what a reboot voids in the exec root (design, "Where
 * things lie"). The shim writes its own files beside the daemon's; neither writes the other's.
 */
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { KeyedMutex } from '../base/keyedMutex.ts';
import { mapLimit } from '../base/mutex.ts';
import { CONTAINER_SCHEMA } from '../core/container/record.ts';
import type { ContainerRecord, ExecRecord } from '../core/container/record.ts';
import { EMPTY_VIEW } from '../core/container/view.ts';
import type { ContainerView } from '../core/container/view.ts';
import type { ContainerPaths, ContainerStorePort, LoadedContainer, LoadedContainers } from '../core/ports/containerStore.ts';
import type { Sandbox } from '../core/ports/network.ts';
import { encodeRecord, makeDirectory, readRecord, readRecordNow, syncDirectory, writeFileAtomic, writeRecord } from './record.ts';

/** Twice: without it the links and ports of a running container would be nobody's, and be taken away. */
const SANDBOX_FILES = ['sandbox.json', 'sandbox.copy.json'];

const ID = /^[0-9a-f]{64}$/;

export class ContainerStore implements ContainerStorePort {
  readonly #dataRoot: string;
  readonly #execRoot: string;
  readonly #saving = new KeyedMutex();

  private constructor(dataRoot: string, execRoot: string) {
    this.#dataRoot = join(dataRoot, 'containers');
    this.#execRoot = join(execRoot, 'containers');
  }

  static async open(dataRoot: string, execRoot: string): Promise<ContainerStore> {
    const store = new ContainerStore(dataRoot, execRoot);
    await makeDirectory(store.#dataRoot, 0o710);
    await makeDirectory(store.#execRoot, 0o700);
    return store;
  }

  paths(id: string): ContainerPaths {
    const dataDir = join(this.#dataRoot, id);
    const execDir = join(this.#execRoot, id);
    return {
      dataDir,
      log: join(dataDir, `${id}-json.log`),
      forward: join(dataDir, 'forward'),
      exit: join(dataDir, 'exit'),
      journal: join(dataDir, 'journal'),
      hosts: join(dataDir, 'hosts'),
      hostname: join(dataDir, 'hostname'),
      resolvConf: join(dataDir, 'resolv.conf'),
      execDir,
      netns: join(execDir, 'netns'),
      execs: join(execDir, 'execs'),
    };
  }

  execDir(id: string, execId: string): string {
    return join(this.#execRoot, id, 'execs', execId);
  }

  /** In one pass over both roots, at once for what is whole: a daemon's start waits for it. */
  async loadAll(): Promise<LoadedContainers> {
    const names = await readdir(this.#dataRoot);
    // A removal that a crash cut short: the folder was renamed first, so its record counts no more.
    await Promise.all(names.filter((name) => name.startsWith('.gone-')).map((name) => rm(join(this.#dataRoot, name), { recursive: true, force: true })));
    const present = new Set(await this.listExecDirs());
    const ids = names.filter((name) => ID.test(name));
    const loaded = await mapLimit(ids, 32, (id) => this.#load(id, present.has(id)));
    for (const id of ids) present.delete(id);
    return { containers: loaded.filter((each) => each !== undefined), strays: [...present] };
  }

  /** True if a creation got no further than its folder, which is then removed. */
  async #neverWas(id: string): Promise<boolean> {
    const folder = join(this.#dataRoot, id);
    if ((await readdir(folder)).some((name) => !name.startsWith('.'))) return false;
    await rm(folder, { recursive: true, force: true });
    return true;
  }

  async #load(id: string, present: boolean): Promise<LoadedContainer | undefined> {
    const path = join(this.#dataRoot, id, 'config.json');
    const options = { schema: CONTAINER_SCHEMA as typeof CONTAINER_SCHEMA, parse: (value: Record<string, unknown>) => parseContainer(value, id) };
    const whole = async (record: ContainerRecord): Promise<LoadedContainer> => ({ kind: 'ok', id, record, view: await this.#view(id), sandbox: present ? await this.loadSandbox(id) : null, present });
    try {
      const record = readRecordNow(path, options);
      if (record !== undefined) return await whole(record);
      const read = await readRecord(path, options);
      switch (read.kind) {
        case 'ok':
          return await whole(read.value);
        case 'missing':
          return (await this.#neverWas(id)) ? undefined : { kind: 'problem', id, present, reason: 'its record is missing' };
        case 'damaged':
          return { kind: 'problem', id, present, reason: `its record was damaged (${read.reason}) and is kept as ${read.quarantined}` };
        case 'newer':
          return { kind: 'problem', id, present, reason: `its record has schema ${read.schema}; this release reads up to ${CONTAINER_SCHEMA}` };
      }
    } catch (error) {
      return { kind: 'problem', id, present, reason: `its record cannot be read: ${String(error)}` };
    }
  }

  /** Missing or damaged: from the journal's start. */
  async #view(id: string): Promise<ContainerView> {
    const path = join(this.#dataRoot, id, 'view.json');
    const options = { schema: 1 as const, parse: parseView };
    const now = readRecordNow(path, options);
    if (now !== undefined) return now;
    const read = await readRecord(path, options);
    return read.kind === 'ok' ? read.value : EMPTY_VIEW;
  }

  /** One after the other for each container: a write that a slow disk holds up must not end after a later one. */
  save(record: ContainerRecord, options: { durable?: boolean } = {}): Promise<void> {
    return this.#saving.run(record.id, () => this.#save(record, options));
  }

  async #save(record: ContainerRecord, options: { durable?: boolean }): Promise<void> {
    const folder = join(this.#dataRoot, record.id);
    const durable = options.durable ?? true;
    const made = await makeFolder(folder);
    await writeRecord(join(folder, 'config.json'), record, { durable });
    if (durable && made) await syncDirectory(this.#dataRoot);
  }

  async removeLogs(id: string): Promise<void> {
    const { dataDir, log } = this.paths(id);
    const names = (await entries(dataDir)).filter((name) => name.startsWith(basename(log)));
    await Promise.all(names.map((name) => rm(join(dataDir, name), { force: true })));
  }

  async remove(id: string, options: { durable?: boolean } = {}): Promise<void> {
    await this.removeExecDir(id);
    const gone = join(this.#dataRoot, `.gone-${id}`);
    try {
      await rename(join(this.#dataRoot, id), gone);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
    if (options.durable ?? true) await syncDirectory(this.#dataRoot);
    await failpoint('container.removed');
    await rm(gone, { recursive: true, force: true });
  }

  async freshExecDir(id: string): Promise<void> {
    const { execDir } = this.paths(id);
    await rm(execDir, { recursive: true, force: true });
    await mkdir(execDir, { recursive: true, mode: 0o700 });
  }

  async removeExecDir(id: string): Promise<void> {
    await removeTree(join(this.#execRoot, id));
  }

  async listExecDirs(): Promise<string[]> {
    return (await readdir(this.#execRoot)).filter((name) => ID.test(name));
  }

  async writeBundle(id: string, files: Record<string, string>): Promise<void> {
    const { execDir } = this.paths(id);
    await Promise.all(Object.entries(files).map(([name, text]) => writeFileAtomic(join(execDir, name), text, { durable: false, mode: 0o600 })));
  }

  readBundle(id: string, name: string): Promise<string> {
    return readFile(join(this.paths(id).execDir, name), 'utf8');
  }

  async writeEtc(id: string, files: { hosts?: string; hostname?: string; resolvConf?: string }): Promise<void> {
    const paths = this.paths(id);
    const texts: [string, string | undefined][] = [[paths.hosts, files.hosts], [paths.hostname, files.hostname], [paths.resolvConf, files.resolvConf]];
    // In place: each is bind-mounted into a container, which would go on seeing the old file after a rename.
    await Promise.all(texts.map(async ([path, text]) => {
      if (text !== undefined) await writeFile(path, text, { mode: 0o644 });
    }));
  }

  async leadHere(earlier: string): Promise<void> {
    try {
      await symlink(dirname(this.#dataRoot), earlier);
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error;
    }
  }

  async saveSandbox(id: string, sandbox: Sandbox): Promise<void> {
    const text = encodeRecord({ schema: 1, ...sandbox });
    await Promise.all(SANDBOX_FILES.map((name) => writeFileAtomic(join(this.#execRoot, id, name), text, { durable: false, mode: 0o600 })));
  }

  async loadSandbox(id: string): Promise<Sandbox | null> {
    for (const name of SANDBOX_FILES) {
      const path = join(this.#execRoot, id, name);
      const options = { schema: 1 as const, parse: parseSandbox };
      const now = readRecordNow(path, options);
      if (now !== undefined) return now;
      const read = await readRecord(path, options);
      if (read.kind === 'ok') return read.value;
    }
    return null;
  }

  async saveView(id: string, view: ContainerView): Promise<void> {
    await writeFileAtomic(join(this.#dataRoot, id, 'view.json'), encodeRecord({ ...view, schema: 1 }), { durable: false, mode: 0o600 });
  }

  async createExec(record: ExecRecord, processJson: string): Promise<void> {
    const dir = this.execDir(record.containerId, record.id);
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await writeFileAtomic(join(dir, 'process.json'), processJson, { durable: false, mode: 0o600 });
    await writeRecord(join(dir, 'exec.json'), record, { durable: false });
  }

  async listExecs(id: string): Promise<{ record: ExecRecord; ended: boolean }[]> {
    const folder = this.paths(id).execs;
    const found: { record: ExecRecord; ended: boolean }[] = [];
    for (const name of (await entries(folder)).filter((each) => ID.test(each))) {
      const path = join(folder, name, 'exec.json');
      const read = await readRecord(path, { schema: 1, parse: (value) => value as unknown as ExecRecord });
      if (read.kind === 'ok') found.push({ record: read.value, ended: (await entries(join(folder, name))).includes('ended') });
    }
    return found;
  }

  async endExec(id: string, execId: string): Promise<void> {
    try {
      await writeFile(join(this.execDir(id, execId), 'ended'), '', { mode: 0o600 });
    } catch (error) {
      // The container ended too and its folder is gone: nobody will read it again.
      if (errnoOf(error) !== 'ENOENT') throw error;
    }
  }

  async removeExec(id: string, execId: string): Promise<void> {
    await removeTree(this.execDir(id, execId));
  }
}

/** A shim that is just leaving still changes its folder. */
const removeTree = (path: string): Promise<void> => rm(path, { recursive: true, force: true, maxRetries: 10, retryDelay: 10 });

const DESIRED = new Set(['creating', 'created', 'running', 'stopped', 'removing']);

/** Checks what the engine relies on; what a later minor added stands as it is. */
export function parseContainer(value: Record<string, unknown>, id: string): ContainerRecord {
  if (value['schema'] !== CONTAINER_SCHEMA) throw new Error('it has no schema version');
  if (value['id'] !== id) throw new Error('it names another container');
  if (typeof value['name'] !== 'string' || value['name'] === '') throw new Error('it has no name');
  if (typeof value['desired'] !== 'string' || !DESIRED.has(value['desired'])) throw new Error('its desired state is not known');
  if (typeof value['createdNs'] !== 'bigint') throw new Error('it has no creation time');
  for (const key of ['config', 'hostConfig', 'networks']) {
    if (typeof value[key] !== 'object' || value[key] === null) throw new Error(`${key} is missing`);
  }
  for (const key of ['mounts', 'args']) {
    if (!Array.isArray(value[key])) throw new Error(`${key} is missing`);
  }
  return value as unknown as ContainerRecord;
}

const parseSandbox = (value: Record<string, unknown>): Sandbox & { schema: 1 } => value as unknown as Sandbox & { schema: 1 };

export function parseView(value: Record<string, unknown>): ContainerView & { schema: 1 } {
  if (typeof value['seq'] !== 'bigint' || typeof value['facts'] !== 'object' || value['facts'] === null) throw new Error('it is not a view');
  const view = { ...EMPTY_VIEW, ...value } as ContainerView & { schema: 1 };
  for (const [key, fact] of Object.entries(EMPTY_VIEW.facts)) {
    const found = (view.facts as unknown as Record<string, unknown>)[key];
    if (typeof found !== typeof fact && !(key === 'exitCode' && found === 'unknown')) throw new Error(`its fact ${key} is missing`);
  }
  return view;
}

/** True if it was not there. (A recursive mkdir would say ENOENT where the disk is read-only.) */
async function makeFolder(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o710 });
    return true;
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** The names in a folder; none if it is not there. */
async function entries(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}
