/** The removal of folders that containers and archives have filled. */
import { lstat, readdir, rmdir, unlink } from 'node:fs/promises';
import path from 'node:path';
import { internal } from '../base/errors.ts';
import { run } from '../sys/spawn.ts';

/** A container that wrote little leaves a handful of files: they are not worth a process. */
const FEW = 40;

/** Removes whatever is there, however deep and however large, without holding up this process; never what is mounted in it. */
export async function removeTree(target: string): Promise<void> {
  if (await removeFew(target)) return;
  const result = await run(['rm', '-rf', '--one-file-system', '--', target], { timeoutMs: 30 * 60_000 });
  if (result.code !== 0) throw internal(`cannot remove ${target}: ${result.stderr.trim()}`);
}

/** False if there is more than a few, or anything unusual: what is left then is as good as before. */
async function removeFew(target: string): Promise<boolean> {
  try {
    const top = await lstat(target);
    const found: Found[] = [];
    if (!top.isDirectory()) found.push({ at: target, folder: false });
    else if (!(await list(target, { dev: top.dev, found }))) return false;
    // Folders stand before what is in them.
    for (const { at, folder } of found.toReversed()) await (folder ? rmdir(at) : unlink(at));
    return true;
  } catch {
    return false;
  }
}

interface Found {
  readonly at: string;
  readonly folder: boolean;
}

async function list(folder: string, into: { dev: number; found: Found[] }): Promise<boolean> {
  if ((await lstat(folder)).dev !== into.dev) return false;
  into.found.push({ at: folder, folder: true });
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (into.found.length >= FEW) return false;
    const at = path.join(folder, entry.name);
    if (!entry.isDirectory()) into.found.push({ at, folder: false });
    else if (!(await list(at, into))) return false;
  }
  return true;
}
