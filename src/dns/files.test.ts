import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { isOver, isRunning } from './alive.ts';
import { parseNames } from './files.ts';

const good = {
  schema: 1, netnsPath: '/n', shimDir: '/s', ports: { udp: 4, tcp: 5 },
  endpoints: [{ networkId: 'n', networkName: 'bay', ipv4: '10.0.0.1', ipv6: '', names: ['a', 3], links: { b: 'c', d: 4 } }],
  upstreams: [{ address: '127.0.0.11', from: 'container' }, { address: '127.0.0.11', from: 'host' }, { address: '1.1.1.1' }, { address: 'x' }],
  later: true,
};

test('a file is read as far as it makes sense', () => {
  const names = parseNames(JSON.stringify(good), 'id');
  assert.deepEqual(names.endpoints[0]?.names, ['a']);
  assert.deepEqual(names.endpoints[0]?.links, { b: 'c' });
  assert.deepEqual(names.upstreams, [{ address: '127.0.0.11', from: 'host' }, { address: '1.1.1.1', from: 'container' }], 'a resolver that asks itself asks for ever');
});

test('what cannot be read, or is of a newer release, is refused', () => {
  for (const text of ['', '[]', 'null', '{}', JSON.stringify({ ...good, schema: 2 }), JSON.stringify({ ...good, ports: {} }), JSON.stringify({ ...good, endpoints: [{}] })]) assert.throws(() => parseNames(text, 'id'), text);
});

test('a container counts by its process and its shim', (t) => {
  const dir = mkdtempSync('/tmp/moored-alive-');
  t.after(() => rmSync(dir, { recursive: true }));
  const start = readFileSync('/proc/self/stat', 'latin1').replace(/.*\) /s, '').split(' ')[19] ?? '';
  const see = (state: string, pid = process.pid, pidStart = start, shim = process.pid): [boolean, boolean] => {
    writeFileSync(path.join(dir, 'status'), `moored-status 1.0\nstate ${state}\nshim-pid ${shim}\npid ${pid}\npid-start ${pidStart}\nend\n`);
    return [isRunning(dir), isOver(dir)];
  };
  const nobody = 4_190_000;
  assert.deepEqual(see('running'), [true, false]);
  assert.deepEqual(see('created'), [true, false]);
  assert.deepEqual(see('restarting', 0, '0'), [false, false]);
  assert.deepEqual(see('exited', 0, '0'), [false, true]);
  assert.deepEqual(see('running', process.pid, '1'), [false, false], 'the pid is another process now, and its shim will say so');
  assert.deepEqual(see('running', process.pid, start, nobody), [true, false], 'a container without its shim');
  assert.deepEqual(see('running', nobody, '1', nobody), [false, true]);
  writeFileSync(path.join(dir, 'status'), 'moored-status 1.0\nstate running\n');
  assert.deepEqual([isRunning(dir), isOver(dir)], [false, true], 'torn, and no orders');
  writeFileSync(path.join(dir, 'spec'), '');
  assert.equal(isOver(dir), false, 'about to be born');
});
