import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NamedEndpoint, SandboxNames } from '../core/ports/names.ts';
import { addressOfBytes, formatAddress } from '../base/cidr.ts';
import { decide, reverseAddress } from './answer.ts';
import { Directory } from './directory.ts';
import { RCODE, TYPE } from './message.ts';

const endpoint = (network: string, ipv4: string, more: Partial<NamedEndpoint> = {}): NamedEndpoint => ({ networkId: network, networkName: network, ipv4, ipv6: '', names: [], links: {}, ...more });
const names = (id: string, ...endpoints: NamedEndpoint[]): SandboxNames => ({ schema: 1, id, netnsPath: '', shimDir: id, ports: { udp: 1, tcp: 1 }, endpoints, upstreams: [] });

function directoryOf(...records: SandboxNames[]): { directory: Directory; dead: Set<string> } {
  const dead = new Set<string>();
  const directory = new Directory(({ id }) => !dead.has(id));
  for (const record of records) directory.set(record);
  return { directory, dead };
}

function ask(directory: Directory, client: string, name: string, { type = TYPE.A, cls = 1, version = 0 }: { type?: number; cls?: number; version?: number } = {}): string[] | string {
  const decision = decide(directory, client, { id: 1, flags: 0, rawQuestion: Buffer.alloc(0), question: { name, type, class: cls }, edns: { size: 512, version } });
  if (decision.kind === 'forward') return 'forward';
  if (decision.rcode !== RCODE.ok) return `code ${decision.rcode}`;
  return decision.answers.map(({ data }) => formatAddress(addressOfBytes(data)));
}

test('who is not on the same network has no name', () => {
  const { directory } = directoryOf(names('a', endpoint('n1', '10.0.1.1', { names: ['a'] })), names('b', endpoint('n1', '10.0.1.2', { names: ['b'] }), endpoint('n2', '10.0.2.2', { names: ['b', 'only2'] })), names('c', endpoint('n2', '10.0.2.3', { names: ['c'] })));
  assert.deepEqual(ask(directory, 'a', 'b'), ['10.0.1.2']);
  assert.deepEqual(ask(directory, 'c', 'b'), ['10.0.2.2']);
  assert.equal(ask(directory, 'a', 'c'), 'forward');
  assert.equal(ask(directory, 'a', 'only2'), 'forward');
  assert.equal(ask(directory, 'a', 'b.n2'), 'forward');
  assert.deepEqual(ask(directory, 'b', 'b.n2'), ['10.0.2.2']);
  assert.deepEqual(ask(directory, 'b', 'b'), ['10.0.1.2'], 'its first network counts');
  assert.equal(ask(directory, 'nobody', 'b'), 'forward');
});

test('a name that is known is answered here whatever the type, other classes are not ours', () => {
  const { directory } = directoryOf(names('a', endpoint('n', '10.0.0.1', { ipv6: 'fd00::1', names: ['a'] })), names('b', endpoint('n', '10.0.0.2', { names: ['b'] })));
  assert.deepEqual(ask(directory, 'a', 'b', { type: TYPE.AAAA }), []);
  assert.deepEqual(ask(directory, 'a', 'b', { type: 15 }), []);
  assert.deepEqual(ask(directory, 'b', 'a', { type: TYPE.ANY }), ['10.0.0.1', 'fd00::1']);
  assert.equal(ask(directory, 'a', 'b', { cls: 3 }), 'forward');
  assert.equal(ask(directory, 'a', 'b', { version: 1 }), `code ${RCODE.badVersion}`);
});

test('several behind one name take turns, the dead left out; with nobody left others are asked', () => {
  const { directory, dead } = directoryOf(...['1', '2', '3'].map((last) => names(last, endpoint('n', `10.0.0.${last}`, { names: ['x'] }))));
  const firsts = new Set([0, 1, 2].map(() => ask(directory, '1', 'x')[0]));
  assert.equal(firsts.size, 3);
  dead.add('2');
  assert.deepEqual([ask(directory, '1', 'x')].flat().toSorted(), ['10.0.0.1', '10.0.0.3']);
  dead.add('1').add('3');
  assert.equal(ask(directory, '1', 'x'), 'forward');
});

test('links are for one container', () => {
  const { directory } = directoryOf(names('a', endpoint('n', '10.0.0.1', { names: ['a'], links: { Store: 'B' } })), names('b', endpoint('n', '10.0.0.2', { names: ['b'] })));
  assert.deepEqual(ask(directory, 'a', 'store'), ['10.0.0.2']);
  assert.equal(ask(directory, 'b', 'store'), 'forward');
});

test('a record replaced or withdrawn leaves nothing behind', () => {
  const { directory } = directoryOf(names('a', endpoint('n', '10.0.0.1', { names: ['old'] })), names('b', endpoint('n', '10.0.0.2', { names: ['b'] })));
  directory.set(names('a', endpoint('n', '10.0.0.9', { names: ['new'] })));
  assert.equal(ask(directory, 'b', 'old'), 'forward');
  assert.deepEqual(ask(directory, 'b', 'new'), ['10.0.0.9']);
  assert.equal(directory.reverse('b', '10.0.0.1'), undefined);
  assert.equal(directory.reverse('b', '10.0.0.9'), 'new.n');
  directory.delete('a');
  assert.equal(ask(directory, 'b', 'new'), 'forward');
  assert.equal(directory.reverse('b', '10.0.0.9'), undefined);
});

test('reverse names', () => {
  assert.equal(reverseAddress('4.3.2.1.in-addr.arpa'), '1.2.3.4');
  assert.equal(reverseAddress(`1.${'0.'.repeat(27)}0.0.d.f.ip6.arpa`), 'fd00::1');
  for (const name of ['in-addr.arpa', '3.2.1.in-addr.arpa', '400.3.2.1.in-addr.arpa', '1.2.ip6.arpa', 'x.ip6.arpa', '4.3.2.1.in-addr.arpa.bay']) assert.equal(reverseAddress(name), undefined, name);
  const { directory } = directoryOf(names('a', endpoint('n', '10.0.0.1', { ipv6: 'fd00:0:0::1', names: ['a'] })));
  assert.equal(directory.reverse('a', 'fd00::1'), 'a.n');
});
