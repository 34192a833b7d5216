/** The statistics of samples. All of them give NaN for no sample. */

/** The nearest-rank percentile: the smallest sample that at least `share` (0…1) of all do not exceed. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** The middle sample, or the mean of the two middle ones. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[sorted.length / 2 - 1] ?? Number.NaN) + upper) / 2;
}

export const sum = (samples: readonly number[]): number => samples.reduce((total, sample) => total + sample, 0);

/** How a row's one figure is taken from its samples. */
export type Take = 'median' | 'p99' | 'sum';

const TAKES: Readonly<Record<Take, (samples: readonly number[]) => number>> = {
  median,
  p99: (samples) => percentile(samples, 0.99),
  sum,
};

export const take = (how: Take, samples: readonly number[]): number => (samples.length === 0 ? Number.NaN : TAKES[how](samples));
