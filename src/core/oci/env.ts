/** The environment of a container's process, put together as Docker does. */

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * `overrides` over `base`, by name; order of the base kept. An override without `=` takes the variable away; a bare name
 * that the base does not have is passed over.
 */
export function mergeEnv(base: readonly string[], overrides: readonly string[]): string[] {
  const result = [...base];
  const at = new Map<string, number>();
  result.forEach((entry, index) => at.set(nameOf(entry), index));
  const removed = new Set<number>();
  for (const entry of overrides) {
    const name = nameOf(entry);
    const index = at.get(name);
    if (!entry.includes('=')) {
      if (index !== undefined) removed.add(index);
      at.delete(name);
    } else if (index === undefined) {
      at.set(name, result.push(entry) - 1);
    } else {
      result[index] = entry;
    }
  }
  return result.filter((_entry, index) => !removed.has(index));
}

export const nameOf = (entry: string): string => {
  const at = entry.indexOf('=');
  return at < 0 ? entry : entry.slice(0, at);
};

export interface ContainerEnvInput {
  readonly hostname: string;
  readonly tty: boolean;
  /** Variables of `--link`. */
  readonly linked: readonly string[];
  readonly configured: readonly string[];
}

/** PATH, HOSTNAME and TERM, then links, then what is configured. HOME is the runtime's, from the user's passwd entry. */
export function containerEnv(input: ContainerEnvInput): string[] {
  const base = [`PATH=${DEFAULT_PATH}`, `HOSTNAME=${input.hostname}`];
  if (input.tty) base.push('TERM=xterm');
  return mergeEnv([...base, ...input.linked], input.configured);
}
