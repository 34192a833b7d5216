import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { desiredRuleset, planElements, planFirewall, ruleComment } from './firewall.ts';
import type { Element, FirewallNetwork, FirewallPort, ObservedRuleset, Ruleset } from './firewall.ts';
import { foreignDrops, parseRuleset } from './firewallObserved.ts';

const address4 = fc.integer({ min: 1, max: 0xffffff }).map((n) => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`);
const network: fc.Arbitrary<FirewallNetwork> = fc.record({
  bridge: fc.integer({ min: 0, max: 9 }).map((n) => `br-${n}`),
  internal: fc.boolean(),
  icc: fc.boolean(),
  subnets4: fc.constantFrom([], ['172.18.0.0/16']),
  subnets6: fc.constantFrom([], ['fd00:1::/64']),
  masquerade4: fc.boolean(),
  masquerade6: fc.boolean(),
  source4: fc.constantFrom('', '192.0.2.1'),
  source6: fc.constant(''),
  reach4: fc.constantFrom('translated', 'published', 'open'),
  reach6: fc.constantFrom('translated', 'published', 'open'),
  ping4: fc.boolean(),
  ping6: fc.boolean(),
  trusted: fc.constantFrom([], ['eth1'], ['eth1', 'vxlan.1']),
});
const port: fc.Arbitrary<FirewallPort> = fc.record({
  proto: fc.constantFrom('tcp', 'udp', 'sctp'),
  hostIp: fc.oneof(fc.constantFrom('0.0.0.0', '::', 'fd00::2'), address4),
  hostPort: fc.integer({ min: 1, max: 65535 }),
  address: address4,
  port: fc.integer({ min: 1, max: 65535 }),
});
const uniquely = <T>(arbitrary: fc.Arbitrary<T>, by: (value: T) => string) => fc.uniqueArray(arbitrary, { maxLength: 6, selector: by });
const ruleset: fc.Arbitrary<Ruleset> = fc.record({
  networks: uniquely(network, (n) => n.bridge),
  ports: uniquely(port, (p) => `${p.proto} ${p.hostIp} ${p.hostPort}`),
  direct: fc.uniqueArray(fc.record({ proto: fc.constantFrom('tcp', 'udp'), address: address4, port: fc.integer({ min: 1, max: 65535 }) }), { maxLength: 3, selector: ({ proto, address, port: number }) => `${proto} ${address} ${number}` }),
  links: fc.uniqueArray(fc.record({ from: address4, proto: fc.constantFrom('tcp', 'udp'), address: address4, port: fc.integer({ min: 1, max: 65535 }) }), { maxLength: 3, selector: (link) => JSON.stringify(link) }),
  dropOthers: fc.boolean(),
}).map(desiredRuleset);

/** A small nft: carries out the commands that plans consist of, strictly. */
class Table {
  sets = new Map<string, { type: string; elements: Map<string, Element> }>();
  chains = new Map<string, { hook?: { type: string; hook: string; priority: number; policy: 'accept' | 'drop' }; rules: { handle: number; comment: string }[] }>();
  exists = false;
  #handle = 0;

  observed(): ObservedRuleset | undefined {
    return this.exists ? { sets: this.sets, chains: this.chains } : undefined;
  }

  run(commands: readonly string[]): void {
    for (const command of commands) this.#one(command);
  }

  #one(command: string): void {
    let match: RegExpExecArray | null;
    if (command === 'delete table inet moored') {
      assert.ok(this.exists);
      this.exists = false;
      this.sets.clear();
      this.chains.clear();
    } else if (command === 'add table inet moored') {
      this.exists = true;
    } else if ((match = /^add (?:set|map) inet moored (\w+) \{ type (.*); \}$/.exec(command)) !== null) {
      this.sets.set(match[1] ?? '', { type: match[2] ?? '', elements: new Map() });
    } else if ((match = /^add chain inet moored (\w+)(?: \{ type (\w+) hook (\w+) priority (\S+); policy (\w+); \})?$/.exec(command)) !== null) {
      const [, name = '', type = '', hook = '', priority, policy] = match;
      const rules = this.chains.get(name)?.rules ?? [];
      this.chains.set(name, type === '' ? { rules } : { hook: { type, hook, priority: Number(priority), policy: policy === 'drop' ? 'drop' : 'accept' }, rules });
    } else if ((match = /^(add|insert) rule inet moored (\w+) (?:handle (\d+) )?.* comment "(moored \w+)"$/.exec(command)) !== null) {
      const rules = this.chains.get(match[2] ?? '')?.rules ?? assert.fail(command);
      const rule = { handle: (this.#handle += 1), comment: match[4] ?? '' };
      const at = match[3] === undefined ? rules.length : rules.findIndex(({ handle }) => handle === Number(match?.[3]));
      assert.ok(at >= 0, command);
      rules.splice(at, 0, rule);
    } else if ((match = /^delete rule inet moored (\w+) handle (\d+)$/.exec(command)) !== null) {
      const rules = this.chains.get(match[1] ?? '')?.rules ?? assert.fail(command);
      const at = rules.findIndex(({ handle }) => handle === Number(match?.[2]));
      assert.ok(at >= 0, command);
      rules.splice(at, 1);
    } else if ((match = /^(add|delete) element inet moored (\w+) \{ ([^:]|[^ ]:|:[^ ])* ?(: .*)? ?\}$/.exec(command)) !== null) {
      this.#element(command);
    } else {
      assert.fail(`not understood: ${command}`);
    }
  }

  #element(command: string): void {
    const [, verb, name = '', body = ''] = /^(\w+) element inet moored (\w+) \{ (.*) \}$/.exec(command) ?? [];
    const atoms = (text: string) => text.split(' . ').map((atom) => (/^\d+$/.test(atom) ? Number(atom) : atom.replaceAll('"', '')));
    const [key = '', data] = body.split(' : ');
    const { elements } = this.sets.get(name) ?? assert.fail(command);
    const present = [...elements].find(([, element]) => element.key.join(' . ') === atoms(key).join(' . '));
    if (verb === 'delete') {
      assert.ok(present !== undefined, command);
      elements.delete(present[0]);
      return;
    }
    assert.ok(present === undefined, command);
    const element: Element = data === undefined ? { key: atoms(key) } : { key: atoms(key), data: atoms(data) };
    elements.set(element.data === undefined ? element.key.join(' . ') : `${element.key.join(' . ')} : ${element.data.join(' . ')}`, element);
  }
}

const comments = (table: Table) => [...table.chains].map(([name, { rules }]) => [name, rules.map(({ comment }) => comment)]);
const wantedComments = (wanted: Ruleset) => Object.entries(wanted.chains).map(([name, { rules }]) => [name, rules.map(ruleComment)]);

test('a plan carried out leaves nothing to plan', () => {
  fc.assert(fc.property(fc.array(ruleset, { minLength: 1, maxLength: 4 }), (wishes) => {
    const table = new Table();
    for (const wanted of wishes) {
      table.run(planFirewall(wanted, table.observed()));
      assert.deepEqual(planFirewall(wanted, table.observed()), []);
      assert.deepEqual(comments(table), wantedComments(wanted));
    }
  }));
});

test('whatever was removed, doubled, shuffled or added comes right again', () => {
  fc.assert(fc.property(ruleset, fc.array(fc.tuple(fc.nat(), fc.nat(), fc.constantFrom('remove', 'double', 'move', 'strange'))), (wanted, damages) => {
    const table = new Table();
    table.run(planFirewall(wanted, undefined));
    let handle = 1000;
    for (const [a, b, damage] of damages) {
      const chains = [...table.chains.values()];
      const rules = chains[a % chains.length]?.rules ?? [];
      const at = b % (rules.length + 1);
      if (damage === 'remove') rules.splice(at, 1);
      if (damage === 'double') rules.push(...rules.slice(at, at + 1).map(({ comment }) => ({ comment, handle: (handle += 1) })));
      if (damage === 'move') rules.unshift(...rules.splice(at, 1));
      if (damage === 'strange') rules.splice(at, 0, { comment: 'other', handle: (handle += 1) });
    }
    table.run(planFirewall(wanted, table.observed()));
    assert.deepEqual(comments(table), wantedComments(wanted));
  }));
});

test('what stands right keeps its handle', () => {
  const wanted = desiredRuleset({ networks: [], ports: [], direct: [], links: [], dropOthers: false });
  const table = new Table();
  table.run(planFirewall(wanted, undefined));
  const forward = table.chains.get('forward') ?? assert.fail();
  const before = forward.rules.map(({ handle }) => handle);
  forward.rules.splice(2, 1);
  table.run(planFirewall(wanted, table.observed()));
  const after = forward.rules.map(({ handle }) => handle);
  assert.deepEqual(after.filter((_, i) => i !== 2), before.filter((_, i) => i !== 2));
});

test('one more published port is one element', () => {
  const one: FirewallPort = { proto: 'tcp', hostIp: '0.0.0.0', hostPort: 8080, address: '172.17.0.2', port: 80 };
  const without = desiredRuleset({ networks: [], ports: [], direct: [], links: [], dropOthers: false });
  const withOne = desiredRuleset({ networks: [], ports: [one], direct: [], links: [], dropOthers: false });
  const present = (of: Ruleset) => (set: string) => of.sets[set] ?? new Map<string, Element>();
  const element: Element = { key: ['tcp', 8080], data: ['172.17.0.2', 80] };
  assert.deepEqual(planElements(withOne, present(without)), [{ verb: 'add', set: 'anyport4', element }]);
  assert.deepEqual(planElements(without, present(withOne)), [{ verb: 'delete', set: 'anyport4', element }]);
});

test('a table of another shape is replaced in the same transaction', () => {
  const wanted = desiredRuleset({ networks: [], ports: [], direct: [], links: [], dropOthers: false });
  const observed = parseRuleset([{ chain: { name: 'old' } }]);
  assert.equal(planFirewall(wanted, observed)[0], 'delete table inet moored');
});

test("others' chains that drop what is forwarded are found", () => {
  const chain = { family: 'ip', table: 'filter', name: 'FORWARD', hook: 'forward', policy: 'drop' };
  assert.equal(foreignDrops([{ chain }]).length, 1);
  assert.deepEqual(foreignDrops([{ chain: { ...chain, policy: 'accept' } }, { chain: { ...chain, table: 'moored' } }, { chain: { ...chain, hook: 'input' } }]), []);
});
