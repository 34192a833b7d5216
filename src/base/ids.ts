import { randomBytes } from 'node:crypto';

/**
 * A new 64-hex object id. One whose first twelve characters are all digits is rolled again, since a short id must
 * not be taken for a number (moby `stringid`).
 */
export function newId(random: (size: number) => Buffer = randomBytes): string {
  for (;;) {
    const id = random(32).toString('hex');
    if (!/^\d{12}/.test(id)) return id;
  }
}

/** The twelve characters that people see; a digest's algorithm is cut off first. */
export const shortId = (id: string): string => id.replace(/^sha256:/, '').slice(0, 12);
