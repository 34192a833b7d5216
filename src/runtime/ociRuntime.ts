/** The runtime port for every OCI runtime with runc's command line. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { internal } from '../base/errors.ts';
import type { RuntimePort, RuntimeResources, RuntimeState, RuntimeTarget } from '../core/ports/runtime.ts';
import { invoke, isUnknownContainer, mustInvoke } from './invoke.ts';
import { rootMoved } from './rootMoved.ts';
import { top } from './top.ts';

const STATUSES: readonly RuntimeState['status'][] = ['creating', 'created', 'running', 'pausing', 'paused', 'stopped'];

export const ociRuntime: RuntimePort = {
  async pause(target, { signal } = {}) {
    await mustInvoke({ target, args: ['pause', target.id], signal });
  },

  async resume(target, { signal } = {}) {
    await mustInvoke({ target, args: ['resume', target.id], signal });
  },

  async update(target, resources, { signal } = {}) {
    await withResourcesFile(resources, (file) => mustInvoke({ target, args: ['update', '--resources', file, target.id], signal }));
  },

  pids: (target, { signal } = {}) => pids(target, signal),

  async top(target, psArgs, { signal } = {}) {
    return await top(await pids(target, signal), psArgs, signal);
  },

  async state(target, { signal } = {}) {
    const outcome = await invoke({ target, args: ['state', target.id], signal });
    if (outcome.ok) return decodeState(outcome.stdout);
    if (isUnknownContainer(outcome.message)) return undefined;
    throw internal(`OCI runtime state failed: ${outcome.message}: unknown`);
  },

  async kill(target, signalNumber, { signal, all } = {}) {
    await mustInvoke({ target, args: ['kill', ...(all === true ? ['--all'] : []), target.id, String(signalNumber)], signal });
  },

  rootMoved,

  async delete(target, { signal } = {}) {
    const args = ['delete', '--force', target.id];
    const outcome = await invoke({ target, args, signal });
    if (!outcome.ok && !isUnknownContainer(outcome.message)) throw internal(`OCI runtime delete failed: ${outcome.message}: unknown`);
  },
};

async function pids(target: RuntimeTarget, signal: AbortSignal | undefined): Promise<number[]> {
  const text = await mustInvoke({ target, args: ['ps', '--format', 'json', target.id], signal });
  const list: unknown = parseJson(text, 'ps') ?? [];
  if (!Array.isArray(list)) throw internal('OCI runtime ps gave no list');
  return list.filter((pid) => typeof pid === 'number');
}

function decodeState(text: string): RuntimeState {
  const value = parseJson(text, 'state');
  if (typeof value !== 'object' || value === null || !('status' in value)) throw internal('OCI runtime state gave no status');
  const status = STATUSES.find((one) => one === value.status);
  if (status === undefined) throw internal(`OCI runtime state gave an unknown status ${JSON.stringify(value.status)}`);
  const pid = 'pid' in value && typeof value.pid === 'number' ? value.pid : 0;
  const bundle = 'bundle' in value && typeof value.bundle === 'string' ? value.bundle : '';
  return { status, pid, bundle };
}

function parseJson(text: string, command: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw internal(`OCI runtime ${command} gave something that is no JSON`, error);
  }
}

/** A file, since not every runtime reads its resources from a stdin that is a socket. */
async function withResourcesFile(resources: RuntimeResources, use: (file: string) => Promise<unknown>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'moored-update-'));
  try {
    const file = join(folder, 'resources.json');
    await writeFile(file, JSON.stringify(resources), { mode: 0o600 });
    await use(file);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
