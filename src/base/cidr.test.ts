import assert from 'node:assert/strict';
import { BlockList } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { cidrOf, containsAddress, containsCidr, formatAddress, formatCidr, lastOf, overlaps, parseAddress, parseCidr, sizeOf } from './cidr.ts';
import type { Address } from './cidr.ts';

const addresses: fc.Arbitrary<Address> = fc.oneof(
  fc.bigInt(0n, 2n ** 32n - 1n).map((value): Address => ({ family: 4, value })),
  fc.bigInt(0n, 2n ** 128n - 1n).map((value): Address => ({ family: 6, value })),
  // Runs of zero groups are what the text form is difficult about.
  fc.array(fc.constantFrom<bigint[]>(0n, 1n, 0xffffn), { minLength: 8, maxLength: 8 }).map((groups): Address => ({
    family: 6,
    value: groups.reduce((value, group) => (value << 16n) | group, 0n),
  })),
);
const cidrs = fc.tuple(addresses, fc.nat(128)).map(([address, length]) => cidrOf(address, address.family === 4 ? length % 33 : length));

test('an address survives its text', () => {
  fc.assert(fc.property(addresses, (address) => {
    assert.deepEqual(parseAddress(formatAddress(address)), address);
  }));
});

test('the text of a v6 address is the canonical one', () => {
  fc.assert(fc.property(addresses, (address) => {
    if (address.family === 4) return;
    const text = formatAddress(address);
    assert.equal(text, new URL(`http://[${text}]`).hostname.slice(1, -1));
  }));
});

test('what is no address is refused', () => {
  for (const text of ['', '1.2.3', '1.2.3.256', '01.2.3.4', '::1%lo', ':::', '1:2:3', 'g::']) assert.equal(parseAddress(text), undefined, text);
  for (const text of ['', '1.2.3.4', '1.2.3.4/33', '::/129', '1.2.3.4/', '1.2.3.4/-1', '1.2.3.4/8/8']) assert.equal(parseCidr(text), undefined, text);
});

test('v6 addresses with an embedded v4 one', () => {
  assert.equal(formatAddress(parseAddress('::ffff:192.0.2.1') ?? assert.fail()), '::ffff:c000:201');
  assert.equal(formatAddress(parseAddress('64:ff9b::1.2.3.4') ?? assert.fail()), '64:ff9b::102:304');
});

test('a prefix contains what the kernel of Node says it contains', () => {
  fc.assert(fc.property(cidrs, addresses, fc.boolean(), (cidr, other, inside) => {
    const address = inside ? { family: cidr.family, value: cidr.base + (other.value % sizeOf(cidr)) } : other;
    const list = new BlockList();
    const family = (of: 4 | 6) => (of === 4 ? 'ipv4' : 'ipv6');
    list.addSubnet(formatAddress({ family: cidr.family, value: cidr.base }), cidr.length, family(cidr.family));
    // Node takes v4-mapped addresses for v4 ones.
    fc.pre(address.family === cidr.family && (address.family === 4 || address.value >> 32n !== 0xffffn));
    assert.equal(containsAddress(cidr, address), list.check(formatAddress(address), family(address.family)));
  }));
});

test('prefixes overlap exactly if they share their first or last address', () => {
  fc.assert(fc.property(cidrs, cidrs, (a, b) => {
    const shares = containsAddress(a, { family: b.family, value: b.base }) || containsAddress(b, { family: a.family, value: a.base });
    assert.equal(overlaps(a, b), shares);
    assert.ok(containsCidr(a, a));
  }));
});

test('a prefix survives its text, its address may be any inside', () => {
  fc.assert(fc.property(cidrs, (cidr) => {
    assert.deepEqual(parseCidr(formatCidr(cidr))?.cidr, cidr);
    const last = formatAddress({ family: cidr.family, value: lastOf(cidr) });
    assert.deepEqual(parseCidr(`${last}/${cidr.length}`)?.cidr, cidr);
  }));
});
