/** Progress of pull, push, load and import as Docker's clients read it (engine-api A7). */
import type { Progress } from '../core/ports/images.ts';

const BAR = 50;
const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** One object of the stream. `progressDetail` must stand on layer lines even if empty: terminals redraw by it. */
export function progressView(progress: Progress): Record<string, unknown> {
  switch (progress.kind) {
    case 'stream': return { stream: progress.text };
    case 'aux': return { progressDetail: {}, aux: progress.value };
    case 'status': {
      const { status, id, progress: count, layer } = progress;
      return {
        status,
        ...(count === undefined ? (layer === true ? { progressDetail: {} } : {}) : { progressDetail: count, progress: progressBar(count) }),
        ...(id === undefined ? {} : { id }),
      };
    }
  }
}

/** `[==>      ]  1.2MB/3.4MB`, as clients that draw nothing themselves print it. */
export function progressBar({ current, total }: { readonly current: number; readonly total: number }): string {
  const now = humanSize(current).padStart(8);
  if (total <= 0) return now;
  const filled = Math.min(Math.floor(Math.floor((current / total) * 100) / 2), BAR);
  const bar = `[${'='.repeat(filled)}>${' '.repeat(BAR - filled)}] `;
  return bar + (current > total ? now : `${now}/${humanSize(total)}`);
}

/** Go-units' HumanSize: decimal, four significant digits. */
export function humanSize(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${Number(value.toPrecision(4))}${UNITS[unit]}`;
}
