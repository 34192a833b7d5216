/** The files `status` and `health` (docs/shim-contract.md section 6): what a shim says about now. */
import type { ExitCode, HealthProbe, Read, ShimHealth, ShimStatus } from '../core/ports/shim.ts';
import { DamagedError, parseRecord, toBigint, toInteger } from './codec.ts';
import type { Fields } from './codec.ts';

export const HEALTH_STATES: readonly ShimHealth[] = ['none', 'starting', 'healthy', 'unhealthy'];

/** −1 on the wire is an exit that nobody saw. */
export const exitCodeOf = (code: number): ExitCode => (code < 0 ? 'unknown' : code);

/** Also the pairs that the verb `state` answers. Throws DamagedError. */
export function decodeStatus(fields: Fields): ShimStatus {
  return {
    state: fields.oneOf('state', ['created', 'running', 'restarting', 'exited'], 'created'),
    shimPid: fields.integer('shim-pid'),
    shimVersion: fields.text('shim-version'),
    contract: fields.text('contract'),
    pid: fields.integer('pid'),
    pidStart: fields.bigint('pid-start'),
    bootId: fields.text('boot-id'),
    run: fields.integer('run'),
    restartCount: fields.integer('restart-count'),
    startedAt: fields.bigint('started-at'),
    finishedAt: fields.bigint('finished-at'),
    exitCode: exitCodeOf(fields.integer('exit-code')),
    exitSignal: fields.integer('exit-signal'),
    oom: fields.boolean('oom'),
    health: fields.oneOf('health', HEALTH_STATES, 'none'),
    healthStreak: fields.integer('health-streak'),
    journalSeq: fields.bigint('journal-seq'),
    pipeSize: fields.integer('pipe-size'),
    logDropped: fields.bigint('log-dropped'),
    nextRestartAt: fields.bigint('next-restart-at'),
    error: fields.text('error'),
    stopping: fields.boolean('stopping'),
  };
}

export const parseStatus = (bytes: Buffer): Read<ShimStatus> => parseRecord('status', bytes, decodeStatus);

export const parseHealth = (bytes: Buffer): Read<readonly HealthProbe[]> =>
  parseRecord('health', bytes, (fields) => fields.all('probe').map(decodeProbe));

function decodeProbe(words: readonly string[]): HealthProbe {
  const [start, end, exitCode, output] = words;
  if (start === undefined || end === undefined || exitCode === undefined) throw new DamagedError('probe has too few words');
  return { start: toBigint(start), end: toBigint(end), exitCode: toInteger(exitCode), output: output ?? '' };
}
