/** The event journal (docs/shim-contract.md section 8): lines `SEQ TIME KIND pairs`, in files and from `watch`. */
import type { Journal, JournalEntry, JournalFact } from '../core/ports/shim.ts';
import { DamagedError, decodePairs, toBigint } from './codec.ts';
import type { Fields } from './codec.ts';
import { HEALTH_STATES, exitCodeOf } from './status.ts';

const DECODERS: Readonly<Record<string, (fields: Fields) => JournalFact>> = {
  start: (f) => ({ kind: 'start', run: f.integer('run'), pid: f.integer('pid') }),
  die: (f) => ({
    kind: 'die',
    run: f.integer('run'),
    exitCode: exitCodeOf(f.integer('exit-code', -1)),
    exitSignal: f.integer('exit-signal'),
    oom: f.boolean('oom'),
    startedAt: f.bigint('started-at'),
    finishedAt: f.bigint('finished-at'),
    restarting: f.boolean('restarting'),
    delayMs: f.integer('delay-ms'),
    hostDown: f.boolean('host-down'),
  }),
  oom: (f) => ({ kind: 'oom', run: f.integer('run') }),
  'restart-failed': (f) => ({ kind: 'restart-failed', run: f.integer('run'), error: f.text('error') }),
  health: (f) => ({ kind: 'health', status: f.oneOf('status', HEALTH_STATES, 'none') }),
  'exec-create': (f) => ({ kind: 'exec-create', exec: f.text('exec'), command: f.text('command') }),
  'exec-start': (f) => ({ kind: 'exec-start', exec: f.text('exec') }),
  'exec-die': (f) => ({ kind: 'exec-die', exec: f.text('exec'), exitCode: exitCodeOf(f.integer('exit-code', -1)) }),
  'log-dropped': (f) => ({ kind: 'log-dropped', count: f.bigint('count') }),
  'stop-requested': () => ({ kind: 'stop-requested' }),
  kill: (f) => ({ kind: 'kill', signal: f.integer('signal') }),
  end: () => ({ kind: 'end' }),
};

/** One line without its newline; undefined if it is damaged. A kind that a newer shim invented is kept as `other`. */
export function parseEntry(line: string): JournalEntry | undefined {
  try {
    const [seq = '', time = '', name = '', ...pairs] = line.split(' ');
    if (!/^[a-z0-9-]+$/.test(name)) return undefined;
    const fields = decodePairs(pairs);
    const decode = Object.hasOwn(DECODERS, name) ? DECODERS[name] : undefined;
    const fact: JournalFact = decode === undefined ? { kind: 'other', name } : decode(fields);
    return { ...fact, seq: toBigint(seq), time: toBigint(time) };
  } catch (error) {
    if (error instanceof DamagedError) return undefined;
    throw error;
  }
}

/**
 * The entries after `since` from the journal's files, the oldest file first. An entry that stands in two of them (the
 * journal was rotated while it was read) is given once; a last line without its newline is still being written.
 */
export function parseJournal(files: readonly Buffer[], since: bigint): Journal {
  const entries: JournalEntry[] = [];
  let damaged = 0;
  let last = 0n;
  let first: bigint | undefined;
  for (const file of files) {
    const lines = file.toString('utf8').split('\n');
    for (const line of lines.slice(0, -1)) {
      const entry = parseEntry(line);
      if (entry === undefined) damaged++;
      else if (entry.seq > last) {
        last = entry.seq;
        first ??= entry.seq;
        if (entry.seq > since) entries.push(entry);
      }
    }
  }
  return { entries, damaged, gap: first !== undefined && first > since + 1n };
}
