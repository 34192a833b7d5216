/** That no test file can hold up a run, and that none which fails is taken for one that passed. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';

import type { FileResult } from './testFile.ts';
import { runTestFile } from './testFile.ts';

const folder = mkdtempSync(path.join(os.tmpdir(), 'moored-runner-'));
after(() => rmSync(folder, { recursive: true }));

const LONG = 30_000;

function runText(text: string, file: number = LONG): Promise<FileResult> {
  const name = path.join(folder, 'subject.mjs');
  writeFileSync(name, `import { test } from 'node:test';\nimport { spawn } from 'node:child_process';\nimport { writeFileSync } from 'node:fs';\n${text}\n`);
  return runTestFile(name, { test: LONG, file });
}

const isAlive = (pid: number): boolean => {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.startsWith('Z') === false;
  } catch {
    return false;
  }
};

test('tells what passed, failed and was skipped', async () => {
  const { tests, fault } = await runText(`test('a', () => {}); test('b', () => { throw new Error('no luck'); }); test.skip('c', () => {}); console.log('said');`);
  assert.equal(fault, undefined);
  assert.deepEqual(tests.map(({ name, passed, skipped }) => [name, passed, skipped]), [['a', true, false], ['b', false, false], ['c', true, true]]);
  assert.match(tests[1]?.error ?? '', /no luck/);
});

test('a file whose tests are over but that does not end is ended', async () => {
  const { tests, fault } = await runText(`test('quick', () => {}); setInterval(() => {}, 1000);`, 3000);
  assert.equal(tests.length, 1);
  assert.match(fault ?? '', /did not end within 3 s, though its tests had/);
});

test('a file that blocks its thread is ended, and the test named', async () => {
  const { fault } = await runText(`test('quick', () => {}); test('stuck', () => new Promise((done) => setTimeout(() => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); done(); }, 300)));`, 3000);
  assert.match(fault ?? '', /did not end within 3 s; under way: stuck/);
});

test('what a file that is ended had started ends with it, though it hold its pipes', async () => {
  const note = path.join(folder, 'pid');
  const { fault } = await runText(`test('parent', () => new Promise(() => { const child = spawn('sleep', ['600'], { detached: true, stdio: 'inherit' }); writeFileSync(${JSON.stringify(note)}, String(child.pid)); setInterval(() => {}, 1000); }));`, 3000);
  assert.match(fault ?? '', /under way: parent/);
  const pid = Number(readFileSync(note, 'utf8'));
  const patience = performance.now() + 5000;
  while (isAlive(pid) && performance.now() < patience) await new Promise(setImmediate);
  assert.equal(isAlive(pid), false);
});

test('a file that holds no test, cannot be loaded or ends badly has failed', async () => {
  assert.match((await runText('')).fault ?? '', /holds no test|exit code/);
  assert.match((await runText('import "./nowhere.mjs";')).fault ?? '', /.+/);
  const bad = await runText(`test('fine', () => {}); process.on('exit', () => { process.exitCode = 3; });`);
  assert.match(bad.fault ?? '', /ended with exit code 3/);
  const killed = await runText(`test('fine', () => { process.kill(process.pid, 'SIGKILL'); });`);
  assert.match(killed.fault ?? '', /.+/);
});
