/** One call of an OCI runtime: its log is JSON on stderr, and its refusal becomes an error in Docker's shape. */
import { conflict, internal, notFound } from '../base/errors.ts';
import { runtimeMessage } from '../base/runtimeMessage.ts';
import type { RuntimeTarget } from '../core/ports/runtime.ts';
import { run } from '../sys/spawn.ts';

const TIMEOUT_MS = 60_000;
const MAX_OUTPUT = 4 * 1024 * 1024;

export interface Invocation {
  readonly target: RuntimeTarget;
  /** The command and what follows it. */
  readonly args: readonly string[];
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
}

export type Outcome = { readonly ok: true; readonly stdout: string } | { readonly ok: false; readonly message: string };

export async function invoke({ target, args, signal, timeoutMs }: Invocation): Promise<Outcome> {
  const argv = [
    target.runtime,
    '--root',
    target.runtimeRoot,
    '--log-format',
    'json',
    ...(target.runtimeArgs ?? []),
    ...(target.systemdCgroup === true ? ['--systemd-cgroup'] : []),
    ...args,
  ];
  const result = await run(argv, { signal, timeoutMs: timeoutMs ?? TIMEOUT_MS, maxOutput: MAX_OUTPUT });
  if (result.code === 0) return { ok: true, stdout: result.stdout };
  const ending = result.signal === null ? `exit status ${result.code}` : `signal ${result.signal}`;
  return { ok: false, message: result.stderr.trim() === '' ? ending : runtimeMessage(result.stderr) };
}

/** The same where a refusal is an error. */
export async function mustInvoke(invocation: Invocation): Promise<string> {
  const outcome = await invoke(invocation);
  if (outcome.ok) return outcome.stdout;
  const message = `OCI runtime ${invocation.args[0]} failed: ${outcome.message}: unknown`;
  if (isUnknownContainer(outcome.message)) throw notFound(message);
  throw /not (running|paused)|already/.test(outcome.message) ? conflict(message) : internal(message);
}

/** runc says "container does not exist", crun "error opening file `…/status`: No such file or directory". */
export const isUnknownContainer = (message: string): boolean =>
  /container does not exist|status[`'"]?: No such file/.test(message);
