/** The golden vectors through the daemon's side; `shim/test/golden.c` reads the same files. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as path from 'node:path';
import { test } from 'node:test';
import { decodeWord, encodeWord, parseRecord } from '../../src/shims/codec.ts';
import { parseExit } from '../../src/shims/exit.ts';
import { parseEntry } from '../../src/shims/journal.ts';
import { parseHealth, parseStatus } from '../../src/shims/status.ts';

const GOLDEN = path.resolve(import.meta.dirname, '../../shim/golden');
const lines = (name: string, encoding: 'utf8' | 'latin1' = 'utf8'): string[][] =>
  fs.readFileSync(path.join(GOLDEN, name), encoding).split('\n').filter((line) => line !== '').map((line) => line.split('\t'));

test('words', () => {
  let checked = 0;
  for (const [hex = '', word = ''] of lines('words.txt', 'latin1')) {
    const raw = Buffer.from(hex, 'hex');
    const text = raw.toString('utf8');
    if (!Buffer.from(text).equals(raw)) continue; // strings of this side are Unicode; such bytes only ever come from the shim
    const written = Buffer.from(word, 'latin1').toString('utf8');
    assert.equal(encodeWord(text), written);
    assert.equal(decodeWord(written), text);
    checked++;
  }
  assert.ok(checked > 12);
});

test('what is no word is refused', () => {
  for (const [word = ''] of lines('words.bad.txt')) assert.throws(() => decodeWord(word), word);
});

test('records', () => {
  const readers: Record<string, (bytes: Buffer) => { kind: string }> = {
    status: parseStatus,
    health: parseHealth,
    exit: parseExit,
    spec: (bytes) => parseRecord('spec', bytes, () => 0),
  };
  for (const name of fs.readdirSync(path.join(GOLDEN, 'records'))) {
    const read = readers[name.slice(0, name.indexOf('-'))];
    assert.ok(read, name);
    const got = read(fs.readFileSync(path.join(GOLDEN, 'records', name)));
    assert.equal(got.kind === 'ok', name.endsWith('.rec'), name);
  }
});

test('journal lines', () => {
  for (const [line = '', meaning = ''] of lines('journal.txt')) {
    const expected = JSON.parse(meaning) as { seq: string; time: string; kind: string; pairs: Record<string, string> };
    const entry = parseEntry(line);
    assert.ok(entry, line);
    assert.equal(entry.seq, BigInt(expected.seq));
    assert.equal(entry.time, BigInt(expected.time));
    assert.equal(entry.kind === 'other' ? entry.name : entry.kind, expected.kind);
    if (entry.kind === 'restart-failed') assert.equal(entry.error, expected.pairs['error']);
    if (entry.kind === 'exec-create') assert.equal(entry.command, expected.pairs['command']);
  }
});

test('log lines decode to what a Go reader would see', () => {
  for (const [hex = '', stream, json = ''] of lines('loglines.txt')) {
    const decoded = JSON.parse(json) as { log: string; stream: string };
    assert.equal(decoded.stream, stream);
    const bytes = Buffer.from(hex, 'hex');
    if (Buffer.from(bytes.toString('utf8')).equals(bytes)) assert.equal(decoded.log, bytes.toString('utf8'));
    else assert.ok(decoded.log.includes('\ufffd'));
  }
});
