/** The recorded results: their shape in results.json, merging, ratios and verdicts. */
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import type { Target } from '../test/fixtures/target.ts';
import type { Goal, Row, Unit } from './rows.ts';
import { median, percentile, take } from './statistics.ts';

/** One engine's part of a row: a figure, or the reason why there is none. */
export type Outcome =
  | { readonly kind: 'measured'; readonly value: number; readonly p50: number; readonly p99: number; readonly samples: number }
  | { readonly kind: 'unable'; readonly reason: string }
  | { readonly kind: 'failed'; readonly reason: string };

export interface Result {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  readonly goal?: Goal;
  readonly curve?: { readonly name: string; readonly x: number };
  /** ISO date and time of the measurement. */
  readonly date: string;
  readonly machine: string;
  /** The commit of moored that was measured. */
  readonly commit: string;
  readonly engines: Readonly<Record<Target, Outcome>>;
}

/** What a run as a whole has in common. */
export interface Circumstances {
  readonly date: string;
  readonly machine: string;
  readonly commit: string;
}

export function outcomeOf(row: Row, samples: readonly number[]): Outcome {
  if (samples.length === 0) return { kind: 'failed', reason: 'no sample' };
  return { kind: 'measured', value: rounded(take(row.take ?? 'median', samples)), p50: rounded(median(samples)), p99: rounded(percentile(samples, 0.99)), samples: samples.length };
}

export function resultOf(row: Row, circumstances: Circumstances, engines: Result['engines']): Result {
  const { id, title, unit, goal, curve } = row;
  return { id, title, unit, ...(goal === undefined ? {} : { goal }), ...(curve === undefined ? {} : { curve }), ...circumstances, engines };
}

export const valueOf = (result: Result, engine: Target): number | undefined => {
  const outcome = result.engines[engine];
  return outcome.kind === 'measured' ? outcome.value : undefined;
};

/** moored's figure divided by dockerd's, where both have one and it says something. */
export function ratioOf(result: Result): number | undefined {
  const own = valueOf(result, 'moored');
  const reference = valueOf(result, 'dockerd');
  return own === undefined || reference === undefined || reference === 0 ? undefined : own / reference;
}

/** Whether the goal is met; undefined where there is no goal or nothing to compare. */
export function verdict(result: Result): boolean | undefined {
  const { goal } = result;
  if (goal === undefined) return undefined;
  const figure = goal.kind === 'at-most' ? valueOf(result, 'moored') : ratioOf(result);
  if (figure === undefined) return undefined;
  return goal.kind === 'ratio-at-least' ? figure >= goal.value : figure <= goal.value;
}

/** The recorded results with the new ones in their places; rows in the order of `order`, and those that it does not name dropped. */
export function merge(recorded: readonly Result[], measured: readonly Result[], order: readonly string[]): Result[] {
  const byId = new Map([...recorded, ...measured].map((result) => [result.id, result]));
  return order.flatMap((id) => byId.get(id) ?? []);
}

interface ResultsFile {
  readonly version: 1;
  readonly results: readonly Result[];
}

/** What is recorded; nothing where there is no file. A file of another version is refused. */
export function load(file: string): readonly Result[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const { version, results } = JSON.parse(text) as { version: number; results: readonly Result[] };
  if (version !== 1) throw new Error(`${file}: version ${version} is not known`);
  return results;
}

export function save(file: string, results: readonly Result[]): void {
  const content: ResultsFile = { version: 1, results };
  writeFileSync(`${file}.new`, `${JSON.stringify(content, undefined, 2)}\n`);
  renameSync(`${file}.new`, file);
}

/** Four digits are more than any figure here is good for. */
const rounded = (value: number): number => Number(value.toPrecision(4));
