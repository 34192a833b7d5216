/**
 * Addresses of networks and containers. Nothing here remembers anything: what is taken is derived from the recorded
 * networks and the live containers, so that there is no second book to disagree with.
 */
import { containsAddress, containsCidr, formatAddress, formatCidr, lastOf, overlaps, parseAddress, parseCidr, sizeOf } from '../../base/cidr.ts';
import type { Cidr } from '../../base/cidr.ts';
import { conflict, forbidden, invalid } from '../../base/errors.ts';
import type { IpamConfig } from '../ports/network.ts';
import type { AddressPool } from './config.ts';

/** The lowest address of a prefix (or of a range within it) that is neither taken nor the network's or its broadcast. */
export function lowestFree(subnet: Cidr, range: Cidr, taken: ReadonlySet<bigint>): bigint | undefined {
  const last = lastOf(range);
  for (let value = range.base; value <= last; value += 1n) {
    if (isUsable(subnet, value) && !taken.has(value)) return value;
  }
  return undefined;
}

/** v4: not the first and last of a prefix that has room for them. v6: not the first, the routers' anycast address. */
function isUsable(subnet: Cidr, value: bigint): boolean {
  if (sizeOf(subnet) <= 2n) return true;
  return value !== subnet.base && (subnet.family === 6 || value !== lastOf(subnet));
}

/** The first prefix of the pools that overlaps nothing of `avoid`. */
export function choosePool(pools: readonly AddressPool[], avoid: readonly Cidr[]): Cidr {
  for (const pool of pools) {
    const base = parseCidr(pool.base)?.cidr;
    if (base === undefined || pool.size < base.length) continue;
    const step = sizeOf({ ...base, length: pool.size });
    for (let value = base.base; value <= lastOf(base);) {
      const candidate: Cidr = { family: base.family, base: value, length: pool.size };
      const hindrance = avoid.find((other) => overlaps(candidate, other));
      if (hindrance === undefined) return candidate;
      // Behind the hindrance, at the next border of the step: pools can have 2^64 prefixes.
      const next = lastOf(hindrance) + 1n;
      value = next > value + step ? ((next + step - 1n) / step) * step : value + step;
    }
  }
  throw invalid('all predefined address pools have been fully subnetted');
}

/** A unique local /48 (RFC 4193) out of forty bits that stay the same for this host. */
export const ulaPool = (bits: bigint): AddressPool => ({
  base: formatCidr({ family: 6, base: (0xfdn << 120n) | ((bits & 0xff_ffff_ffffn) << 80n), length: 48 }),
  size: 64,
});

export interface IpamRequest {
  readonly config: readonly IpamConfig[];
  readonly enableIpv4: boolean;
  readonly enableIpv6: boolean;
  readonly internal: boolean;
  /** Pools of both families. */
  readonly pools: readonly AddressPool[];
  /** Subnets of the other networks. */
  readonly taken: readonly Cidr[];
  /** What the host has routes to: avoided when a subnet is chosen, allowed when the user gives it. */
  readonly routed: () => readonly Cidr[];
}

/** Completes what a user asked for: a subnet for each family in use, a gateway for each subnet. Throws in Docker's words. */
export function resolveIpam(request: IpamRequest): IpamConfig[] {
  checkIpam(request.config);
  const wanted = request.config.filter((entry) => familyIsOn(request, parseCidr(entry.subnet)?.cidr.family));
  const given = wanted.filter((entry) => entry.subnet !== '');
  const taken = [...request.taken];
  const resolved: IpamConfig[] = [];
  for (const entry of given) {
    const subnet = subnetOf(entry);
    if (taken.some((other) => overlaps(other, subnet))) throw forbidden('invalid pool request: Pool overlaps with other one on this address space');
    taken.push(subnet);
    resolved.push(withGateway(entry, subnet));
  }
  for (const family of [4, 6] as const) {
    if (!familyIsOn(request, family) || resolved.some((entry) => subnetOf(entry).family === family)) continue;
    const pools = request.pools.filter((pool) => parseCidr(pool.base)?.cidr.family === family);
    const subnet = choosePool(pools, [...taken, ...request.routed()]);
    // An entry without a subnet can still say what else it wants of the v4 one.
    const bare = family === 4 ? wanted.find((entry) => entry.subnet === '') : undefined;
    resolved.push(withGateway({ ...(bare ?? EMPTY_IPAM), subnet: formatCidr(subnet) }, subnet));
  }
  return resolved;
}

/** Throws if what is given does not fit together. */
export function checkIpam(config: readonly IpamConfig[]): void {
  const problems = config.flatMap((entry) => problemsOf(entry));
  if (problems.length > 0) throw invalid(`invalid network config:\n${problems.join('\n')}`);
}

const EMPTY_IPAM: IpamConfig = { subnet: '', ipRange: '', gateway: '', auxAddresses: {} };

function familyIsOn(request: IpamRequest, family: 4 | 6 | undefined): boolean {
  if (family === undefined) return true;
  return family === 4 ? request.enableIpv4 : request.enableIpv6;
}

function withGateway(entry: IpamConfig, subnet: Cidr): IpamConfig {
  if (entry.gateway !== '') return { ...entry, subnet: formatCidr(subnet), gateway: canonical(entry.gateway) };
  const gateway = lowestFree(subnet, rangeOf(entry, subnet), valuesOf(Object.values(entry.auxAddresses)));
  if (gateway === undefined) throw invalid(`no available IPv${subnet.family} addresses on this network's address pools`);
  return { ...entry, subnet: formatCidr(subnet), gateway: formatAddress({ family: subnet.family, value: gateway }) };
}

/** What Docker's validation (moby `ValidateIPAM`) says against an entry. */
function problemsOf(entry: IpamConfig): string[] {
  if (entry.subnet === '') return [];
  const parsed = parseCidr(entry.subnet);
  if (parsed === undefined) return [`invalid subnet ${entry.subnet}: invalid CIDR block notation`];
  const { cidr } = parsed;
  if (parsed.address.value !== cidr.base) return [`invalid subnet ${entry.subnet}: it should be ${formatCidr(cidr)}`];
  const addresses: [label: string, address: string][] = [
    ...(entry.gateway === '' ? [] : [[`gateway ${entry.gateway}`, entry.gateway] as [string, string]]),
    ...Object.entries(entry.auxAddresses).map(([name, address]): [string, string] => [`auxiliary address ${name}`, address]),
  ];
  return [...rangeProblems(entry.ipRange, cidr), ...addresses.flatMap(([label, address]) => addressProblems(label, address, cidr))];
}

function rangeProblems(text: string, subnet: Cidr): string[] {
  if (text === '') return [];
  const range = parseCidr(text);
  if (range === undefined) return [`invalid ip-range ${text}: invalid CIDR block notation`];
  if (range.cidr.family !== subnet.family) return [`invalid ip-range ${text}: parent subnet is an IPv${subnet.family} block`];
  if (range.address.value !== range.cidr.base) return [`invalid ip-range ${text}: it should be ${formatCidr(range.cidr)}`];
  return containsCidr(subnet, range.cidr) ? [] : [`invalid ip-range ${text}: parent subnet ${formatCidr(subnet)} doesn't contain ip-range`];
}

function addressProblems(label: string, text: string, subnet: Cidr): string[] {
  const address = parseAddress(text);
  if (address === undefined) return [`invalid ${label}: invalid address`];
  if (address.family !== subnet.family) return [`invalid ${label}: parent subnet is an IPv${subnet.family} block`];
  return containsAddress(subnet, address) ? [] : [`invalid ${label}: parent subnet ${formatCidr(subnet)} doesn't contain this address`];
}

export interface AddressRequest {
  /** The network as errors name it. */
  readonly network: { readonly name: string; readonly id: string; readonly config: readonly IpamConfig[] };
  readonly family: 4 | 6;
  /** Static address, or empty. */
  readonly address: string;
  /** Addresses of the network's other containers. */
  readonly taken: Iterable<string>;
}

/** A container's address on a network, with its subnet's entry. Never one that is taken, the gateway's or an auxiliary one. */
export function chooseAddress(request: AddressRequest): { address: string; prefixLength: number; config: IpamConfig } {
  const entries = request.network.config.filter((entry) => parseCidr(entry.subnet)?.cidr.family === request.family);
  const taken = valuesOf(request.taken);
  const wanted = request.address === '' ? undefined : parseAddress(request.address);
  for (const entry of entries) {
    const subnet = subnetOf(entry);
    const unavailable = new Set([...taken, ...valuesOf([entry.gateway, ...Object.values(entry.auxAddresses)])]);
    if (wanted !== undefined) {
      if (!containsAddress(subnet, wanted)) continue;
      if (unavailable.has(wanted.value)) throw forbidden('Address already in use');
      return { address: formatAddress(wanted), prefixLength: subnet.length, config: entry };
    }
    const value = lowestFree(subnet, rangeOf(entry, subnet), unavailable);
    if (value !== undefined) return { address: formatAddress({ family: request.family, value }), prefixLength: subnet.length, config: entry };
  }
  const { name, id } = request.network;
  if (request.address !== '') throw invalid(`no configured subnet or ip-range contain the IP address ${request.address}`);
  throw conflict(`no available IPv${request.family} addresses on this network's address pools: ${name} (${id})`);
}

/** The MAC address that Docker derives from a v4 address, so that an address comes back with the neighbours' entries valid. */
export function macOf(ipv4: string): string {
  const parsed = parseAddress(ipv4);
  if (parsed?.family !== 4) throw invalid(`invalid IPv4 address ${ipv4}`);
  return `02:42:${ipv4.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0')).join(':')}`;
}

/** The prefix of a resolved entry. */
export const subnetOf = (entry: IpamConfig): Cidr => prefixOf(entry.subnet);

/** A prefix of a record. */
export function prefixOf(text: string): Cidr {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw invalid(`invalid subnet ${text}: invalid CIDR block notation`);
  return parsed.cidr;
}

const rangeOf = (entry: IpamConfig, subnet: Cidr): Cidr => parseCidr(entry.ipRange)?.cidr ?? subnet;

const canonical = (text: string): string => {
  const address = parseAddress(text);
  return address === undefined ? text : formatAddress(address);
};

function valuesOf(addresses: Iterable<string>): Set<bigint> {
  const values = new Set<bigint>();
  for (const text of addresses) {
    const address = parseAddress(text);
    if (address !== undefined) values.add(address.value);
  }
  return values;
}
