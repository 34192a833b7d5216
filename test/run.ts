/**
 * Runs the tests of the groups named (`lint unit shim contract crash`; none: all) and ends with one line `N passed, N failed`.
 * `--only TEXT` takes only files whose path contains TEXT. A test that was skipped fails the run unless test/skips.json
 * has its name with a reason; so does a group without a test.
 *
 * A file that failed beside others is run once more by itself at the end: what passes then is printed as FLAKY, a fault to
 * mend but not a failure of what is tested. No file can hold up the run: each has its deadline, and so has the whole.
 */
import { execFile } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';

import type { EndLine } from './runner/reporter.ts';
import type { FileLimits, FileResult } from './runner/testFile.ts';
import { endTestFiles, runTestFile } from './runner/testFile.ts';

const root = path.resolve(import.meta.dirname, '..');

interface Group {
  readonly files: readonly string[];
  /** Files run side by side. */
  readonly concurrency: number;
  readonly limits: FileLimits;
  /** Run first, counted as one test. */
  readonly command?: readonly [string, ...string[]];
}

const MINUTE = 60_000;

const GROUPS: Readonly<Record<string, Group>> = {
  lint: { files: ['lint/*.test.ts'], concurrency: 1, limits: { test: MINUTE, file: 2 * MINUTE }, command: ['make', 'lint'] },
  unit: { files: ['src/**/*.test.ts', 'bench/*.test.ts', 'test/fixtures/*.test.ts', 'test/runner/*.test.ts'], concurrency: 2, limits: { test: MINUTE, file: 6 * MINUTE } },
  shim: { files: ['test/shim/*.test.ts'], concurrency: 2, limits: { test: 2 * MINUTE, file: 6 * MINUTE }, command: ['make', '-C', 'shim', 'check'] },
  contract: { files: ['test/contract/*.test.ts'], concurrency: 2, limits: { test: 2 * MINUTE, file: 8 * MINUTE } },
  crash: { files: ['test/crash/*.test.ts'], concurrency: 1, limits: { test: 5 * MINUTE, file: 20 * MINUTE } },
};

/** A file that would begin later than this after the start of the run fails without being run. */
const RUN_LIMIT = 50 * MINUTE;
const COMMAND_LIMIT = 10 * MINUTE;
/** When more files than this fail, it is no matter of load: none is run again. */
const MOST_RERUNS = 12;

interface Failure {
  readonly title: string;
  readonly text: string;
}

interface Outcome {
  passed: number;
  readonly failures: Failure[];
}

/** A file that failed, with what came of it, so that a second run can take its place. */
interface FailedFile {
  readonly group: Group;
  readonly file: string;
  readonly outcome: Outcome;
}

/** Against the reference some tests cannot pass, and say so. */
const validating = process.env['MOORED_CONTRACT_TARGET'] === 'dockerd';
const skips: Readonly<Record<string, unknown>> = JSON.parse(readFileSync(path.join(root, 'test/skips.json'), 'utf8'));
const { values, positionals } = parseArgs({ options: { only: { type: 'string' } }, allowPositionals: true });
const total: Outcome = { passed: 0, failures: [] };
const failedFiles: FailedFile[] = [];
const flaky: Failure[] = [];

async function runGroup(name: string): Promise<void> {
  const group = GROUPS[name];
  if (group === undefined) throw new Error(`no such group: ${name} (there are ${Object.keys(GROUPS).join(', ')})`);
  const files = group.files.flatMap((pattern) => globSync(pattern, { cwd: root })).filter((file) => values.only === undefined || file.includes(values.only)).toSorted();
  console.log(`\n${name}: ${files.length} files`);
  if (group.command !== undefined && values.only === undefined) add(await runCommand(group.command));
  if (files.length === 0 && values.only === undefined) total.failures.push({ title: name, text: 'no tests found' });
  const queue = [...files];
  const runNext = async (): Promise<void> => {
    for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
      const outcome = await runFile(group, file);
      if (outcome.failures.length === 0) add(outcome);
      else failedFiles.push({ group, file, outcome });
    }
  };
  await Promise.all(Array.from({ length: group.concurrency }, runNext));
}

async function runFailedAgain(): Promise<void> {
  const again = failedFiles.length <= MOST_RERUNS;
  if (again && failedFiles.length > 0) console.log(`\nonce more, one by one: ${failedFiles.length} files that failed`);
  for (const { group, file, outcome } of failedFiles) {
    if (!again || isOver()) {
      add(outcome);
      continue;
    }
    const second = await runFile(group, file);
    add(second);
    if (second.failures.length === 0) flaky.push(...outcome.failures);
  }
}

async function runFile(group: Group, file: string): Promise<Outcome> {
  const outcome: Outcome = { passed: 0, failures: [] };
  if (isOver()) {
    fail(outcome, file, `not run: the run has taken longer than ${RUN_LIMIT / MINUTE} minutes`);
    return outcome;
  }
  const result = await runTestFile(path.join(root, file), group.limits);
  for (const test of result.tests) record(test, outcome);
  if (result.fault !== undefined) fail(outcome, file, result.fault);
  if (outcome.failures.length > 0) printOutput(file, result);
  return outcome;
}

function record(test: EndLine, outcome: Outcome): void {
  if (test.suite) return;
  const title = `${test.file === undefined ? '' : path.relative(root, test.file)}:${test.line ?? 0} ${test.name}`;
  if (test.skipped && skips[test.name] === undefined && !validating) return fail(outcome, title, 'was skipped, and test/skips.json gives no reason');
  if (test.skipped) return;
  if (!test.passed) return fail(outcome, title, test.error);
  outcome.passed += 1;
  console.log(`  ok   ${title} (${Math.round(test.milliseconds)} ms)`);
}

function fail(outcome: Outcome, title: string, text: string): void {
  outcome.failures.push({ title, text });
  console.log(`  FAIL ${title}`);
}

function runCommand([command, ...args]: readonly [string, ...string[]]): Promise<Outcome> {
  return new Promise((resolve) => {
    execFile(command, args, { cwd: root, maxBuffer: 64 << 20, timeout: COMMAND_LIMIT, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      const title = [command, ...args].join(' ');
      console.log(`  ${error === null ? 'ok  ' : 'FAIL'} ${title}`);
      resolve(error === null ? { passed: 1, failures: [] } : { passed: 0, failures: [{ title, text: tail(`${stdout}${stderr}`) }] });
    });
  });
}

function printOutput(file: string, { output }: FileResult): void {
  if (output.trim() !== '') console.log(`  output of ${file}:\n${indent(tail(output))}`);
}

function add({ passed, failures }: Outcome): void {
  total.passed += passed;
  total.failures.push(...failures);
}

/** Tests that fail for one reason (a daemon that did not start) tell it once. */
function printFailures(word: string, failures: readonly Failure[]): void {
  const told = new Set<string>();
  for (const { title, text } of failures) {
    console.log(told.has(text) ? `${word} ${title} (the same)` : `\n${word} ${title}\n${indent(text)}`);
    told.add(text);
  }
}

const started = performance.now();
const isOver = (): boolean => performance.now() - started > RUN_LIMIT;
const tail = (text: string): string => text.trimEnd().split('\n').slice(-60).join('\n');
const indent = (text: string): string => text.replaceAll(/^/gm, '    ');

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    endTestFiles();
    console.log(`\nended by ${signal}\n${total.passed} passed, ${total.failures.length + 1} failed`);
    process.exit(1);
  });
}

for (const name of positionals.length > 0 ? positionals : Object.keys(GROUPS)) await runGroup(name);
await runFailedAgain();
printFailures('FLAKY', flaky);
printFailures('FAILED', total.failures);
console.log(`\n${total.passed} passed, ${total.failures.length} failed`);
process.exit(total.failures.length === 0 ? 0 : 1);
