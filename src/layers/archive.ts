/** `docker cp`, `docker export`, filling of volumes: streams and requests; the files are touched by confined threads. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Readable } from 'node:stream';
import type { ArchivePort, FsView, PathStat } from '../core/ports/layers.ts';
import { decompress } from '../sys/decompress.ts';
import { fileThreads } from './fileThreads.ts';
import { drain, feed, keepErrors } from './transfer.ts';

export class Archive implements ArchivePort {
  readonly #scratch: string;
  /** Short requests do not wait for clients that read or send slowly. */
  readonly #quick = fileThreads(2);
  readonly #streams = fileThreads(8);

  /** `scratch`: where a directory may be made that stays empty but for two mount points. */
  constructor(scratch: string) {
    this.#scratch = path.join(scratch, 'copy');
  }

  async close(): Promise<void> {
    await Promise.all([this.#quick.close(), this.#streams.close()]);
  }

  stat(view: FsView, file: string): Promise<PathStat> {
    return this.#quick.run('statPath', { view, path: file });
  }

  async read(view: FsView, file: string): Promise<{ stat: PathStat; tar: Readable }> {
    const stat = await this.stat(view, file);
    return { stat, tar: drain((sink) => this.#streams.run('readPath', { view, path: file, sink })) };
  }

  async write(view: FsView, file: string, tar: Readable, options: { noOverwriteDirNonDir: boolean; copyUidGid?: { uid: number; gid: number } }): Promise<void> {
    const { noOverwriteDirNonDir, copyUidGid: owner } = options;
    keepErrors(tar);
    const source = keepErrors(await decompress(tar));
    await feed(source, (ring) => this.#streams.run('writePath', { view, path: file, source: ring, noOverwriteDirNonDir, owner }));
  }

  async exportRoot(root: string): Promise<Readable> {
    return drain((sink) => this.#streams.run('packRoot', { root, sink }));
  }

  async populate(root: string, target: string, volumePath: string): Promise<boolean> {
    const directory = await this.#quick.run('findDirectory', { root, path: target });
    if (directory === undefined) return false;
    await mkdir(this.#scratch, { recursive: true, mode: 0o700 });
    return this.#streams.run('fillVolume', { scratch: this.#scratch, from: path.join(root, directory), to: volumePath });
  }
}
