/** `docker top`: the host's `ps`, narrowed to a container's processes (moby `daemon/top_unix.go`, observed behaviour). */
import { internal, invalid } from '../base/errors.ts';
import type { ProcessTable } from '../core/ports/runtime.ts';
import { run } from '../sys/spawn.ts';

const TIMEOUT_MS = 10_000;

/** `psArgs` empty: `-ef`. */
export async function top(pids: readonly number[], psArgs: string, signal: AbortSignal | undefined): Promise<ProcessTable> {
  refuseRenamedPid(psArgs);
  const args = words(psArgs === '' ? '-ef' : psArgs);
  // Asking for these processes alone spares a walk through all of /proc, but some options do not go with it.
  const narrow = await ps([...args, `-q${pids.join(',')}`], signal);
  const result = narrow.code === 0 ? narrow : await ps(args, signal);
  if (result.code !== 0) {
    const [reason = ''] = result.stderr.trim().split('\n');
    throw internal(reason === '' ? `Error running ps: exit status ${result.code}` : `ps: ${reason.replace(/^(error|ps): /, '')}`);
  }
  return parsePs(result.stdout, new Set(pids));
}

const ps = (args: readonly string[], signal: AbortSignal | undefined) =>
  run(['ps', ...args], { signal, timeoutMs: TIMEOUT_MS, maxOutput: 16 * 1024 * 1024 });

/** A column called PID must be the pid, since rows are picked by it. */
function refuseRenamedPid(psArgs: string): void {
  for (const [, column = '', title = ''] of psArgs.matchAll(/\s+([^\s=]*)=\s*(PID\S*)/g)) {
    if (column !== 'pid') throw invalid(`specifying "${column}=${title}" is not allowed`);
  }
}

const words = (line: string): string[] => line.split(/[\t\v\f\r\n ]+/).filter((word) => word !== '');

export function parsePs(output: string, pids: ReadonlySet<number>): ProcessTable {
  const [header = '', ...lines] = output.split('\n');
  const titles = words(header);
  const column = titles.indexOf('PID');
  if (column === -1) throw internal("Couldn't find PID field in ps output");
  const processes: string[][] = [];
  let isWanted = false;
  for (const line of lines) {
    const fields = words(line);
    if (fields.length === 0) continue;
    const pid = fields[column] ?? '';
    // A thread's line belongs to the process before it.
    if (pid !== '-') {
      if (!/^\d+$/.test(pid)) throw internal(`Unexpected pid '${pid}'`);
      isWanted = pids.has(Number(pid));
    }
    // The last column holds whatever is left, with its spaces.
    const last = titles.length - 1;
    if (isWanted) processes.push([...fields.slice(0, last), fields.slice(last).join(' ')]);
  }
  return { titles, processes };
}
