/**
 * Named places where a test can make the daemon die, fail or wait. `MOORED_FAILPOINTS` holds `name=terms` separated by
 * commas or semicolons; terms are tried in turn, each as often as it says, as containerd's failpoints are:
 *
 *     [COUNT*]ACTION[(ARGUMENT)] [-> …]        1*off->1*crash: the first pass is let through, the second kills
 *
 * Actions: `off`; `error(TEXT)` throws; `crash` is SIGKILL to the process itself; `delay(MS)` waits. A term without a
 * count holds for ever. When all are used up the place is passed as if nothing were set. Without the variable a
 * failpoint costs one comparison.
 */
import { setTimeout as sleep } from 'node:timers/promises';

interface Term {
  remaining: number;
  readonly action: 'off' | 'error' | 'crash' | 'delay';
  readonly argument: string;
}

type Failpoints = ReadonlyMap<string, readonly Term[]>;

/** Decides whether the place `name` is passed; `undefined` where nothing is set for it. */
export type Failpoint = (name: string) => Promise<void> | undefined;

const TERM = /^(?:(\d+)\*)?(off|error|crash|delay)(?:\(([^()]*)\))?$/;

const ACTIONS: Readonly<Record<string, Term['action']>> = { off: 'off', error: 'error', crash: 'crash', delay: 'delay' };

/** A failpoint function for the value of `MOORED_FAILPOINTS`; throws on a text that is not of the grammar. */
export function makeFailpoint(text: string | undefined, crash: () => void = killSelf): Failpoint {
  if (text === undefined || text === '') return () => undefined;
  const points = parse(text);
  return (name) => {
    const term = points.get(name)?.find((candidate) => candidate.remaining > 0);
    if (term === undefined) return undefined;
    term.remaining -= 1;
    return act(term, name, crash);
  };
}

/** The process's own failpoints, from its environment. */
export const failpoint: Failpoint = makeFailpoint(process.env['MOORED_FAILPOINTS']);

function parse(text: string): Failpoints {
  const points = new Map<string, Term[]>();
  for (const entry of text.split(/[,;]/).filter((part) => part.trim() !== '')) {
    const [name, terms] = split(entry, '=');
    if (name === '' || terms === undefined) throw new Error(`invalid failpoint: ${entry}`);
    points.set(name, terms.split('->').map((term) => parseTerm(term.trim(), entry)));
  }
  return points;
}

function parseTerm(text: string, entry: string): Term {
  const match = TERM.exec(text);
  const action = match?.[2];
  if (match === null || action === undefined) throw new Error(`invalid failpoint: ${entry}: ${text}`);
  const remaining = match[1] === undefined ? Number.POSITIVE_INFINITY : Number(match[1]);
  const argument = match[3] ?? '';
  if (action === 'delay' && !/^\d+$/.test(argument)) throw new Error(`invalid failpoint: ${entry}: delay needs milliseconds`);
  return { remaining, action: ACTIONS[action] ?? 'off', argument };
}

async function act(term: Term, name: string, crash: () => void): Promise<void> {
  switch (term.action) {
    case 'off':
      return;
    case 'error':
      throw new Error(term.argument === '' ? `failpoint ${name}` : term.argument);
    case 'delay':
      await sleep(Number(term.argument));
      return;
    case 'crash':
      crash();
  }
}

function killSelf(): void {
  process.kill(process.pid, 'SIGKILL');
}

function split(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text.trim(), undefined] : [text.slice(0, at).trim(), text.slice(at + 1)];
}
