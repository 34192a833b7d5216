import assert from 'node:assert/strict';
import { test } from 'node:test';
import { elders, noteOptions, notYetNoted, optionKey, parseOptionNotes, REACH } from './reach.ts';
import type { OptionNotes } from './reach.ts';
import { optionList, withDefaults } from './table.ts';
import type { OptionName } from './table.ts';

const config = (values: Partial<Record<OptionName, unknown>> = {}) => withDefaults(new Map(Object.entries(values) as [OptionName, unknown][]));
const noteAll = (...steps: [atNs: bigint, values: Partial<Record<OptionName, unknown>>][]): OptionNotes =>
  steps.reduce<OptionNotes | undefined>((notes, [atNs, values]) => noteOptions(notes, config(values), atNs).notes, undefined) ?? assert.fail();

test('every option that Docker documents for containers and networks has its reach', () => {
  const wanted = [
    'storage-driver', 'bip', 'default-address-pools', 'iptables', 'ip6tables', 'ipv6', 'mtu', 'icc', 'log-driver', 'log-opts', 'exec-opts', 'userland-proxy', 'exec-root', 'data-root',
    'cgroup-parent', 'default-runtime', 'default-shm-size', 'default-ulimits', 'default-ipc-mode', 'no-new-privileges', 'seccomp-profile', 'dns', 'init', 'fixed-cidr', 'bridge', 'ip', 'ip-masq',
  ];
  const keys = Object.keys(REACH).map((name) => optionKey(name as OptionName));
  assert.deepEqual(wanted.filter((key) => !keys.includes(key)), []);
  assert.deepEqual(Object.keys(REACH).filter((name) => !optionList.some(([known]) => known === name)), []);
});

test('the first notes are no change; the same values again are none', () => {
  const first = noteOptions(undefined, config({ logOpts: { a: '1', b: '2' } }), 5n);
  assert.deepEqual(first.changes, []);
  const again = noteOptions(first.notes, config({ logOpts: { b: '2', a: '1' } }), 6n);
  assert.deepEqual([again.changes, again.notes], [[], first.notes]);
});

test('a change tells from, to and effect', () => {
  const { notes } = noteOptions(undefined, config(), 5n);
  const { changes } = noteOptions(notes, config({ logDriver: 'local', mtu: 1400, liveRestore: true, defaultAddressPools: [{ base: '10.0.0.0/8', size: 24 }] }), 6n);
  assert.deepEqual(changes, [
    { option: 'default-address-pools', from: '[]', to: '[{"base":"10.0.0.0/8","size":24}]', effect: 'for networks created from now on' },
    { option: 'live-restore', from: 'false', to: 'true', effect: 'at once' },
    { option: 'log-driver', from: '"json-file"', to: '"local"', effect: 'for containers created from now on' },
    { option: 'mtu', from: '1500', to: '1400', effect: 'as soon as no running container uses the default network' },
  ]);
});

test('who is older than a change keeps what it has, until it is made or started anew', () => {
  const notes = noteAll([5n, {}], [10n, { logDriver: 'local', logPipeSize: 4096, mtu: 1400 }]);
  assert.deepEqual(elders(notes, []), []);
  assert.deepEqual(elders(notes, [{ createdNs: 11n, launchedNs: 12n }]), []);
  assert.deepEqual(elders(notes, [{ createdNs: 1n, launchedNs: 2n }, { createdNs: 3n, launchedNs: 12n }]), [
    'changed since 2 running containers were created, and for new ones only: log-driver',
    'changed since 1 running container was started, and for their next start: log-pipe-size',
  ]);
});

test('what the file has otherwise counts from the next start', () => {
  const notes = noteAll([5n, {}]);
  assert.deepEqual(notYetNoted(notes, config({ logDriver: 'local', mtu: 1400 })), ['log-driver']);
});

test('notes that are none', () => {
  for (const value of [{}, { options: null }, { options: { a: 1 } }, { options: { a: { value: 1, sinceNs: 1n } } }, { options: { a: { value: '1', sinceNs: 1 } } }]) assert.throws(() => parseOptionNotes(value));
});
