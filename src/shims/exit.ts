/** The exit record (docs/shim-contract.md section 7). */
import type { ExitRecord, Read } from '../core/ports/shim.ts';
import { parseRecord } from './codec.ts';
import { exitCodeOf } from './status.ts';

/** A file that is preallocated and not written yet counts as missing. */
export function parseExit(bytes: Buffer): Read<ExitRecord> {
  if (bytes.every((byte) => byte === 0 || byte === 0x0a)) return { kind: 'missing' };
  return parseRecord('exit', bytes, (fields) => ({
    run: fields.integer('run'),
    exitCode: exitCodeOf(fields.integer('exit-code', -1)),
    exitSignal: fields.integer('exit-signal'),
    oom: fields.boolean('oom'),
    startedAt: fields.bigint('started-at'),
    finishedAt: fields.bigint('finished-at'),
    restartCount: fields.integer('restart-count'),
    final: fields.boolean('final'),
  }));
}
