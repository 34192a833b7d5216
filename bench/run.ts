/**
 * `make bench`: dockerd and moored beside each other, each in private roots, on a private socket and in a network namespace of
 * its own; the same work on both, in turn.
 *
 * - `--only a,b` only these measurements (default: all but the large ones); `--list` names them
 * - `--rounds N` repetitions of what is short (default 12); long work takes a quarter
 * - `--write` puts the measured rows among those recorded in bench/results.json, and docs/benchmarks.md is made anew
 * - `--report` only makes docs/benchmarks.md anew
 * - `--fleet N` at most N containers and a twentieth of the data: to try the benchmark itself out; never written
 */
import { existsSync, readFileSync } from 'node:fs';
import { cpus, totalmem } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { projectRoot } from '../test/fixtures/target.ts';
import { disposeAll } from './engine.ts';
import { carryOut } from './harness.ts';
import { MEASUREMENTS } from './measurements.ts';
import { writeReport } from './report.ts';
import { load, merge, save } from './results.ts';
import type { Circumstances, Result } from './results.ts';
import type { Measurement, Sizes } from './rows.ts';
import { remarks, table } from './table.ts';

const RESULTS = path.join(import.meta.dirname, 'results.json');
const { values } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '12' },
    fleet: { type: 'string' },
    write: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

function positive(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${name}: ${text} is not a positive whole number`);
  return value;
}

function chosen(only: string | undefined): readonly Measurement[] {
  if (only === undefined) return MEASUREMENTS.filter(({ large }) => large !== true);
  const names = only.split(',');
  for (const name of names) {
    if (!MEASUREMENTS.some((measurement) => measurement.name === name)) throw new Error(`--only: no measurement ${name}; there are ${MEASUREMENTS.map((one) => one.name).join(', ')}`);
  }
  return MEASUREMENTS.filter(({ name }) => names.includes(name));
}

function sizes(): Sizes {
  const rounds = positive('rounds', values.rounds);
  const limit = values.fleet === undefined ? undefined : positive('fleet', values.fleet);
  return {
    rounds,
    few: Math.max(1, Math.round(rounds / 4)),
    fleet: (count) => Math.min(count, limit ?? count),
    data: (count) => (limit === undefined ? count : Math.max(1, Math.round(count / 20))),
  };
}

/** What users run is measured: the release's program, which `make bench` has made. Gives the commit it was made of. */
function useRelease(): string {
  const { version } = JSON.parse(readFileSync(path.join(projectRoot, 'package.json'), 'utf8')) as { version: string };
  const program = process.env['MOORED_PROGRAM'] ?? path.join(projectRoot, `dist/moored-${version}-linux-x64/bin/moored`);
  if (!existsSync(program)) throw new Error(`${program} is not there: run make release, or make bench`);
  process.env['MOORED_PROGRAM'] = program;
  const { commit } = JSON.parse(readFileSync(path.join(path.dirname(program), '../package.json'), 'utf8')) as { commit?: string };
  return commit ?? 'a checkout';
}

function circumstances(commit: string): Circumstances {
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim();
  return {
    date: new Date().toISOString(),
    machine: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${kernel}`,
    commit,
  };
}

/** Ctrl-C and SIGTERM leave nothing behind. */
function cleanUpOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      console.log(`${signal}: removing the engines`);
      // What was under way fails meanwhile, which is of no interest any more.
      process.on('unhandledRejection', () => {});
      void disposeAll().finally(() => process.exit(130));
    });
  }
}

async function measureAll(measurements: readonly Measurement[], commit: string): Promise<Result[]> {
  const options = { sizes: sizes(), circumstances: circumstances(commit), say: (text: string) => console.log(text) };
  const results: Result[] = [];
  for (const measurement of measurements) {
    console.log(`${measurement.name}: ${measurement.about}`);
    const measured = await carryOut(measurement, options);
    results.push(...measured);
    console.log(table(measured));
    // After each one: a run that is broken off has not been in vain.
    if (values.write) save(RESULTS, merge(load(RESULTS), measured, MEASUREMENTS.flatMap(({ rows }) => rows.map(({ id }) => id))));
  }
  return results;
}

if (values.list) {
  for (const { name, about, large } of MEASUREMENTS) console.log(`${name.padEnd(14)} ${large === true ? '(only by --only) ' : ''}${about}`);
} else if (values.report) {
  writeReport(load(RESULTS), MEASUREMENTS);
} else {
  if (values.write && values.fleet !== undefined) throw new Error('--write: figures of a trial with --fleet are not written');
  const measurements = chosen(values.only);
  const commit = useRelease();
  cleanUpOnSignals();
  const results = await measureAll(measurements, commit);
  if (values.write) writeReport(load(RESULTS), MEASUREMENTS);
  console.log(`\n${table(results)}\n\n${remarks(results).join('\n')}`);
  const failed = results.some(({ engines }) => Object.values(engines).some(({ kind }) => kind === 'failed'));
  process.exitCode = failed ? 1 : 0;
}
