/** How much a folder holds. */
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';

/** Bytes of all files below, each file once whatever links it has; what goes while we look is passed over. */
export async function diskUsage(root: string): Promise<number> {
  const seen = new Set<string>();
  const open = [root];
  let bytes = 0;
  for (let folder = open.pop(); folder !== undefined; folder = open.pop()) {
    for (const name of await unlessGone(readdir(folder), [])) {
      const path = join(folder, name);
      const stats = await unlessGone(lstat(path), undefined);
      if (stats === undefined) continue;
      if (stats.isDirectory()) open.push(path);
      const key = `${stats.dev}:${stats.ino}`;
      if (stats.nlink > 1 && !stats.isDirectory()) {
        if (seen.has(key)) continue;
        seen.add(key);
      }
      if (!stats.isDirectory()) bytes += stats.size;
    }
  }
  return bytes;
}

async function unlessGone<T>(work: Promise<T>, absent: T): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return absent;
    throw error;
  }
}
