/** Steps with their times, for people: in order of their beginning, what lies within another step below it and further in. */
import type { Step } from '../base/trace.ts';

/** One line per step: when it began (ms since the first), how long it took, whose it was, what. */
export function stepTable(steps: readonly Step[]): string {
  const sorted = steps.toSorted((a, b) => a.fromMs - b.fromMs || b.toMs - a.toMs);
  const [first] = sorted;
  if (first === undefined) return 'no steps were seen\n';
  const rows = ['     at ms   took ms', ...sorted.map((step, index) => {
    const depth = sorted.slice(0, index).filter((other) => other.subject === step.subject && contains(other, step)).length;
    return `${number(step.fromMs - first.fromMs)}${number(step.toMs - step.fromMs)}  ${shown(step.subject)}${'  '.repeat(depth)}${step.step}`;
  })];
  return `${rows.join('\n')}\n`;
}

const contains = (outer: Step, inner: Step): boolean => outer.fromMs <= inner.fromMs && outer.toMs >= inner.toMs;
const number = (ms: number): string => ms.toFixed(1).padStart(10);
const shown = (subject: string): string => (/^[0-9a-f]{64}$/.test(subject) ? `${subject.slice(0, 12)}  ` : subject === '' || subject === 'start' ? '' : `${subject}  `);
