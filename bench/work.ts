/** Small helpers of measurements: timing, repeating, doing several things at a time. */

/** Milliseconds that `body` takes. */
export async function timed(body: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await body();
  return performance.now() - began;
}

/** Calls `body` with 0 … count − 1, one after another. */
export async function repeat(count: number, body: (index: number) => Promise<unknown>): Promise<void> {
  for (let index = 0; index < count; index += 1) await body(index);
}

/** Calls `body` for each item, `width` at a time. The first failure ends it, after what is running. */
export async function inParallel<T>(width: number, items: readonly T[], body: (item: T, index: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  let failed = false;
  const worker = async (): Promise<void> => {
    while (next < items.length && !failed) {
      const index = next;
      next += 1;
      try {
        await body(items[index] as T, index);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const outcomes = await Promise.allSettled(Array.from({ length: width }, worker));
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
}

/** 0 … count − 1. */
export const upTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
