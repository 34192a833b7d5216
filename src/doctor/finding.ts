/** What the doctor has to say: one matter each. */

/**
 * - `ok`: as it should be.
 * - `note`: worth knowing; live restore holds.
 * - `problem`: something will not hold.
 * - `unknown`: it could not be looked at.
 */
export type Level = 'ok' | 'note' | 'problem' | 'unknown';

export interface Finding {
  readonly level: Level;
  /** `host`, or a container's name (its short id if the name is not known). */
  readonly subject: string;
  /** The full id; absent for the host. */
  readonly container?: string;
  /** Which check: one or two words. */
  readonly check: string;
  readonly text: string;
  /** What to do, or absent. */
  readonly advice?: string;
}

export type Verdict = 'holds' | 'does-not-hold' | 'unknown';

/** A problem outweighs what could not be known. */
export function verdictOf(findings: readonly Finding[]): Verdict {
  if (findings.some(({ level }) => level === 'problem')) return 'does-not-hold';
  return findings.some(({ level }) => level === 'unknown') ? 'unknown' : 'holds';
}

export const EXIT_CODES: Readonly<Record<Verdict, number>> = { holds: 0, 'does-not-hold': 1, unknown: 2 };
