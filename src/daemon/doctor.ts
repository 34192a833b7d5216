/** `moored doctor`: which options count, and what only the composition root knows; the examination is `src/doctor/`. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { invalid, messageOf } from '../base/errors.ts';
import { configure } from '../core/options/configure.ts';
import { parseCommandLine } from '../core/options/flags.ts';
import { withDefaults } from '../core/options/table.ts';
import type { Config, Values } from '../core/options/table.ts';
import { holderOf } from '../doctor/collect.ts';
import { unitFlags } from '../doctor/collectUnit.ts';
import type { Subject } from '../doctor/collect.ts';
import { examine } from '../doctor/doctor.ts';
import { EXIT_CODES } from '../doctor/finding.ts';
import { realPath } from '../sys/realPath.ts';
import { readSource } from './readSource.ts';
import { effectiveRoots } from './roots.ts';
import type { EffectiveRoots, Roots } from './roots.ts';
import { netConfig } from './settings.ts';
import { shimPath } from './shimPath.ts';

const HELP = `Usage:  moored doctor [--json] [OPTIONS]

Says whether live restore will hold on this host, and why not; also while no daemon runs. It changes nothing.
Options are the daemon's (--data-root, --exec-root, --config-file, ...); those that are not given are taken from the
running daemon, or from its unit.

Exit codes: 0 it holds, 1 something will not hold, 2 it cannot be told.
`;

/** Runs the doctor and gives the exit code. */
export async function doctor(args: readonly string[]): Promise<number> {
  // A reader that goes away ends nothing but its own reading.
  process.stdout.on('error', () => {});
  const json = args.includes('--json');
  try {
    const { values, help } = parseCommandLine(args.filter((arg) => arg !== '--json'));
    if (help) {
      process.stdout.write(HELP);
      return 0;
    }
    const { text, exitCode } = await examine(await subjectOf(values), json ? 'json' : 'text');
    process.stdout.write(text);
    return exitCode;
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return EXIT_CODES.unknown;
  }
}

async function subjectOf(given: Values): Promise<Subject> {
  const { flags, flagsOf } = await flagsFor(given);
  const { config, error } = tryConfigure(new Map([...flags, ...given]));
  const { dataRoot, execRoot, pending } = rootsOf({ dataRoot: tryRealPath(config.dataRoot), execRoot: config.execRoot });
  return {
    config: { ...config, dataRoot, execRoot },
    configError: error,
    flagsOf,
    shimPath: foundShim(),
    netConfig: netConfig(config),
    pendingRoots: pending,
  };
}

/** The flags of the daemon that holds the data root; without one those of the unit. */
async function flagsFor(given: Values): Promise<{ flags: Values; flagsOf: Subject['flagsOf'] }> {
  const pid = holderOf(tryRealPath(tryConfigure(given).config.dataRoot));
  const running = pid > 0 ? readFlags(daemonArguments(pid)) : undefined;
  if (running !== undefined) return { flags: running, flagsOf: 'daemon' };
  // Whoever names a root means another engine than the installed one.
  const unit = given.has('dataRoot') || given.has('configFile') ? undefined : readFlags(await unitFlags());
  return unit === undefined ? { flags: new Map(), flagsOf: 'arguments' } : { flags: unit, flagsOf: 'unit' };
}

/** What follows the program on a daemon's command line. */
function daemonArguments(pid: number): string[] | undefined {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
    const program = words.findIndex((word) => /\/(?:main\.ts|moored\.js)$/.test(word));
    return program === -1 ? undefined : words.slice(program + 1);
  } catch {
    return undefined;
  }
}

/** Another release's flags may not all be known here. */
function readFlags(args: readonly string[] | undefined): Values | undefined {
  if (args === undefined) return undefined;
  try {
    return parseCommandLine(args).values;
  } catch {
    return undefined;
  }
}

/** A file that cannot be used is a finding; the flags count all the same. */
function tryConfigure(flags: Values): { config: Config; error: string } {
  try {
    return { config: configure(readSource({ values: flags })), error: '' };
  } catch (error) {
    return { config: withDefaults(flags), error: messageOf(error) };
  }
}

/** Without the right to look, the path as it was given. */
function tryRealPath(given: string): string {
  try {
    return realPath(given);
  } catch {
    return path.resolve(given);
  }
}

function rootsOf(roots: Roots): EffectiveRoots {
  try {
    return effectiveRoots(roots);
  } catch (error) {
    // Not ours to read: then nothing below it is either, and that is said.
    if (process.geteuid?.() !== 0) return { ...roots, execRoot: tryRealPath(roots.execRoot), pending: [], moved: false };
    throw invalid(`cannot read which roots are in use: ${messageOf(error)}`, error);
  }
}

function foundShim(): string {
  try {
    return shimPath();
  } catch {
    return '';
  }
}
