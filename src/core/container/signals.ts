/** Signal names as Docker takes them (`SIGTERM`, `term`, `15`, `RTMIN+3`); numbers of Linux on x86-64 and arm64. */
import { invalid } from '../../base/errors.ts';

const NAMES = [
  'HUP', 'INT', 'QUIT', 'ILL', 'TRAP', 'ABRT', 'BUS', 'FPE', 'KILL', 'USR1', 'SEGV', 'USR2', 'PIPE', 'ALRM', 'TERM', 'STKFLT', 'CHLD', 'CONT', 'STOP',
  'TSTP', 'TTIN', 'TTOU', 'URG', 'XCPU', 'XFSZ', 'VTALRM', 'PROF', 'WINCH', 'IO', 'PWR', 'SYS',
] as const;

const NUMBERS = new Map<string, number>([
  ...NAMES.map((name, index): [string, number] => [name, index + 1]),
  ['CLD', 17], ['IOT', 6], ['POLL', 29], ['RTMIN', 34], ['RTMAX', 64],
]);

export const SIGKILL = 9;
export const SIGTERM = 15;

/** The number of a signal; 400 `invalid signal: x` for anything else. */
export function parseSignal(text: string): number {
  if (/^\d+$/.test(text)) {
    const number = Number(text);
    if (number >= 1 && number <= 64) return number;
    throw invalid(`invalid signal: ${text}`);
  }
  const name = text.toUpperCase().replace(/^SIG/, '');
  const known = NUMBERS.get(name);
  if (known !== undefined) return known;
  const realTime = /^RT(MIN|MAX)([+-])(\d{1,2})$/.exec(name);
  if (realTime !== null) {
    const base = realTime[1] === 'MIN' ? 34 : 64;
    const number = realTime[2] === '+' ? base + Number(realTime[3]) : base - Number(realTime[3]);
    if (number >= 34 && number <= 64) return number;
  }
  throw invalid(`invalid signal: ${text}`);
}
