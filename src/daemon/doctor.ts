/** `moored doctor`: which options count, and what only the composition root knows; the examination is `src/doctor/`. */
import { messageOf } from '../base/errors.ts';
import { parseCommandLine } from '../core/options/flags.ts';
import type { Values } from '../core/options/table.ts';
import type { Subject } from '../doctor/collect.ts';
import { examine } from '../doctor/doctor.ts';
import { EXIT_CODES } from '../doctor/finding.ts';
import { findConfig } from './foundConfig.ts';
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
  const { config, error, flagsOf, roots: { dataRoot, execRoot, pending } } = await findConfig(given);
  return {
    config: { ...config, dataRoot, execRoot },
    configError: error,
    flagsOf,
    shimPath: foundShim(),
    netConfig: netConfig(config),
    pendingRoots: pending,
  };
}

function foundShim(): string {
  try {
    return shimPath();
  } catch {
    return '';
  }
}
