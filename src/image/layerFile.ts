/** A layer tar put on disk, so that its digest is known before it is applied (commit, import) or sent (save, push). */
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';

export class LayerFile implements AsyncDisposable {
  readonly path: string;
  /** `sha256:…` of its bytes. */
  readonly digest: string;
  readonly size: number;

  private constructor(path: string, digest: string, size: number) {
    this.path = path;
    this.digest = digest;
    this.size = size;
  }

  /** Reads the stream to its end into a new file of the folder. On an error nothing stays. */
  static async write(stream: Readable, folder: string, signal?: AbortSignal): Promise<LayerFile> {
    // An error before the file is open must not go unheard.
    stream.on('error', () => {});
    const path = join(folder, `layer-${randomUUID()}`);
    const hash = createHash('sha256');
    let size = 0;
    const file = await open(path, 'wx', 0o600);
    try {
      for await (const chunk of stream as AsyncIterable<Buffer>) {
        signal?.throwIfAborted();
        hash.update(chunk);
        size += chunk.length;
        for (let offset = 0; offset < chunk.length;) offset += (await file.write(chunk, offset)).bytesWritten;
      }
      await file.close();
      return new LayerFile(path, `sha256:${hash.digest('hex')}`, size);
    } catch (error) {
      await file.close();
      await rm(path, { force: true });
      throw error;
    }
  }

  read(): Readable {
    return createReadStream(this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.path, { force: true });
  }
}

/** Digest of an archive without entries: such a layer changes nothing and is left out of an image. */
export const EMPTY_LAYER = 'sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef';
