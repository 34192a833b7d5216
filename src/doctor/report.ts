/** Findings as text for people and as JSON for programs. */
import { verdictOf } from './finding.ts';
import type { Finding, Verdict } from './finding.ts';

const VERDICTS: Readonly<Record<Verdict, string>> = {
  holds: 'live restore holds',
  'does-not-hold': 'live restore does not hold for everything: see what is marked as a problem',
  unknown: 'whether live restore holds cannot be told: see what is marked as unknown',
};

/** Lines that names and reasons from elsewhere must not break or colour. */
// oxlint-disable-next-line no-control-regex -- these characters are what this is about
const oneLine = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');

/** One line each, aligned; what is right with a container is one line. */
export function textReport(findings: readonly Finding[]): string {
  const rows = folded(findings).map(({ level, subject, check, text, advice }) => [level, subject, check, advice === undefined ? text : `${text} -> ${advice}`].map(oneLine));
  const width = (column: number): number => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  const widths = [width(0), width(1), width(2)];
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ').trimEnd());
  return `${[...lines, '', VERDICTS[verdictOf(findings)]].join('\n')}\n`;
}

/** A container's `ok` findings together, before what else is to be said of it. */
function folded(findings: readonly Finding[]): Finding[] {
  const rows: Finding[] = [];
  const told = new Set<string>();
  for (const finding of findings) {
    const { container } = finding;
    if (container !== undefined && !told.has(container)) {
      told.add(container);
      const good = findings.filter((other) => other.container === container && other.level === 'ok');
      if (good.length > 0) rows.push({ level: 'ok', subject: finding.subject, container, check: 'container', text: good.map(({ check, text }) => `${check} ${text}`).join('; ') });
    }
    if (container === undefined || finding.level !== 'ok') rows.push(finding);
  }
  return rows;
}

/** `{"version":1,"verdict":…,"findings":[…]}`, one line. */
export const jsonReport = (findings: readonly Finding[]): string => `${JSON.stringify({ version: 1, verdict: verdictOf(findings), findings })}\n`;
