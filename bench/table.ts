/** Results as a table, in Markdown, which a terminal shows well enough. */
import type { Target } from '../test/fixtures/target.ts';
import { ratioOf, verdict } from './results.ts';
import type { Outcome, Result } from './results.ts';
import type { Goal } from './rows.ts';

/** Three digits that mean something. */
export function figure(value: number): string {
  if (value === 0 || Number.isNaN(value)) return String(value);
  return Math.abs(value) >= 100 ? value.toFixed(0) : String(Number(value.toPrecision(3)));
}

const GOALS: Readonly<Record<Goal['kind'], string>> = { 'ratio-at-most': '≤', 'ratio-at-least': '≥', 'at-most': 'moored ≤' };

function goalCell(result: Result): string {
  const { goal } = result;
  if (goal === undefined) return '';
  const met = verdict(result);
  return `${GOALS[goal.kind]} ${goal.value}${met === undefined ? '' : met ? ', met' : ', **not met**'}`;
}

function cell(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'measured':
      return figure(outcome.value);
    case 'unable':
      return 'left out';
    case 'failed':
      return 'failed';
  }
}

export function table(results: readonly Result[]): string {
  const rows = results.map((result) => {
    const ratio = ratioOf(result);
    return `| ${result.title}, ${result.unit} | ${cell(result.engines.dockerd)} | ${cell(result.engines.moored)} | ${ratio === undefined ? '' : figure(ratio)} | ${goalCell(result)} |`;
  });
  return ['| figure | dockerd 20.10 | moored | ratio | goal |', '|---|---:|---:|---:|---|', ...rows].join('\n');
}

/** A line for each row that an engine was left out of, or failed in. */
export function remarks(results: readonly Result[]): string[] {
  const seen = new Map<string, string[]>();
  for (const { title, engines } of results) {
    for (const engine of Object.keys(engines) as Target[]) {
      const outcome = engines[engine];
      if (outcome.kind === 'measured') continue;
      const reason = `${engine} ${outcome.kind === 'unable' ? 'is left out' : 'failed'}: ${outcome.reason.split('\n')[0]}`;
      seen.set(reason, [...(seen.get(reason) ?? []), title]);
    }
  }
  return [...seen].map(([reason, titles]) => `${titles.join('; ')}: ${reason}.`);
}
