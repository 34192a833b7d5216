/** The text of `moored --help`. */
import { optionList } from './table.ts';
import type { Option } from './table.ts';

const COLUMN = 46;

export function helpText(): string {
  const lines = [
    ...optionList.flatMap(([, option]) => (option.flag === undefined ? [] : [[option.flag, line(option)] as const])),
    ['help', '      --help'.padEnd(COLUMN) + 'Print usage'] as const,
    ['version', '  -v, --version'.padEnd(COLUMN) + 'Print version information and quit'] as const,
  ].toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `Usage:  moored [OPTIONS]

A self-sufficient runtime for containers.

Options:
${lines.map(([, text]) => text).join('\n')}

Commands:
  doctor                                      Say whether live restore will hold on this host, and why not
  shim-upgrade                                Let the shims of running containers go on as this release's, in place
  trace                                       Run a command and print the daemon's steps with their times

Options that take a list may be specified multiple times.
`;
}

function line(option: Option<unknown>): string {
  const short = option.short === undefined ? '    ' : `-${option.short}, `;
  const { placeholder } = option.kind;
  const head = `  ${short}--${option.flag}${placeholder === '' ? '' : ` ${placeholder}`}`;
  return head.padEnd(COLUMN - 1) + ` ${option.help}${defaultOf(option)}${statusOf(option)}`;
}

function defaultOf(option: Option<unknown>): string {
  const printed = option.kind.print(option.initial);
  if (['', 'false', '0', '[]', 'map[]'].includes(printed)) return '';
  return ` (default ${typeof option.initial === 'string' ? JSON.stringify(printed) : printed})`;
}

function statusOf(option: Option<unknown>): string {
  switch (option.status) {
    case 'honoured': return '';
    case 'without-effect': return ' (accepted, without effect)';
    case 'not-yet': return ' (accepted, not honoured yet)';
  }
}
