import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { containsAddress, formatCidr, overlaps, parseAddress, parseCidr } from '../../base/cidr.ts';
import type { Cidr } from '../../base/cidr.ts';
import type { IpamConfig } from '../ports/network.ts';
import { DEFAULT_ADDRESS_POOLS } from './config.ts';
import { chooseAddress, choosePool, macOf, resolveIpam, subnetOf, ulaPool } from './ipam.ts';

const cidr = (text: string): Cidr => parseCidr(text)?.cidr ?? assert.fail(text);
const entry = (more: Partial<IpamConfig>): IpamConfig => ({ subnet: '', ipRange: '', gateway: '', auxAddresses: {}, ...more });
const network = (...config: Partial<IpamConfig>[]) => ({ name: 'n', id: 'id', config: config.map(entry) });
const resolve = (config: Partial<IpamConfig>[], more: Partial<Parameters<typeof resolveIpam>[0]> = {}) => resolveIpam({
  config: config.map(entry), enableIpv4: true, enableIpv6: false, internal: false,
  pools: [...DEFAULT_ADDRESS_POOLS, ulaPool(1n)], taken: [], routed: () => [], ...more,
});

test('no address is given twice, none outside, until all are given', () => {
  fc.assert(fc.property(fc.integer({ min: 24, max: 30 }), fc.integer({ min: 0, max: 3 }), (length, deeper) => {
    const subnet = `10.1.2.0/${length}`;
    const range = deeper === 0 ? '' : `10.1.2.0/${Math.min(length + deeper, 32)}`;
    const config = network({ subnet, ipRange: range, gateway: '10.1.2.1' });
    const taken: string[] = [];
    for (;;) {
      let address: string;
      try {
        ({ address } = chooseAddress({ network: config, family: 4, address: '', taken }));
      } catch (error) {
        assert.match(String(error), /no available IPv4 addresses/);
        break;
      }
      assert.ok(!taken.includes(address));
      assert.ok(containsAddress(cidr(range === '' ? subnet : range), parseAddress(address) ?? assert.fail()));
      taken.push(address);
    }
    // All but network, gateway and broadcast (which is not in a narrower range).
    const size = 2 ** (32 - (range === '' ? length : cidr(range).length));
    assert.equal(taken.length, Math.max(0, size - (range === '' || cidr(range).length === length ? 3 : Math.min(2, size))));
  }));
});

test('a freed address is the next one given', () => {
  const config = network({ subnet: '10.0.0.0/24', gateway: '10.0.0.1' });
  assert.equal(chooseAddress({ network: config, family: 4, address: '', taken: ['10.0.0.2', '10.0.0.4'] }).address, '10.0.0.3');
});

test('small v4 prefixes have no network or broadcast address', () => {
  assert.equal(chooseAddress({ network: network({ subnet: '10.0.0.4/31' }), family: 4, address: '', taken: [] }).address, '10.0.0.4');
  assert.equal(chooseAddress({ network: network({ subnet: '10.0.0.5/32' }), family: 4, address: '', taken: [] }).address, '10.0.0.5');
});

test('a chosen pool overlaps nothing that is to be avoided', () => {
  const avoided = fc.array(fc.tuple(fc.integer({ min: 0, max: 0xffff }), fc.integer({ min: 8, max: 32 })), { maxLength: 20 })
    .map((list) => list.map(([n, length]) => cidr(formatCidr(cidr(`172.${16 + (n >> 12)}.${n & 255}.0/${Math.max(length, 12)}`)))));
  fc.assert(fc.property(avoided, (avoid) => {
    try {
      const chosen = choosePool(DEFAULT_ADDRESS_POOLS, avoid);
      assert.ok(!avoid.some((other) => overlaps(other, chosen)));
    } catch (error) {
      assert.match(String(error), /all predefined address pools have been fully subnetted/);
    }
  }));
});

test('pools are used in order, past what is in the way, however large', () => {
  assert.equal(formatCidr(choosePool(DEFAULT_ADDRESS_POOLS, [])), '172.17.0.0/16');
  assert.equal(formatCidr(choosePool(DEFAULT_ADDRESS_POOLS, [cidr('172.16.0.0/12')])), '192.168.0.0/20');
  assert.equal(formatCidr(choosePool(DEFAULT_ADDRESS_POOLS, [cidr('172.16.0.0/12'), cidr('192.168.17.0/24')])), '192.168.0.0/20');
  assert.equal(formatCidr(choosePool(DEFAULT_ADDRESS_POOLS, [cidr('172.16.0.0/12'), cidr('192.168.1.0/24')])), '192.168.16.0/20');
  assert.throws(() => choosePool(DEFAULT_ADDRESS_POOLS, [cidr('0.0.0.0/0')]), /fully subnetted/);
  assert.equal(formatCidr(choosePool([{ base: 'fd00::/8', size: 64 }], [cidr('fd00::/9')])), 'fd80::/64');
});

test('what a user leaves open is filled in', () => {
  assert.deepEqual(resolve([]), [entry({ subnet: '172.17.0.0/16', gateway: '172.17.0.1' })]);
  assert.deepEqual(resolve([{ subnet: '10.0.0.0/24', gateway: '10.0.0.9' }]), [entry({ subnet: '10.0.0.0/24', gateway: '10.0.0.9' })]);
  assert.deepEqual(resolve([], { enableIpv6: true }).map(({ subnet }) => subnet), ['172.17.0.0/16', 'fd00:0:1::/64']);
  assert.deepEqual(resolve([{ subnet: 'fd00:1::/64' }], { enableIpv4: false, enableIpv6: true }), [entry({ subnet: 'fd00:1::/64', gateway: 'fd00:1::1' })]);
  assert.equal(resolve([{ subnet: '10.0.0.0/24', auxAddresses: { a: '10.0.0.1' } }])[0]?.gateway, '10.0.0.2');
});

test('subnets of one network must not overlap either', () => {
  assert.throws(() => resolve([{ subnet: '10.0.0.0/16' }, { subnet: '10.0.5.0/24' }]), /Pool overlaps with other one on this address space/);
});

test('wrong requests are refused in Docker\'s words, all at once', () => {
  const refused = (config: Partial<IpamConfig>, words: string) => assert.throws(() => resolve([config]), { message: `invalid network config:\n${words}` });
  refused({ subnet: '10.0.0.0/33' }, 'invalid subnet 10.0.0.0/33: invalid CIDR block notation');
  refused({ subnet: '10.0.0.1/24' }, 'invalid subnet 10.0.0.1/24: it should be 10.0.0.0/24');
  refused({ subnet: '10.0.0.0/24', gateway: '10.0.1.1' }, "invalid gateway 10.0.1.1: parent subnet 10.0.0.0/24 doesn't contain this address");
  refused({ subnet: '10.0.0.0/24', gateway: 'fd00::1' }, 'invalid gateway fd00::1: parent subnet is an IPv4 block');
  refused({ subnet: '10.0.0.0/24', ipRange: '10.0.1.0/28' }, "invalid ip-range 10.0.1.0/28: parent subnet 10.0.0.0/24 doesn't contain ip-range");
  refused({ subnet: '10.0.0.0/24', gateway: 'x', auxAddresses: { a: 'y' } }, 'invalid gateway x: invalid address\ninvalid auxiliary address a: invalid address');
});

test('MAC addresses are Docker\'s', () => {
  assert.equal(macOf('172.17.0.255'), '02:42:ac:11:00:ff');
  assert.equal(formatCidr(subnetOf(entry({ subnet: '10.0.0.0/8' }))), '10.0.0.0/8');
});
