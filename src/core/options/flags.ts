/** Command-line flags as pflag reads them: `--opt value`, `--opt=value`, `-H value`, `-Hvalue`, `-D`, `--debug=false`, `--`. */
import { MooredError, invalid, messageOf } from '../../base/errors.ts';
import { cut } from './kinds.ts';
import { optionList } from './table.ts';
import type { Option, OptionName, Values } from './table.ts';

export interface CommandLine {
  readonly values: Values;
  readonly help: boolean;
  readonly version: boolean;
}

type Named = readonly [OptionName, Option<unknown>];

const byFlag = new Map<string, Named>();
const byShort = new Map<string, Named>();
for (const entry of optionList) {
  if (entry[1].flag !== undefined) byFlag.set(entry[1].flag, entry);
  if (entry[1].short !== undefined) byShort.set(entry[1].short, entry);
}

/** Reads the arguments; throws `invalid` with pflag's words and the hint to `--help`. */
export function parseCommandLine(args: readonly string[]): CommandLine {
  const values = new Map<OptionName, unknown>();
  const queue = [...args];
  let help = false;
  let version = false;
  for (let arg = queue.shift(); arg !== undefined; arg = queue.shift()) {
    if (arg === '--') {
      refuseArguments(queue);
      break;
    }
    if (arg === '--help' || arg === '-h') help = true;
    else if (arg === '--version' || arg === '-v') version = true;
    else if (arg.startsWith('--')) readLong(arg, queue, values);
    else if (arg.startsWith('-') && arg !== '-') readShorts(arg, queue, values);
    else refuseArguments([arg]);
  }
  return { values, help, version };
}

function readLong(arg: string, queue: string[], values: Map<OptionName, unknown>): void {
  const [name, inline] = cut(arg.slice(2), '=');
  if (name === '' || name.startsWith('-')) throw withHint(`bad flag syntax: ${arg}`);
  const entry = byFlag.get(name);
  if (entry === undefined) throw withHint(`unknown flag: --${name}`);
  const value = inline ?? (entry[1].kind.isSwitch ? 'true' : queue.shift());
  if (value === undefined) throw withHint(`flag needs an argument: --${name}`);
  set(entry, value, values);
}

function readShorts(arg: string, queue: string[], values: Map<OptionName, unknown>): void {
  for (let rest = arg.slice(1); rest !== ''; ) {
    const letter = rest.charAt(0);
    const entry = byShort.get(letter);
    if (entry === undefined) throw withHint(`unknown shorthand flag: '${letter}' in ${arg}`);
    rest = rest.slice(1);
    if (entry[1].kind.isSwitch && !rest.startsWith('=')) {
      set(entry, 'true', values);
      continue;
    }
    const value = rest === '' ? queue.shift() : rest.replace(/^=/, '');
    if (value === undefined) throw withHint(`flag needs an argument: '${letter}' in ${arg}`);
    set(entry, value, values);
    return;
  }
}

function set([name, option]: Named, text: string, values: Map<OptionName, unknown>): void {
  try {
    values.set(name, option.kind.fromText(text, values.get(name)));
  } catch (error) {
    if (!(error instanceof MooredError)) throw error;
    const flag = option.short === undefined ? `--${option.flag}` : `-${option.short}, --${option.flag}`;
    throw withHint(`invalid argument ${JSON.stringify(text)} for "${flag}" flag: ${messageOf(error)}`);
  }
}

function refuseArguments(args: readonly string[]): void {
  if (args.length === 0) return;
  throw invalid(`"moored" accepts no arguments.\nSee 'moored --help'.\n\nUsage:  moored [OPTIONS]`);
}

const withHint = (message: string): Error => invalid(`${message}\nSee 'moored --help'.`);
