import { lstatSync, readdirSync } from 'node:fs';
import { enter } from '../../sys/confinement.ts';
import { unlessGone } from './packer.ts';
import type { Jobs } from './protocol.ts';

/** Bytes of all files below a directory, directories not counted, hard links once (as Docker sums a layer). */
export function usage(input: Jobs['usage']['input']): number {
  enter(input.root);
  const seen = new Set<string>();
  const directories = [Buffer.from('/')];
  let sum = 0;
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const entry of unlessGone(() => readdirSync(directory, { withFileTypes: true, encoding: 'buffer' })) ?? []) {
      const path = Buffer.concat([directory, entry.name, Buffer.from('/')]);
      if (entry.isDirectory()) {
        directories.push(path);
        continue;
      }
      const stat = lstatSync(path.subarray(0, -1), { throwIfNoEntry: false });
      if (stat === undefined) continue;
      const inode = `${stat.dev}:${stat.ino}`;
      if (stat.nlink > 1 && seen.has(inode)) continue;
      if (stat.nlink > 1) seen.add(inode);
      sum += stat.size;
    }
  }
  return sum;
}
