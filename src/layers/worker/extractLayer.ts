/** Extraction of an image layer in overlayfs' form: whiteouts become 0/0 devices, opaque directories an xattr. */
import { createHash } from 'node:crypto';
import { closeSync, openSync } from 'node:fs';
import type { Stats } from 'node:fs';
import type { ByteString, TarHeader } from '../../base/tar/header.ts';
import { TarParser } from '../../base/tar/parser.ts';
import { enter } from '../../sys/confinement.ts';
import { Ring } from '../ring.ts';
import { Extractor } from './extractor.ts';
import { cleanName } from './names.ts';
import type { Jobs } from './protocol.ts';
import { SplitWriter } from './split.ts';
import { LayerWhiteouts } from './whiteouts.ts';

export function extractLayer({ root, split, source }: Jobs['extractLayer']['input']): Jobs['extractLayer']['output'] {
  const ring = new Ring(source);
  const splitFd = openSync(split, 'wx', 0o600);
  const layer = new LayerExtraction(new SplitWriter(splitFd));
  const hash = createHash('sha256');
  try {
    enter(root);
    const parser = new TarParser(layer);
    ring.readSync((chunk) => {
      hash.update(chunk);
      parser.write(chunk);
    });
    parser.end();
    layer.finish();
    return { diffId: `sha256:${hash.digest('hex')}`, size: layer.size, whole: layer.whole };
  } finally {
    layer.close();
    closeSync(splitFd);
    ring.close();
  }
}

class LayerExtraction {
  readonly #split: SplitWriter;
  readonly #whiteouts = new LayerWhiteouts();
  readonly #extractor: Extractor;
  /** Whether the content that comes next is in a file; else its bytes are kept with the metadata. */
  #refers = false;
  whole = true;

  constructor(split: SplitWriter) {
    this.#split = split;
    this.#extractor = new Extractor({
      intercept: (header, path) => this.#whiteouts.intercept(header, path),
      replaced: (existing, path) => this.#replaced(existing, path),
    });
  }

  get size(): number {
    return this.#extractor.size;
  }

  raw(chunk: Buffer): void {
    this.#split.raw(chunk);
  }

  entry(header: TarHeader): void {
    this.#extractor.entry(header);
    this.#whiteouts.made(header);
    this.#refers = this.#extractor.isWriting && header.sparse === undefined && header.size > 0;
    if (this.#refers) this.#split.file(cleanName(header.name), header.size);
  }

  data(chunk: Buffer, position: number): void {
    if (!this.#refers) this.#split.raw(chunk);
    this.#extractor.data(chunk, position);
  }

  endEntry(): void {
    this.#extractor.endEntry();
  }

  finish(): void {
    this.#extractor.finish();
    this.#split.finish();
  }

  close(): void {
    this.#extractor.close();
  }

  #replaced(existing: Stats, path: ByteString): void {
    this.#whiteouts.replaced(existing, path);
    // Its bytes came earlier in this archive and are gone now.
    if (existing.isDirectory() || (existing.isFile() && existing.size > 0)) this.whole = false;
  }
}
