/** Which options count for a command beside the daemon: those given, the running daemon's, or its unit's. */
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { invalid, messageOf } from '../base/errors.ts';
import { configure } from '../core/options/configure.ts';
import { parseCommandLine } from '../core/options/flags.ts';
import { withDefaults } from '../core/options/table.ts';
import type { Config, Values } from '../core/options/table.ts';
import { holderOf } from '../doctor/collect.ts';
import type { Subject } from '../doctor/collect.ts';
import { unitFlags } from '../doctor/collectUnit.ts';
import { realPath } from '../sys/realPath.ts';
import { readSource } from './readSource.ts';
import { effectiveRoots } from './roots.ts';
import type { EffectiveRoots, Roots } from './roots.ts';

export interface FoundConfig {
  readonly config: Config;
  /** Why the configuration file cannot be used, or empty; then `config` has the defaults and the flags. */
  readonly error: string;
  readonly flagsOf: Subject['flagsOf'];
  /** The roots in use. */
  readonly roots: EffectiveRoots;
}

export async function findConfig(given: Values): Promise<FoundConfig> {
  const { flags, flagsOf } = await flagsFor(given);
  const { config, error } = tryConfigure(new Map([...flags, ...given]));
  return { config, error, flagsOf, roots: rootsOf({ dataRoot: tryRealPath(config.dataRoot), execRoot: config.execRoot }) };
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
