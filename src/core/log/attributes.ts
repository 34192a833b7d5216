/** What tells a container's messages apart: `labels`, `labels-regex`, `env`, `env-regex` and `tag`. */
import { expandTag } from './tag.ts';
import type { TagSubject } from './tag.ts';
import type { LogConfig } from './values.ts';

/** What a container's messages may say of it. */
export interface LogSubject extends TagSubject {
  labels: Readonly<Record<string, string>>;
  env: readonly string[];
  createdNs: bigint;
}

/** Labels and variables that the options choose, in Docker's order: what is found later counts. `rename` gives their names at a target. */
export function extraAttributes(config: LogConfig, subject: LogSubject, rename: (name: string) => string = (name) => name): Record<string, string> {
  const found = new Map<string, string>();
  const env = Object.fromEntries(subject.env.filter((entry) => entry.includes('=')).map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]));
  for (const [from, names, pattern] of [
    [subject.labels, config['labels'], config['labels-regex']],
    [env, config['env'], config['env-regex']],
  ] as const) {
    for (const name of (names ?? '').split(',')) {
      const value = name !== '' && Object.hasOwn(from, name) ? from[name] : undefined;
      if (value !== undefined) found.set(rename(name), value);
    }
    if (pattern === undefined || pattern === '') continue;
    const wanted = new RegExp(pattern);
    for (const [name, value] of Object.entries(from)) if (wanted.test(name)) found.set(rename(name), value);
  }
  return Object.fromEntries(found);
}

/** What every line of the file carries; undefined if nothing. */
export function lineAttributes(config: LogConfig, subject: LogSubject): Record<string, string> | undefined {
  const attributes = extraAttributes(config, subject);
  if ((config['tag'] ?? '') !== '') attributes['tag'] = expandTag(config['tag'] ?? '', subject);
  return Object.keys(attributes).length === 0 ? undefined : attributes;
}

/** The tag at a target: the container's short id unless another is asked for. */
export const targetTag = (config: LogConfig, subject: LogSubject): string => expandTag((config['tag'] ?? '') === '' ? '{{.ID}}' : (config['tag'] ?? ''), subject);
