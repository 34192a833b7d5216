/**
 * Runs the tests of the groups named (`lint unit shim contract crash`; none: all) and ends with one line `N passed, N failed`.
 * `--only TEXT` takes only files whose path contains TEXT. A test that was skipped fails the run unless test/skips.json
 * has its name with a reason; so does a group without a test.
 */
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { run } from 'node:test';
import { parseArgs } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');

interface Group {
  readonly files: readonly string[];
  /** Files run side by side. */
  readonly concurrency: number;
  /** For one test, ms. */
  readonly timeout: number;
  /** Run first, counted as one test. */
  readonly command?: readonly [string, ...string[]];
}

const GROUPS: Readonly<Record<string, Group>> = {
  lint: { files: ['lint/*.test.ts'], concurrency: 1, timeout: 60_000, command: ['make', 'lint'] },
  unit: { files: ['src/**/*.test.ts', 'test/fixtures/*.test.ts'], concurrency: 2, timeout: 60_000 },
  shim: { files: ['test/shim/*.test.ts'], concurrency: 2, timeout: 120_000, command: ['make', '-C', 'shim', 'check'] },
  contract: { files: ['test/contract/*.test.ts'], concurrency: 2, timeout: 120_000 },
  crash: { files: ['test/crash/*.test.ts'], concurrency: 1, timeout: 300_000 },
};

interface Outcome {
  passed: number;
  readonly failures: string[];
}

/** Against the reference some tests cannot pass, and say so. */
const validating = process.env['MOORED_CONTRACT_TARGET'] === 'dockerd';
const skips: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(path.join(root, 'test/skips.json'), 'utf8'));

async function runGroup(name: string, only: string | undefined): Promise<Outcome> {
  const group = GROUPS[name];
  if (group === undefined) throw new Error(`no such group: ${name} (there are ${Object.keys(GROUPS).join(', ')})`);
  const files = group.files.flatMap((pattern) => globSync(pattern, { cwd: root })).filter((file) => only === undefined || file.includes(only)).toSorted();
  const outcome: Outcome = { passed: 0, failures: [] };
  console.log(`\n${name}: ${files.length} files`);
  if (group.command !== undefined && only === undefined) await runCommand(group.command, outcome);
  if (files.length > 0) await runFiles(group, files, outcome);
  if (outcome.passed + outcome.failures.length === 0 && only === undefined) outcome.failures.push(`${name}: no tests found`);
  return outcome;
}

function runCommand([command, ...args]: readonly [string, ...string[]], outcome: Outcome): Promise<void> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd: root, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      const name = [command, ...args].join(' ');
      if (error === null) outcome.passed += 1;
      else outcome.failures.push(`${name}\n${indent(tail(`${stdout}${stderr}`, 60))}`);
      console.log(`  ${error === null ? 'ok  ' : 'FAIL'} ${name}`);
      resolve();
    });
  });
}

async function runFiles(group: Group, files: readonly string[], outcome: Outcome): Promise<void> {
  const stream = run({ files: files.map((file) => path.join(root, file)), concurrency: group.concurrency, timeout: group.timeout, cwd: root });
  const output = new Map<string, string[]>();
  for await (const event of stream) {
    if (event.type === 'test:pass' || event.type === 'test:fail') record(event, outcome);
    if (event.type === 'test:stderr' || event.type === 'test:stdout') {
      const lines = output.get(event.data.file) ?? [];
      if (lines.length < 200) lines.push(event.data.message);
      output.set(event.data.file, lines);
    }
  }
  for (const [file, lines] of output) {
    if (outcome.failures.some((failure) => failure.includes(path.relative(root, file)))) console.log(`  output of ${path.relative(root, file)}:\n${indent(tail(lines.join(''), 60))}`);
  }
}

interface TestEvent {
  readonly type: 'test:pass' | 'test:fail';
  readonly data: {
    readonly name: string;
    readonly file?: string | undefined;
    readonly line?: number | undefined;
    readonly skip?: string | boolean | undefined;
    readonly todo?: string | boolean | undefined;
    readonly details: { readonly type?: string | undefined; readonly duration_ms: number; readonly error?: unknown };
  };
}

function record({ type, data }: TestEvent, outcome: Outcome): void {
  if (data.details.type === 'suite') return;
  const where = `${data.file === undefined ? '' : path.relative(root, data.file)}:${data.line ?? 0}`;
  const title = `${where} ${data.name}`;
  const skipped = (data.skip !== undefined && data.skip !== false) || (data.todo !== undefined && data.todo !== false);
  if (skipped && skips[data.name] === undefined && !validating) outcome.failures.push(`${title}\n    was skipped, and test/skips.json gives no reason`);
  else if (skipped) return;
  else if (type === 'test:pass') outcome.passed += 1;
  else outcome.failures.push(`${title}\n${indent(errorText(data.details.error))}`);
  console.log(`  ${type === 'test:pass' && !skipped ? 'ok  ' : 'FAIL'} ${title} (${Math.round(data.details.duration_ms)} ms)`);
}

function errorText(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return tail(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), 60);
}

const tail = (text: string, lines: number): string => text.trimEnd().split('\n').slice(-lines).join('\n');
const indent = (text: string): string => text.replaceAll(/^/gm, '    ');

const { values, positionals } = parseArgs({ options: { only: { type: 'string' } }, allowPositionals: true });
const outcomes: Outcome[] = [];
for (const name of positionals.length > 0 ? positionals : Object.keys(GROUPS)) outcomes.push(await runGroup(name, values.only));
const failures = outcomes.flatMap((outcome) => outcome.failures);
const told = new Set<string>();
for (const failure of failures) {
  // Tests that fail for one reason (a daemon that did not start) tell it once.
  const [title = '', ...reason] = failure.split('\n');
  const text = reason.join('\n');
  console.log(told.has(text) ? `FAILED ${title} (the same)` : `\nFAILED ${failure}`);
  told.add(text);
}
console.log(`\n${outcomes.reduce((sum, outcome) => sum + outcome.passed, 0)} passed, ${failures.length} failed`);
process.exitCode = failures.length === 0 ? 0 : 1;
