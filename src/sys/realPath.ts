/** Paths without symlinks: what the kernel says of a process or a mount is compared with them, and runtimes demand them. */
import { realpathSync } from 'node:fs';
import path from 'node:path';
import { errnoOf } from '../base/errors.ts';

/** The absolute path with the symlinks of its existing part resolved; what does not exist yet follows as it stands. */
export function realPath(given: string): string {
  const absolute = path.resolve(given);
  try {
    return realpathSync(absolute);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || absolute === path.dirname(absolute)) throw error;
    return path.join(realPath(path.dirname(absolute)), path.basename(absolute));
  }
}
