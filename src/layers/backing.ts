import { statfs } from 'node:fs/promises';

/** Docker's names for filesystems by their magic number (statfs(2)). */
const NAMES: ReadonlyMap<number, string> = new Map([
  [0xef53, 'extfs'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
  [0x794c7630, 'overlayfs'],
  [0x2fc12fc1, 'zfs'],
  [0x6969, 'nfs'],
  [0xf2f52010, 'f2fs'],
  [0x52654973, 'reiserfs'],
  [0xff534d42, 'cifs'],
]);

/** `Backing Filesystem` of `docker info`. */
export async function backingFilesystem(path: string): Promise<string> {
  const { type } = await statfs(path);
  return NAMES.get(type) ?? '<unknown>';
}
