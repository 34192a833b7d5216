/** How the resolver's process is started: by this Node.js, from a release's bundle or from a checkout's source. */
import { existsSync } from 'node:fs';
import path from 'node:path';
import { internal } from '../base/errors.ts';

/** It keeps little, so the heap is kept small; it lives long, so nothing is worth a second thread's memory. */
const NODE_FLAGS = ['--max-semi-space-size=1', '--max-old-space-size=64', '--v8-pool-size=0'];

export function resolverCommand(): string[] {
  const here = import.meta.dirname;
  const candidates = [path.join(here, 'dns.js'), path.join(here, '..', 'dns', 'main.ts')];
  const found = candidates.find((candidate) => existsSync(candidate));
  if (found === undefined) throw internal(`moored-dns is missing: looked for ${candidates.join(', ')}`);
  return [process.execPath, ...NODE_FLAGS, found];
}

/** The exec root that packaging/moored-dns.service is for. */
const UNIT_EXEC_ROOT = '/run/moored';

/** The resolver's own service, where systemd runs the daemon with the exec root of the packaged units. */
export const resolverUnit = (execRoot: string): string | undefined =>
  execRoot === UNIT_EXEC_ROOT && process.env['INVOCATION_ID'] !== undefined ? 'moored-dns.service' : undefined;
