/**
 * runc (libcontainer's `commandTemplate`) starts each exec in the folder that its state calls the container's root
 * filesystem, although it then enters the container's own view: when the folder was moved, exec would fail.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../base/errors.ts';
import { parseJson, plain, stringify } from '../base/json.ts';
import type { RuntimePort } from '../core/ports/runtime.ts';
import { writeFileAtomic } from '../store/record.ts';

/** runc's record of a container, below its root. */
const STATE_FILE = 'state.json';

export const rootMoved: RuntimePort['rootMoved'] = async ({ id, runtimeRoot }, change) => {
  const file = join(runtimeRoot, id, STATE_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    // Between a delete and a create of its shim's; or a runtime that keeps other files, and no such path.
    if (errnoOf(error) === 'ENOENT') return;
    throw error;
  }
  const state = plain(parseJson(text)) as { config?: { rootfs?: unknown } };
  const rootfs = state.config?.rootfs;
  if (state.config === undefined || typeof rootfs !== 'string' || change(rootfs) === rootfs) return;
  state.config.rootfs = change(rootfs);
  await writeFileAtomic(file, stringify(state), { durable: false, mode: 0o600 });
};
