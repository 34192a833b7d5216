/** Threads that work on files: see `worker/`. */
import { Threads } from '../sys/threads.ts';
import type { Jobs } from './worker/protocol.ts';

export type FileThreads = Threads<Jobs>;

/** At most `limit` at a time. */
export const fileThreads = (limit: number): FileThreads => new Threads<Jobs>(new URL('./worker/main.ts', import.meta.url), limit);
