/** Lists and maps as Docker shows them: some nil when empty, some `[]`. */
import { array, map, mapped, nullable, string } from './goJson.ts';
import type { Codec } from './goJson.ts';

/** A list that Docker leaves nil when there is nothing in it. */
export const nilIfEmpty: Codec<string[]> = mapped(nullable(array(string)), {
  from: (list): string[] => [...list ?? []],
  to: (list) => (list.length === 0 ? null : list),
});

/** A list that Docker shows as `[]`. */
export const strings: Codec<string[]> = mapped(array(string), { from: (list): string[] => [...list], to: (list) => list });

export const stringMap: Codec<Record<string, string>> = mapped(map(string), { from: (value) => ({ ...value }), to: (value) => value });

/** `80` is `80/tcp`. */
export const withProtocol = (port: string): string => (port.includes('/') ? port : `${port}/tcp`);
