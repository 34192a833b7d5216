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

/** Findings below their subject, aligned, what to do on a line of its own; all that is right with a container is one line. */
export function textReport(findings: readonly Finding[]): string {
  const groups = Map.groupBy(folded(findings), ({ subject, container }) => container ?? subject);
  const width = Math.max(0, ...folded(findings).map(({ check }) => check.length));
  const blocks = [...groups.values()].map((group) => [oneLine(group[0]?.subject ?? ''), ...group.flatMap((finding) => linesOf(finding, width))].join('\n'));
  return `${[...blocks, VERDICTS[verdictOf(findings)]].join('\n\n')}\n`;
}

const LEVEL_WIDTH = 'problem'.length;

function linesOf({ level, check, text, advice }: Finding, width: number): string[] {
  const first = `  ${level.padEnd(LEVEL_WIDTH)}  ${oneLine(check).padEnd(width)}  ${oneLine(text)}`;
  return advice === undefined ? [first] : [first, `${' '.repeat(LEVEL_WIDTH + width + 6)}-> ${oneLine(advice)}`];
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
      if (good.length > 0) rows.push({ level: 'ok', subject: finding.subject, container, check: 'well', text: good.map(({ check, text }) => `${check} ${text}`).join('; ') });
    }
    if (container === undefined || finding.level !== 'ok') rows.push(finding);
  }
  return rows;
}

/** `{"version":1,"verdict":…,"findings":[…]}`, one line. */
export const jsonReport = (findings: readonly Finding[]): string => `${JSON.stringify({ version: 1, verdict: verdictOf(findings), findings })}\n`;
