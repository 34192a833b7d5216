/**
 * `moored doctor`: reads a host, with or without a daemon on it, and says what will hold and what will not. It changes
 * nothing: no record, no lock, no process.
 */
import { check } from './checks.ts';
import { collect } from './collect.ts';
import type { Subject } from './collect.ts';
import { EXIT_CODES, verdictOf } from './finding.ts';
import { jsonReport, textReport } from './report.ts';

export interface Examination {
  readonly text: string;
  /** 0: all holds. 1: something does not. 2: it cannot be told. */
  readonly exitCode: number;
}

export async function examine(subject: Subject, format: 'text' | 'json'): Promise<Examination> {
  const findings = check(await collect(subject));
  return { text: format === 'json' ? jsonReport(findings) : textReport(findings), exitCode: EXIT_CODES[verdictOf(findings)] };
}
