/** From flags and file to a configuration, at start and at reload. Pure: reading the file is the caller's. */
import { isDeepStrictEqual } from 'node:util';
import { invalid, messageOf } from '../../base/errors.ts';
import { dictionary } from '../../base/json.ts';
import { parseFile, refuseConflicts } from './file.ts';
import type { FileValues } from './file.ts';
import { optionList, withDefaults } from './table.ts';
import type { Config, OptionName, OptionStatus, Values } from './table.ts';
import { validate } from './validate.ts';

export interface ConfigSource {
  /** From the command line; they hold for the life of the process. */
  readonly flags: Values;
  /** The file's name for messages, and what it holds; bytes are undefined if there is none (it need not exist by default). */
  readonly file: { readonly path: string; readonly bytes: Uint8Array | undefined };
}

/** The configuration to start with; throws `invalid` in dockerd's words. */
export function configure(source: ConfigSource): Config {
  if (source.file.bytes === undefined) return valid(merge(source, NO_FILE));
  return inContext(unable(source), () => {
    const merged = merge(source, readFile(source));
    return inContext('merged configuration validation from file and command line flags failed', () => valid(merged));
  });
}

export interface Reloaded {
  /** What holds from now on: the old one, with what a reload can apply. */
  readonly config: Config;
  /** Options that changed and were applied. */
  readonly changed: readonly OptionName[];
  /** Options that the file now has otherwise, and that wait for a restart. */
  readonly pending: readonly OptionName[];
}

/** The configuration after a reload. A key that is gone has its default again. Throws, and then nothing has changed. */
export function reload(current: Config, source: ConfigSource): Reloaded {
  const merged = inContext(unable(source), () => merge(source, readFile(source)));
  const wanted = inContext('file configuration validation failed', () => valid(merged));
  const differing = optionList.filter(([name]) => !isDeepStrictEqual(current[name], wanted[name]));
  const changed = differing.filter(([, option]) => option.reload).map(([name]) => name);
  const pending = differing.filter(([, option]) => !option.reload).map(([name]) => name);
  const applied = Object.fromEntries(changed.map((name) => [name, wanted[name]])) as Partial<Config>;
  return { config: { ...current, ...applied }, changed, pending };
}

/** Options that are set and not honoured, for the start's log. */
export function notices(config: Config): readonly { readonly key: string; readonly status: OptionStatus }[] {
  return optionList
    .filter(([name, option]) => option.status !== 'honoured' && !isDeepStrictEqual(config[name], option.initial))
    .map(([, option]) => ({ key: option.key?.join('.') ?? option.flag ?? '', status: option.status }));
}

const NO_FILE: FileValues = { values: new Map(), document: new Map() };

const unable = ({ file }: ConfigSource): string => `unable to configure the Docker daemon with file ${file.path}`;

function readFile({ flags, file }: ConfigSource): FileValues {
  if (file.bytes === undefined) return NO_FILE;
  const parsed = parseFile(file.bytes);
  refuseConflicts(flags, parsed);
  return parsed;
}

function inContext<T>(context: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw invalid(`${context}: ${messageOf(error)}`, error);
  }
}

function valid(config: Config): Config {
  validate(config);
  return config;
}

function merge({ flags }: ConfigSource, file: FileValues): Config {
  const values = new Map([...flags, ...file.values]);
  for (const [name, option] of optionList) {
    if (option.mergeable === true && flags.has(name) && file.values.has(name)) {
      values.set(name, Object.assign(dictionary(), flags.get(name), file.values.get(name)));
    }
  }
  return normalised(values);
}

/** What follows from options together: old names, implications. */
function normalised(values: Values): Config {
  const config = withDefaults(values);
  // With both names set the check that refuses this must still see them.
  const oldGateway = config.hostGatewayIp !== '' && config.hostGatewayIps.length === 0;
  return {
    ...config,
    hostGatewayIps: oldGateway ? [config.hostGatewayIp] : config.hostGatewayIps,
    hostGatewayIp: oldGateway ? '' : config.hostGatewayIp,
    // Whoever says anything about verifying clients wants TLS, as dockerd has it.
    tls: config.tls || values.has('tlsverify'),
    hosts: config.hosts.length === 0 ? [''] : config.hosts,
  };
}
