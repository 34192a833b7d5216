/**
 * Runs one test file in a process of its own, which is ended when it takes too long. Nothing that the file leaves behind
 * (an open handle, a child that holds a pipe, a call that blocks the thread) can hold up the run: its output goes to
 * files, its exit is waited for and not its pipes, and its deadline is kept by this process.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

import type { EndLine, Line } from './reporter.ts';

export interface FileLimits {
  /** For one test, ms. */
  readonly test: number;
  /** For the whole file, ms. */
  readonly file: number;
}

export interface FileResult {
  /** Tests in the order in which they ended. */
  readonly tests: readonly EndLine[];
  /** Why the file itself failed, beside its tests: it did not end, or ended badly, or holds no test. */
  readonly fault: string | undefined;
  /** Its standard output and error. */
  readonly output: string;
}

/** Processes of test files that run now. */
const running = new Set<number>();

/** Ends the test files that run now, with what descends from them. */
export function endTestFiles(): void {
  for (const pid of running) killTree(pid);
}

const REPORTER = path.join(import.meta.dirname, 'reporter.ts');

export async function runTestFile(file: string, limits: FileLimits): Promise<FileResult> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'moored-test-run-'));
  try {
    const ending = await runProcess(file, limits, folder);
    const lines = readLines(path.join(folder, 'results'));
    const tests = lines.filter((line) => line.kind === 'end');
    return { tests, fault: faultOf(ending, lines, limits), output: readFileSync(path.join(folder, 'output'), 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Ending = { readonly late: true } | { readonly late: false; readonly code: number | null; readonly signal: string | null };

function runProcess(file: string, limits: FileLimits, folder: string): Promise<Ending> {
  const output = openSync(path.join(folder, 'output'), 'a');
  const flags = [`--test-timeout=${limits.test}`, `--test-reporter=${REPORTER}`, `--test-reporter-destination=${path.join(folder, 'results')}`];
  const child = spawn(process.execPath, [...flags, file], { detached: true, stdio: ['ignore', output, output] });
  closeSync(output);
  const { pid = 0 } = child;
  running.add(pid);
  return new Promise((resolve, reject) => {
    const deadline = setTimeout(() => {
      running.delete(pid);
      resolve({ late: true });
      killTree(pid);
      child.unref();
    }, limits.file);
    child.once('error', reject);
    child.once('exit', (code, signal) => {
      clearTimeout(deadline);
      running.delete(pid);
      resolve({ late: false, code, signal });
    });
  });
}

function faultOf(ending: Ending, lines: readonly Line[], limits: FileLimits): string | undefined {
  const ended = lines.filter((line) => line.kind === 'end');
  if (ending.late) {
    const names = new Set(ended.map((line) => line.name));
    const open = lines.filter((line) => line.kind === 'begin' && !names.has(line.name)).map((line) => line.name);
    return `did not end within ${limits.file / 1000} s${open.length > 0 ? `; under way: ${open.join(', ')}` : ', though its tests had'}`;
  }
  if (ended.length === 0) return `holds no test, or could not be loaded (exit code ${ending.code ?? ending.signal})`;
  if (ending.code !== 0 && ended.every((line) => line.passed)) return `ended with ${ending.code === null ? (ending.signal ?? 'nothing') : `exit code ${ending.code}`}`;
  return undefined;
}

/** Of a process that was killed the last line may be torn. */
function readLines(file: string): Line[] {
  const text = readFileSync(file, { encoding: 'utf8', flag: 'a+' });
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Line);
}

/** Ends the process and all that descends from it; what has left for a session and parent of its own (a shim) is not among them. */
function killTree(pid: number): void {
  if (pid <= 1) return;
  for (const victim of [...descendants(pid), pid]) {
    try {
      process.kill(victim, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
}

function descendants(pid: number): number[] {
  const parents = readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map((name) => [Number(name), parentOf(name)] as const);
  const found = [pid];
  for (const parent of found) found.push(...parents.filter(([, of]) => of === parent).map(([child]) => child));
  return found.slice(1);
}

function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}
