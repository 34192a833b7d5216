import assert from 'node:assert/strict';
import { test } from 'node:test';
import { planLinks } from './links.ts';
import type { ObservedLink, WantedBridge } from './links.ts';

const link = (name: string, index: number, more: Partial<ObservedLink> = {}): ObservedLink => ({
  name, index, kind: '', master: 0, mtu: 1500, up: true, alias: '', hairpin: false, isolated: false, ...more,
});
const bridge: WantedBridge = { name: 'docker0', alias: 'moored network 1', mtu: 1500, addresses: [{ address: '172.17.0.1', prefixLength: 16 }], foreign: false };
const present = link('docker0', 3, { kind: 'bridge', alias: 'moored network 1' });
const address = { index: 3, address: '172.17.0.1', prefixLength: 16, scope: 0 };
const port = { name: 'veth1', place: { bridge: 'docker0', isolated: false } };

test('nothing to do is an empty plan', () => {
  const joined = link('veth1', 4, { master: 3, hairpin: true, alias: 'moored c' });
  assert.deepEqual(planLinks({ bridges: [bridge], ports: [port] }, [present, joined, link('eth0', 2)], [address, { index: 3, address: 'fe80::1', prefixLength: 64, scope: 253 }]), []);
});

test('a missing bridge is made, with its address', () => {
  assert.deepEqual(planLinks({ bridges: [bridge], ports: [] }, [], []).map(({ kind }) => kind), ['create-bridge', 'add-address']);
});

test('what somebody changed is put right', () => {
  const changed = { ...present, up: false, mtu: 9000 };
  const steps = planLinks({ bridges: [bridge], ports: [port] }, [changed, link('veth1', 4, { up: false })], [{ ...address, address: '10.0.0.1', prefixLength: 8 }]);
  assert.deepEqual(steps.map(({ kind, name }) => `${kind} ${name}`), [
    'set-up docker0', 'set-mtu docker0', 'delete-address docker0', 'add-address docker0', 'join veth1', 'port-options veth1', 'set-up veth1',
  ]);
});

test("only links of ours that nobody claims are deleted, and a user's bridge is left alone", () => {
  const links = [link('veth9', 9, { alias: 'moored dead' }), link('veth8', 8), link('br0', 7, { mtu: 9000, up: false })];
  assert.deepEqual(planLinks({ bridges: [{ ...bridge, name: 'br0', foreign: true }], ports: [] }, links, []), [{ kind: 'delete-link', name: 'veth9' }]);
});

test('a bridge whose network is lost stays as long as a container is on it', () => {
  const lost = link('br-1', 5, { alias: 'moored network 2' });
  const used = link('veth1', 6, { master: 5, alias: 'moored c' });
  assert.deepEqual(planLinks({ bridges: [], ports: [{ name: 'veth1' }] }, [lost, used], []), []);
  assert.deepEqual(planLinks({ bridges: [], ports: [] }, [lost], []), [{ kind: 'delete-link', name: 'br-1' }]);
});
