/** The key sequence that leaves an attached terminal without ending what runs there (engine-api A3). */
import { invalid } from '../base/errors.ts';

const DEFAULT = Buffer.from([16, 17]);

/** `ctrl-p,ctrl-q` as bytes; empty: that default. invalid `Invalid detach keys (x) provided`. */
export function parseDetachKeys(text: string): Buffer {
  if (text === '') return DEFAULT;
  return Buffer.from(text.split(',').map((key) => {
    if (key.length === 1) return key.charCodeAt(0) & 0xff;
    if (key.toUpperCase() === 'DEL') return 127;
    const control = /^ctrl-([@a-z[\\\]^_])$/i.exec(key)?.[1]?.toLowerCase();
    if (control === undefined) throw invalid(`Invalid detach keys (${text}) provided`);
    return control === '@' ? 0 : '[\\]^_'.includes(control) ? 27 + '[\\]^_'.indexOf(control) : control.charCodeAt(0) - 96;
  }));
}

/**
 * Watches input for the sequence: bytes that may belong to it are held back, and given out when the next key shows that
 * they do not.
 */
export class DetachScanner {
  readonly #keys: Buffer;
  #matched = 0;

  constructor(keys: Buffer) {
    this.#keys = keys;
  }

  /** What to pass on of a chunk, and whether the sequence was completed in it. */
  scan(chunk: Buffer): { pass: Buffer; detached: boolean } {
    const out: number[] = [];
    for (const byte of chunk) {
      if (byte === this.#keys[this.#matched]) {
        this.#matched += 1;
        if (this.#matched === this.#keys.length) return { pass: Buffer.from(out), detached: true };
        continue;
      }
      out.push(...this.#keys.subarray(0, this.#matched));
      this.#matched = 0;
      if (byte === this.#keys[0]) this.#matched = 1;
      else out.push(byte);
    }
    return { pass: Buffer.from(out), detached: false };
  }
}
