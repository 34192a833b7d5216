/**
 * `moored shim-upgrade`: the shims of running containers go on as this release's shim. It talks to the shims themselves:
 * a daemon is not needed, and one that runs does not notice.
 */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { errnoOf, invalid, messageOf, MooredError } from '../base/errors.ts';
import { mapLimit } from '../base/mutex.ts';
import { shortId } from '../base/ids.ts';
import { parseCommandLine } from '../core/options/flags.ts';
import { collectContainers } from '../doctor/collectContainers.ts';
import type { ContainerFacts } from '../doctor/facts.ts';
import { createShims } from '../shims/shims.ts';
import { upgradeShim } from '../shims/upgrade.ts';
import type { ShimVersion } from '../shims/upgrade.ts';
import { findConfig } from './foundConfig.ts';
import { shimPath } from './shimPath.ts';

const HELP = `Usage:  moored shim-upgrade CONTAINER... | --all [OPTIONS]

Lets the shims of running containers, and of their exec sessions, go on as this release's shim, in place: no process, no
connection and no line of a log notices. Needs no daemon. A shim that cannot be replaced goes on as it was.
Options are the daemon's (--data-root, --exec-root, --config-file, ...); those that are not given are taken from the
running daemon, or from its unit.

Exit codes: 0 all of them are this release's now, 1 one is not (it is said why), 2 nothing was done.
`;

const EXIT_CODES = { all: 0, some: 1, nothing: 2 } as const;
const AT_ONCE = 4;

/** Upgrades, says per shim from which version to which, and gives the exit code. */
export async function shimUpgrade(args: readonly string[]): Promise<number> {
  // A reader that goes away ends nothing but its own reading.
  process.stdout.on('error', () => {});
  try {
    const end = args.findIndex((arg) => arg.startsWith('-') && arg !== '--all');
    const wanted = end === -1 ? args : args.slice(0, end);
    const { values, help } = parseCommandLine(end === -1 ? [] : args.slice(end).filter((arg) => arg !== '--all'));
    if (help) {
      process.stdout.write(HELP);
      return EXIT_CODES.all;
    }
    const all = args.includes('--all');
    const names = wanted.filter((name) => name !== '--all');
    if (all === names.length > 0) throw invalid('moored shim-upgrade requires the names of containers, or --all');
    const { roots } = await findConfig(values);
    const binary = shimPath();
    const { containers, listError } = await collectContainers(roots, createShims({ shim: binary }));
    if (listError !== '') throw invalid(`cannot read which containers there are: ${listError}`);
    const shims = await shimsOf(all ? containers.filter(({ shim }) => shim !== 'gone') : names.map((name) => named(containers, name)), roots.execRoot);
    const results = await mapLimit(shims, AT_ONCE, (shim) => upgradeOne(shim, binary));
    process.stdout.write(results.map(({ line }) => line).join(''));
    return results.every(({ good }) => good) ? EXIT_CODES.all : EXIT_CODES.some;
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n`);
    return EXIT_CODES.nothing;
  }
}

/** By name, id or a beginning of an id that is nobody else's, as the API finds it. */
function named(containers: readonly ContainerFacts[], name: string): ContainerFacts {
  const byName = containers.find((container) => container.name === name || container.id === name);
  const beginning = containers.filter(({ id }) => id.startsWith(name));
  const found = byName ?? (beginning.length === 1 ? beginning[0] : undefined);
  if (found !== undefined) return found;
  throw invalid(beginning.length > 1 ? `Multiple IDs found with provided prefix: ${name}` : `No such container: ${name}`);
}

interface Shim {
  readonly label: string;
  readonly dir: string;
  /** It may end at any time, and that is no failure. */
  readonly isSession: boolean;
}

/** Of each container its own shim and those of its exec sessions. */
async function shimsOf(containers: readonly ContainerFacts[], execRoot: string): Promise<Shim[]> {
  const found = await mapLimit(containers, AT_ONCE, async ({ id, name }) => {
    const dir = path.join(execRoot, 'containers', id);
    const label = name === '' ? shortId(id) : name;
    const sessions = await sessionsBelow(path.join(dir, 'execs'));
    return [{ label, dir, isSession: false }, ...sessions.map((session) => ({ label: `${label}, exec session ${shortId(path.basename(session))}`, dir: session, isSession: true }))];
  });
  return found.flat();
}

async function sessionsBelow(folder: string): Promise<string[]> {
  try {
    return (await readdir(folder)).map((name) => path.join(folder, name));
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

const shown = ({ version, contract }: ShimVersion): string => `${version} (contract ${contract})`;

async function upgradeOne({ label, dir, isSession }: Shim, binary: string): Promise<{ line: string; good: boolean }> {
  try {
    const { from, to } = await upgradeShim(dir, binary);
    return { line: `${label}: ${shown(from)} -> ${shown(to)}\n`, good: true };
  } catch (error) {
    if (isSession && error instanceof MooredError && error.kind === 'not-found') return { line: '', good: true };
    return { line: `${label}: ${messageOf(error)}\n`, good: false };
  }
}
