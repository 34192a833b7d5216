/** The configuration file, read for `configure` and `reload`. */
import { readFileSync } from 'node:fs';
import { errnoOf, invalid, messageOf } from '../base/errors.ts';
import type { ConfigSource } from '../core/options/configure.ts';
import type { CommandLine } from '../core/options/flags.ts';
import { OPTIONS } from '../core/options/table.ts';

/** The file need not exist where it is by default. */
export function readSource({ values }: Pick<CommandLine, 'values'>): ConfigSource {
  const given = values.get('configFile');
  const path = typeof given === 'string' ? given : OPTIONS.configFile.initial;
  try {
    return { flags: values, file: { path, bytes: path === '' ? undefined : readFileSync(path) } };
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' && given === undefined) return { flags: values, file: { path, bytes: undefined } };
    throw invalid(`unable to configure the Docker daemon with file ${path}: ${goMessage(error, path)}`, error);
  }
}

const goMessage = (error: unknown, path: string): string =>
  errnoOf(error) === 'ENOENT' ? `open ${path}: no such file or directory` : messageOf(error);
