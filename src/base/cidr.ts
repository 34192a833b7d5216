/** IP addresses and prefixes as numbers, v4 and v6 alike. */
import { isIP } from 'node:net';

export interface Address {
  readonly family: 4 | 6;
  readonly value: bigint;
}

/** A prefix in its canonical form: the bits behind its length are zero. */
export interface Cidr {
  readonly family: 4 | 6;
  readonly base: bigint;
  readonly length: number;
}

const bitsOf = (family: 4 | 6): number => (family === 4 ? 32 : 128);

/** An address without a zone, or undefined if the text is none. A v4-mapped v6 address stays v6. */
export function parseAddress(text: string): Address | undefined {
  switch (text.includes('%') ? 0 : isIP(text)) {
    case 4: return { family: 4, value: valueV4(text) };
    case 6: return { family: 6, value: valueV6(text) };
    default: return undefined;
  }
}

const valueV4 = (text: string): bigint => text.split('.').reduce((value, byte) => (value << 8n) | BigInt(byte), 0n);

function valueV6(text: string): bigint {
  const embedded = /\d+\.\d+\.\d+\.\d+$/.exec(text)?.[0];
  const low = embedded === undefined ? undefined : valueV4(embedded);
  const plain = embedded === undefined || low === undefined
    ? text
    : text.slice(0, -embedded.length) + `${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`;
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const left = groups(head);
  const right = groups(tail ?? '');
  const all = tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right];
  return all.reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}

/** The canonical text: dotted for v4, RFC 5952 for v6. */
export function formatAddress(address: Address): string {
  if (address.family === 4) return [24n, 16n, 8n, 0n].map((shift) => (address.value >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((address.value >> BigInt(112 - i * 16)) & 0xffffn).toString(16));
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return groups.join(':');
  return `${groups.slice(0, start).join(':')}::${groups.slice(start + length).join(':')}`;
}

function longestZeroRun(groups: readonly string[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let length = 0;
  groups.forEach((group, index) => {
    length = group === '0' ? length + 1 : 0;
    if (length > best.length) best = { start: index - length + 1, length };
  });
  return best;
}

/** The address as it stands in packets: four or sixteen bytes. */
export const bytesOf = (address: Address): Buffer =>
  Buffer.from(address.value.toString(16).padStart(bitsOf(address.family) / 4, '0'), 'hex');

/** The inverse. */
export const addressOfBytes = (bytes: Buffer): Address => ({
  family: bytes.length === 4 ? 4 : 6,
  value: BigInt(`0x${bytes.toString('hex')}`),
});

/** `address/length` as its address and its prefix, or undefined. */
export function parseCidr(text: string): { address: Address; cidr: Cidr } | undefined {
  const match = /^([^/]+)\/(\d{1,3})$/.exec(text);
  const address = parseAddress(match?.[1] ?? '');
  const length = Number(match?.[2]);
  if (address === undefined || length > bitsOf(address.family)) return undefined;
  return { address, cidr: cidrOf(address, length) };
}

/** The prefix of that length in which an address lies. */
export function cidrOf(address: Address, length: number): Cidr {
  const host = BigInt(bitsOf(address.family) - length);
  return { family: address.family, base: (address.value >> host) << host, length };
}

export const formatCidr = (cidr: Cidr): string => `${formatAddress({ family: cidr.family, value: cidr.base })}/${cidr.length}`;

/** How many addresses a prefix has, its first and last ones included. */
export const sizeOf = (cidr: Cidr): bigint => 1n << BigInt(bitsOf(cidr.family) - cidr.length);

export const lastOf = (cidr: Cidr): bigint => cidr.base + sizeOf(cidr) - 1n;

export const containsAddress = (cidr: Cidr, address: Address): boolean =>
  cidr.family === address.family && address.value >= cidr.base && address.value <= lastOf(cidr);

/** True if every address of `inner` is one of `outer`. */
export const containsCidr = (outer: Cidr, inner: Cidr): boolean =>
  outer.family === inner.family && inner.base >= outer.base && lastOf(inner) <= lastOf(outer);

/** Two prefixes overlap exactly if one contains the other. */
export const overlaps = (a: Cidr, b: Cidr): boolean => containsCidr(a, b) || containsCidr(b, a);

/** True for 0.0.0.0 and `::`. */
export const isUnspecified = (text: string): boolean => parseAddress(text)?.value === 0n;
