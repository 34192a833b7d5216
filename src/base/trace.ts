/**
 * Steps of operations with their times, for `moored trace`. While nobody traces a step costs a comparison; the steps of the
 * daemon's start are few and always kept.
 */

/** One step: milliseconds since the process began. */
export interface Step {
  /** What it was done for: a container's id, `start`. */
  readonly subject: string;
  readonly step: string;
  readonly fromMs: number;
  readonly toMs: number;
}

const MAX_START_STEPS = 100;
const listeners = new Set<(step: Step) => void>();
const start: Step[] = [];
let last = 0;

/** Notes that a step of the start has just ended; it began where the one before it ended. */
export function startStep(step: string): void {
  const now = performance.now();
  if (start.length < MAX_START_STEPS) start.push({ subject: 'start', step, fromMs: last, toMs: now });
  last = now;
}

/** The steps of the daemon's start so far. */
export const startSteps = (): readonly Step[] => start;

/** Does the work as a step, whether it succeeds or not. */
export async function traced<T>(subject: string, step: string, work: () => Promise<T>): Promise<T> {
  if (listeners.size === 0) return work();
  const fromMs = performance.now();
  try {
    return await work();
  } finally {
    const toMs = performance.now();
    for (const listener of listeners) listener({ subject, step, fromMs, toMs });
  }
}

/** Gives every step from now on to the listener, until it is disposed. */
export function listen(listener: (step: Step) => void): Disposable {
  listeners.add(listener);
  return { [Symbol.dispose]: () => void listeners.delete(listener) };
}
