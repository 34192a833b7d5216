/** Threads that work on files: see `worker/`. */
import { Threads } from '../sys/threads.ts';
import type { Jobs } from './worker/protocol.ts';

export type FileThreads = Threads<Jobs>;

/** At most `limit` at a time. A release's threads have a bundle of their own. */
export const fileThreads = (limit: number): FileThreads => new Threads<Jobs>(new URL(import.meta.filename.endsWith('.ts') ? './worker/main.ts' : './worker.js', import.meta.url), limit);
