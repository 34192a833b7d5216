/** What is measured: a measurement does some work on an engine and gives samples for its rows. */
import type { Engine } from './engine.ts';
import type { Take } from './statistics.ts';

/**
 * What a row has to reach. `ratio-at-most` and `ratio-at-least` compare moored's figure, divided by dockerd's, with the value;
 * `at-most` compares moored's figure itself.
 */
export interface Goal {
  readonly kind: 'ratio-at-most' | 'ratio-at-least' | 'at-most';
  readonly value: number;
}

export type Unit = 'ms' | 's' | 'MB' | 'MB/s' | 'CPU-s/GB' | '1/s' | 'probes';

export interface Row {
  /** Names the row in results.json and on the command line's output: `run.bridge`. */
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  readonly goal?: Goal;
  /** Default: median. */
  readonly take?: Take;
  /** The samples' name, where two rows are taken from the same ones. Default: the id. */
  readonly series?: string;
  /** The row is the point at `x` of a curve, which is drawn. */
  readonly curve?: { readonly name: string; readonly x: number };
}

export interface Sizes {
  /** Repetitions of what is short; long work takes fewer, by `few`. */
  readonly rounds: number;
  /** Repetitions of what takes seconds: a quarter of `rounds`, at least 1. */
  readonly few: number;
  /** `count` containers, or fewer when the benchmark is only tried out. */
  readonly fleet: (count: number) => number;
  /** `count` megabytes (or files, or tenths of a second), or a twentieth when the benchmark is only tried out. */
  readonly data: (count: number) => number;
}

export interface Sampler extends Sizes {
  /** A sample of a row (or of its series). */
  readonly record: (id: string, ...values: readonly number[]) => void;
  /** The engine cannot do what the row is about: it is left out for this engine, with the reason. */
  readonly unable: (id: string, reason: string) => void;
}

export interface Measurement {
  /** For `--only`. */
  readonly name: string;
  readonly about: string;
  /** Not part of a run without `--only`. */
  readonly large?: boolean;
  /** How often the work is done on each engine, in turn (A B B A). Default 1. */
  readonly passes?: number;
  /** What one pass on one engine may take; then it is broken off. */
  readonly minutes: number;
  readonly rows: readonly Row[];
  /** One pass on one engine, which is fresh at the first pass and holds no container at any. */
  measure(engine: Engine, sampler: Sampler): Promise<void>;
}

/** How an engine answers when it has no such thing. */
export const CANNOT = /not (supported|implemented)|page not found|does not (build|push)/i;

export const ratioAtMost = (value: number): { readonly goal: Goal } => ({ goal: { kind: 'ratio-at-most', value } });
export const ratioAtLeast = (value: number): { readonly goal: Goal } => ({ goal: { kind: 'ratio-at-least', value } });
export const atMost = (value: number): { readonly goal: Goal } => ({ goal: { kind: 'at-most', value } });
