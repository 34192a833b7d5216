import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ContainerShimSpec } from '../core/ports/shim.ts';
import { DamagedError, decodePairs, decodeWord, encodePairs, encodeRecord, encodeWord, parseRecord } from './codec.ts';
import { parseExit } from './exit.ts';
import { parseEntry, parseJournal } from './journal.ts';
import { encodeContainerSpec, encodeExecSpec } from './spec.ts';
import { parseHealth, parseStatus } from './status.ts';

const anyText = fc.string({ unit: 'binary' });
const key = fc.stringMatching(/^[a-z0-9-]{1,12}$/).filter((k) => k !== 'end');

test('words: every text survives, and no reserved byte is left', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const word = encodeWord(text);
      assert.match(word, /^[^\0-\x20\x7f=]+$/);
      assert.equal(decodeWord(word), text);
    }),
  );
});

test('words: the examples of the contract', () => {
  assert.equal(encodeWord(''), '%-');
  assert.equal(encodeWord('a b=c%\n\x7fé'), 'a%20b%3Dc%25%0A%7Fé');
  assert.equal(decodeWord('%C3%A9'), 'é');
  assert.equal(decodeWord('%FF'), '\ufffd');
  for (const bad of ['', 'a=b', 'a b', '%', '%4', '%zz', '%3d', 'x%-', '\x7f']) {
    assert.throws(() => decodeWord(bad), DamagedError, JSON.stringify(bad));
  }
});

test('pairs survive, whatever they hold', () => {
  fc.assert(
    fc.property(fc.dictionary(key, anyText), (pairs) => {
      const fields = decodePairs(encodePairs(pairs).split(' ').slice(1));
      for (const [name, value] of Object.entries(pairs)) assert.equal(fields.text(name), value);
    }),
  );
});

test('records survive, whatever they hold', () => {
  const lines = fc.array(fc.tuple(key, fc.array(anyText, { maxLength: 4 })));
  fc.assert(
    fc.property(lines, (fields) => {
      const text = encodeRecord('status', fields.map(([name, words]) => [name, ...words] as const));
      const read = parseRecord('status', Buffer.from(text), (decoded) => fields.map(([name]) => decoded.all(name)));
      assert.ok(read.kind === 'ok');
      for (const [index, [name]] of fields.entries()) {
        assert.deepEqual(read.value[index], fields.filter(([other]) => other === name).map(([, words]) => words));
      }
    }),
  );
});

test('a record cut anywhere is a problem and never a value', () => {
  const text = Buffer.from(encodeRecord('exit', [['exit-code', 137], ['final', true]]));
  for (let length = 1; length < text.length; length++) {
    const read = parseExit(text.subarray(0, length));
    assert.equal(read.kind, 'problem', `${length} bytes`);
  }
  assert.equal(parseExit(text).kind, 'ok');
});

test('noise never throws and is never taken for a record', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
      const noise = Buffer.concat([Buffer.from('moored-status 1.0\n'), bytes, Buffer.from('\nend\n')]);
      parseStatus(noise);
      parseHealth(Buffer.from(bytes));
      parseEntry(Buffer.from(bytes).toString('utf8'));
      assert.notEqual(parseStatus(Buffer.from(bytes)).kind, 'ok');
    }),
  );
});

test('versions: a newer major is said even if nothing else can be read; a newer minor is read', () => {
  const newer = parseStatus(Buffer.from('moored-status 2.0\n{"other":"format"}'));
  assert.equal(newer.kind === 'problem' && newer.problem, 'newer');
  const minor = parseStatus(Buffer.from('moored-status 1.7\nstate running\npid 12\nnew-thing a b c\nend\n'));
  assert.ok(minor.kind === 'ok');
  assert.equal(minor.value.pid, 12);
});

test('a value of the wrong form is damage', () => {
  for (const field of ['pid x', 'pid 99999999999999999999', 'pid 9007199254740993', 'oom 2', 'state dancing', 'pid ', 'PID 1', 'error a=b']) {
    const read = parseStatus(Buffer.from(`moored-status 1.0\n${field}\nend\n`));
    assert.equal(read.kind === 'problem' && read.problem, 'damaged', field);
  }
});

test('the exit record: preallocated is missing, padding is allowed, a lost code is unknown', () => {
  assert.deepEqual(parseExit(Buffer.alloc(4096)), { kind: 'missing' });
  assert.deepEqual(parseExit(Buffer.alloc(0)), { kind: 'missing' });
  const text = 'moored-exit 1.0\nrun 2\nexit-code -1\noom 1\nstarted-at 1763900000123456789\nfinal 1\nend\n';
  const read = parseExit(Buffer.from(text.padEnd(4096, '\n')));
  assert.ok(read.kind === 'ok');
  assert.equal(read.value.exitCode, 'unknown');
  assert.equal(read.value.startedAt, 1763900000123456789n);
  assert.equal(parseExit(Buffer.from(`${text}more\n`)).kind, 'problem');
});

test('health probes', () => {
  const read = parseHealth(Buffer.from('moored-health 1.0\nprobe 1 2 0 ok%0A\nprobe 3 4 -1 %-\nend\n'));
  assert.deepEqual(read.kind === 'ok' && read.value, [
    { start: 1n, end: 2n, exitCode: 0, output: 'ok\n' },
    { start: 3n, end: 4n, exitCode: -1, output: '' },
  ]);
});

test('the journal over a rotation: in order, once, without the torn end, gaps told', () => {
  const line = (seq: number, rest: string): string => `${seq} ${seq * 10} ${rest}\n`;
  const rotated = Buffer.from(line(3, 'start run=1 pid=9') + line(4, 'oom run=1'));
  const present = Buffer.from(`${line(4, 'oom run=1')}garbage\n${line(5, 'die run=1 exit-code=-1 restarting=1 delay-ms=100')}${line(6, 'nova x=1')}7 70 end`);
  const journal = parseJournal([rotated, present], 3n);
  assert.deepEqual(journal.entries.map((entry) => [entry.seq, entry.kind]), [[4n, 'oom'], [5n, 'die'], [6n, 'other']]);
  assert.equal(journal.damaged, 1);
  assert.equal(journal.gap, false);
  assert.equal(parseJournal([rotated], 1n).gap, true);
  const die = journal.entries[1];
  assert.ok(die?.kind === 'die');
  assert.equal(die.exitCode, 'unknown');
  assert.equal(die.delayMs, 100);
});

const spec: ContainerShimSpec = {
  id: 'c1', runtime: '/usr/sbin/runc', runtimeRoot: '/run/x y', runtimeArgs: ['--debug', 'a=b'], terminal: true,
  consoleSize: { rows: 24, cols: 80 }, stdin: true, exitPath: '/d/exit', journalPath: '/d/journal',
  log: { kind: 'json-file', path: '/d/l.log', maxSize: 10, maxFile: 3, compress: true, mode: 'blocking', attrs: { tag: 'ü "x"' } },
  cgroup: { version: 1, memoryDir: '/cg/m', procsDir: '/cg/p' }, restart: { name: 'on-failure', maximumRetryCount: 3 },
  liveRestore: true, stopSignal: 15, stopTimeoutMs: -1, netns: { path: '/ns', keepLinks: ['eth0', 'eth1'] },
  ports: [{ kind: 'reserve', fd: 77 }, { kind: 'relay-tcp', fd: 78, address: '10.0.0.2', port: 80 }],
  holds: [{ fd: 90, name: 'resolver-udp' }, { fd: 91, name: 'resolver-tcp' }],
};

test('a spec says everything, with the descriptors as the shim will see them', () => {
  const read = parseRecord('spec', Buffer.from(encodeContainerSpec(spec)), (fields) => fields);
  assert.ok(read.kind === 'ok');
  const fields = read.value;
  assert.equal(fields.text('kind'), 'container');
  assert.deepEqual(fields.all('runtime-arg'), [['--debug'], ['a=b']]);
  assert.deepEqual(fields.all('console-size'), [['24', '80']]);
  assert.deepEqual(fields.all('port'), [['reserve', '4'], ['relay-tcp', '5', '10.0.0.2', '80']]);
  assert.deepEqual(fields.all('hold'), [['6', 'resolver-udp'], ['7', 'resolver-tcp']]);
  assert.deepEqual(fields.all('keep-link'), [['eth0'], ['eth1']]);
  assert.equal(fields.text('log-attrs'), '{"tag":"ü \\"x\\""}');
  assert.equal(fields.text('stop-timeout-ms'), '-1');
  assert.deepEqual(fields.all('health-process'), []);
  assert.deepEqual(fields.all('rlimit-nofile'), []);
  assert.match(encodeExecSpec({ ...spec, execId: 'e1' }), /^kind exec\nexec-id e1$/m);
});
