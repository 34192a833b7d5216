/**
 * Volumes of the `local` driver: `<data-root>/volumes/<name>/{_data, volume.json}`. The record is written last, so that a folder without
 * one is what a crash left (empty: removed) or what somebody brought along (kept, and taken for a volume without options).
 */
import { mkdir, open, readdir, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemClock } from '../base/clock.ts';
import type { Clock } from '../base/clock.ts';
import { conflict, errnoOf, internal, notFound } from '../base/errors.ts';
import { failpoint } from '../base/failpoint.ts';
import { newId } from '../base/ids.ts';
import type { Logger } from '../base/logger.ts';
import { Mutex, mapLimit } from '../base/mutex.ts';
import { ANONYMOUS_LABEL } from '../core/container/mounts.ts';
import type { VolumePort, VolumeRecord } from '../core/ports/volumes.ts';
import { makeDirectory, readRecord, removeTemporaries, syncDirectory, writeRecord } from '../store/record.ts';
import { diskUsage } from './diskUsage.ts';
import { hasMount, isMounted, mountVolume, unmountVolume } from './localMount.ts';
import { checkVolumeDriver, checkVolumeName, checkVolumeOptions, isVolumeName } from './name.ts';
import { VOLUME_SCHEMA, parseVolumeRecord } from './record.ts';

interface Volume {
  readonly record: VolumeRecord;
  /** Why it cannot be used (its record is damaged or newer); empty: it can. */
  readonly problem: string;
  readonly users: Set<string>;
  readonly lock: Mutex;
  removing: boolean;
}

export interface VolumesOptions {
  /** `<data-root>/volumes`. */
  readonly root: string;
  readonly logger: Logger;
  readonly clock?: Clock;
}

const AT_ONCE = 8;
const DATA = '_data';

export class Volumes implements VolumePort {
  readonly #root: string;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #volumes = new Map<string, Volume>();
  /** Creation is serial: two of one name must become one. */
  readonly #creating = new Mutex();

  private constructor(options: VolumesOptions) {
    this.#root = options.root;
    this.#logger = options.logger;
    this.#clock = options.clock ?? systemClock;
  }

  /** Reads what there is. */
  static async open(options: VolumesOptions): Promise<Volumes> {
    const volumes = new Volumes(options);
    await mkdir(options.root, { recursive: true, mode: 0o701 });
    const entries = await readdir(options.root, { withFileTypes: true });
    await mapLimit(entries.filter((entry) => entry.isDirectory()), AT_ONCE, ({ name }) => volumes.#load(name));
    return volumes;
  }

  list(): VolumeRecord[] {
    return [...this.#volumes.values()].map(({ record }) => record).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  get(name: string): VolumeRecord {
    return this.#find(name).record;
  }

  create(request: Parameters<VolumePort['create']>[0]): Promise<VolumeRecord> {
    return this.#creating.run(async () => {
      const anonymous = request.name === '' || Object.hasOwn(request.labels, Object.keys(ANONYMOUS_LABEL)[0] ?? '');
      const name = request.name === '' ? newId() : request.name;
      checkVolumeDriver(name, request.driver);
      checkVolumeName(name);
      const existing = this.#volumes.get(name);
      if (existing !== undefined && !existing.removing) return existing.record;
      if (existing !== undefined) throw conflict(`create ${name}: volume is being removed`);
      checkVolumeOptions(name, request.options);
      const record: VolumeRecord = {
        schema: VOLUME_SCHEMA,
        name,
        driver: 'local',
        mountpoint: join(this.#root, name, DATA),
        createdNs: this.#clock.nowNs(),
        labels: { ...request.labels, ...(request.name === '' && ANONYMOUS_LABEL) },
        options: { ...request.options },
        anonymous,
      };
      await this.#make(record);
      this.#add(record, '');
      return record;
    });
  }

  async remove(name: string): Promise<void> {
    const volume = this.#find(name);
    if (volume.users.size > 0) throw conflict(`remove ${name}: volume is in use - [${[...volume.users].join(', ')}]`);
    // From here on nobody else gets it.
    volume.removing = true;
    try {
      await volume.lock.run(() => this.#removeFiles(volume));
      this.#volumes.delete(name);
    } catch (error) {
      volume.removing = false;
      throw error;
    }
  }

  mount(name: string, user: string): Promise<string> {
    const volume = this.#find(name);
    if (volume.problem !== '') return Promise.reject(internal(`volume ${name} cannot be used: ${volume.problem}`));
    return volume.lock.run(async () => {
      if (volume.removing) throw notFound(`get ${name}: no such volume`);
      const { mountpoint: target, options } = volume.record;
      volume.users.add(user);
      try {
        if (hasMount(options)) await mountVolume({ name, target, options });
        else await stat(target);
      } catch (error) {
        volume.users.delete(user);
        if (errnoOf(error) === 'ENOENT') throw internal(`volume ${name} has lost its content: ${target} is not there`, error);
        throw error;
      }
      return target;
    });
  }

  async unmount(name: string, user: string): Promise<void> {
    const volume = this.#volumes.get(name);
    if (volume === undefined) return;
    await volume.lock.run(async () => {
      volume.users.delete(user);
      if (volume.users.size === 0 && hasMount(volume.record.options)) await unmountVolume(volume.record.mountpoint);
    });
  }

  /** Mounts whose users are gone are undone; those of live containers are left exactly as they are. */
  async restore(live: { name: string; user: string }[]): Promise<void> {
    for (const { name, user } of live) this.#volumes.get(name)?.users.add(user);
    await mapLimit([...this.#volumes.values()], AT_ONCE, (volume) => volume.lock.run(async () => {
      if (volume.users.size > 0 || !hasMount(volume.record.options)) return;
      try {
        await unmountVolume(volume.record.mountpoint);
      } catch (error) {
        this.#logger.warn('a volume that nobody uses could not be unmounted', { volume: volume.record.name, error });
      }
    }));
  }

  usage(name: string): Promise<number> {
    const { record } = this.#find(name);
    // What is mounted from elsewhere is not this disk's.
    return hasMount(record.options) ? Promise.resolve(0) : diskUsage(record.mountpoint);
  }

  #find(name: string): Volume {
    const volume = this.#volumes.get(name);
    if (volume === undefined || volume.removing) throw notFound(`get ${name}: no such volume`);
    return volume;
  }

  #add(record: VolumeRecord, problem: string): void {
    this.#volumes.set(record.name, { record, problem, users: new Set(), lock: new Mutex(), removing: false });
  }

  #recordPath(name: string): string {
    return join(this.#root, name, 'volume.json');
  }

  /** A folder that was there without a record is taken over with its content. */
  async #make(record: VolumeRecord): Promise<void> {
    const folder = join(this.#root, record.name);
    await makeDirectory(folder, 0o701);
    try {
      await mkdir(record.mountpoint, { recursive: true, mode: 0o755 });
      // The daemon's umask has no say in what containers find.
      const data = await open(record.mountpoint);
      try {
        await data.chmod(0o755);
      } finally {
        await data.close();
      }
      await failpoint('volume.made');
      await writeRecord(this.#recordPath(record.name), record);
      await failpoint('volume.recorded');
    } catch (error) {
      await rmdir(record.mountpoint).catch(() => undefined);
      await rmdir(folder).catch(() => undefined);
      throw error;
    }
  }

  async #load(name: string): Promise<void> {
    // `lost+found`, and what else is nobody's volume.
    if (!isVolumeName(name)) return;
    const read = await readRecord<VolumeRecord>(this.#recordPath(name), { schema: VOLUME_SCHEMA, parse: parseVolumeRecord });
    // The folder decides: a data root may have been moved, and a record copied.
    const mountpoint = join(this.#root, name, DATA);
    if (read.kind === 'ok') {
      this.#add({ ...read.value, name, mountpoint }, '');
      return;
    }
    const found = await this.#withoutRecord(name, mountpoint);
    if (read.kind === 'missing') {
      if (found !== undefined) this.#add(found, '');
      return;
    }
    const problem = read.kind === 'newer'
      ? `its record was written by a newer release (schema ${read.schema})`
      : `its record is damaged (${read.reason}) and was kept as ${read.quarantined}`;
    this.#logger.warn('a volume cannot be used', { volume: name, problem });
    this.#add(found ?? bareRecord(name, mountpoint, 0n), problem);
  }

  /** Content that somebody brought is a volume; an empty folder is what a crash left of creating or removing one. */
  async #withoutRecord(name: string, mountpoint: string): Promise<VolumeRecord | undefined> {
    try {
      const { mtimeMs } = await stat(mountpoint);
      await removeTemporaries(join(this.#root, name));
      if ((await readdir(mountpoint)).length > 0) return bareRecord(name, mountpoint, BigInt(Math.trunc(mtimeMs)) * 1_000_000n);
      await rmdir(mountpoint);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') return bareRecord(name, mountpoint, 0n);
    }
    await rmdir(join(this.#root, name)).catch(() => undefined);
    return undefined;
  }

  /** Content first, record last: a crash in between leaves a volume that can be removed again. */
  async #removeFiles({ record, problem }: Volume): Promise<void> {
    if (problem.includes('newer release')) throw conflict(`remove ${record.name}: ${problem}`);
    await unmountVolume(record.mountpoint);
    if (await isMounted(record.mountpoint)) throw conflict(`remove ${record.name}: volume is in use - [${record.mountpoint} is mounted]`);
    await rm(record.mountpoint, { recursive: true, force: true });
    await failpoint('volume.emptied');
    await rm(join(this.#root, record.name), { recursive: true, force: true });
    await syncDirectory(this.#root);
  }
}

const bareRecord = (name: string, mountpoint: string, createdNs: bigint): VolumeRecord => ({
  schema: VOLUME_SCHEMA, name, driver: 'local', mountpoint, createdNs, labels: {}, options: {}, anonymous: false,
});
