/** Files that measurements need, made once per run in a temporary folder, which goes with the program. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';

let root: string | undefined;

/** A new folder. */
export function scratch(name: string): string {
  if (root === undefined) {
    const made = mkdtempSync('/tmp/moored-bench-');
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    root = made;
  }
  const folder = mkdtempSync(path.join(root, `${name}-`));
  return folder;
}

export const LINE_FILE_MB = 10;

let lineFolder: string | undefined;

/** A folder with `short` and `long`: 10 MB each of lines of 71 and of 4096 bytes. */
export function lineFiles(): string {
  if (lineFolder !== undefined) return lineFolder;
  const folder = scratch('lines');
  mkdirSync(folder, { recursive: true });
  for (const [name, width] of [['short', 71], ['long', 4096]] as const) {
    const line = `${'the quick brown fox jumps over the lazy dog '.repeat(94).slice(0, width - 1)}\n`;
    writeFileSync(path.join(folder, name), line.repeat(Math.floor((LINE_FILE_MB * 1e6) / width)));
  }
  lineFolder = folder;
  return folder;
}
