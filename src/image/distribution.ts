/**
 * Where layers came from and went to: which compressed blob of which repository unpacks to which diff id. A pull finds by
 * it that it has a layer already, a push that the registry has. It is only a memory aid: a lost record costs a transfer.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { isSha256 } from '../core/image/reference.ts';
import { readRecord, writeRecord } from '../store/record.ts';
import { KeyedMutex } from '../base/keyedMutex.ts';

const SCHEMA = 1;
// Docker keeps as many.
const MAX_SOURCES = 50;

/** A compressed layer in a repository. */
export interface LayerSource {
  /** Of the compressed blob. */
  readonly digest: string;
  readonly size: number;
  readonly mediaType: string;
  /** `docker.io/library/busybox` */
  readonly repository: string;
}

interface DiffRecord {
  schema: number;
  sources: LayerSource[];
}

export class Distribution {
  readonly #folder: string;
  readonly #sources = new Map<string, LayerSource[]>();
  readonly #diffIds = new Map<string, string>();
  readonly #mutex = new KeyedMutex();

  private constructor(folder: string) {
    this.#folder = folder;
  }

  static async open(root: string): Promise<Distribution> {
    const distribution = new Distribution(join(root, 'distribution'));
    await mkdir(distribution.#folder, { recursive: true, mode: 0o700 });
    for (const name of await readdir(distribution.#folder)) {
      const hex = /^([a-f0-9]{64})\.json$/.exec(name)?.[1];
      if (hex !== undefined) await distribution.#load(`sha256:${hex}`);
    }
    return distribution;
  }

  /** The diff id of a compressed blob, if it was seen before. */
  diffId(digest: string): string | undefined {
    return this.#diffIds.get(digest);
  }

  /** Latest first. */
  sources(diffId: string): readonly LayerSource[] {
    return this.#sources.get(diffId) ?? [];
  }

  async add(diffId: string, source: LayerSource): Promise<void> {
    await this.#mutex.run(diffId, async () => {
      const others = this.sources(diffId).filter((other) => other.digest !== source.digest || other.repository !== source.repository);
      const record: DiffRecord = { schema: SCHEMA, sources: [source, ...others].slice(0, MAX_SOURCES) };
      await writeRecord(this.#path(diffId), record, { durable: false });
      this.#remember(diffId, record.sources);
    });
  }

  /** Forgets a layer that is gone. */
  async remove(diffId: string): Promise<void> {
    await this.#mutex.run(diffId, async () => {
      for (const { digest } of this.sources(diffId)) this.#diffIds.delete(digest);
      this.#sources.delete(diffId);
      await rm(this.#path(diffId), { force: true });
    });
  }

  async #load(diffId: string): Promise<void> {
    const read = await readRecord<DiffRecord>(this.#path(diffId), { schema: SCHEMA, parse: parseDiffRecord });
    if (read.kind === 'ok') this.#remember(diffId, read.value.sources);
  }

  #remember(diffId: string, sources: LayerSource[]): void {
    this.#sources.set(diffId, sources);
    for (const { digest } of sources) this.#diffIds.set(digest, diffId);
  }

  #path(diffId: string): string {
    return join(this.#folder, `${diffId.slice('sha256:'.length)}.json`);
  }
}

function parseDiffRecord(value: Record<string, unknown>): DiffRecord {
  if (!Array.isArray(value['sources'])) throw new Error('no sources');
  return { schema: SCHEMA, sources: value['sources'].map(parseSource) };
}

function parseSource(value: unknown): LayerSource {
  if (typeof value !== 'object' || value === null) throw new Error('a source is no object');
  const { digest, size, mediaType, repository } = value as Record<string, unknown>;
  const whole = typeof digest === 'string' && isSha256(digest) && typeof size === 'number' && typeof mediaType === 'string' && typeof repository === 'string';
  if (!whole) throw new Error('a source is not whole');
  return { digest, size, mediaType, repository };
}
