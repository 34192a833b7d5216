/** Contents of /etc/hosts, /etc/hostname and /etc/resolv.conf in a container, by Docker's rules. */
import { isIP } from 'node:net';
import { invalid } from '../../base/errors.ts';
import type { Upstream } from '../ports/names.ts';

export interface HostsInput {
  readonly hostname: string;
  readonly domainname: string;
  /** The container's own, in the order of its networks. */
  readonly addresses: readonly string[];
  /** `--add-host`: `name:address`, `name=address` or `name:host-gateway`. */
  readonly extraHosts: readonly string[];
  readonly hostGatewayIps: readonly string[];
  /** With host networking: the host's own file, which then takes the place of the standard entries. */
  readonly hostFile?: string;
  /** `--link`: names and their address. */
  readonly links?: readonly { readonly address: string; readonly names: readonly string[] }[];
}

const STANDARD_HOSTS = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
];

/** /etc/hosts. invalid `bad format for add-host: "x"`, or that there is no gateway address to name. */
export function hostsFile(input: HostsInput): string {
  const start = input.hostFile === undefined ? STANDARD_HOSTS : [input.hostFile.replace(/\n+$/, '')];
  const extra = input.extraHosts.flatMap((entry) => {
    const { name, address } = parseExtraHost(entry);
    const addresses = address === HOST_GATEWAY ? gatewayAddresses(input.hostGatewayIps) : [address];
    return addresses.map((each) => `${each}\t${name}`);
  });
  const links = (input.links ?? []).map(({ address, names }) => `${address}\t${names.join(' ')}`);
  const own = ownNames(input);
  const addresses = own === '' ? [] : input.addresses.map((address) => `${address}\t${own}`);
  return `${[...start, ...extra, ...links, ...addresses].join('\n')}\n`;
}

/** The full name, and its first part if it has several. */
function ownNames({ hostname, domainname }: HostsInput): string {
  const full = domainname === '' ? hostname : `${hostname}.${domainname}`;
  const [first = ''] = full.split('.');
  return first === full ? full : `${full} ${first}`;
}

const HOST_GATEWAY = 'host-gateway';

function gatewayAddresses(addresses: readonly string[]): readonly string[] {
  if (addresses.length === 0) throw invalid('unable to derive the IP value for host-gateway');
  return addresses;
}

/** `name:address` (the address may be IPv6, with or without brackets). */
export function parseExtraHost(entry: string): { name: string; address: string } {
  const at = entry.search(/[:=]/);
  const name = at < 0 ? '' : entry.slice(0, at);
  const value = at < 0 ? '' : entry.slice(at + 1);
  if (name === '' || value === '' || /\s/.test(name)) throw invalid(`bad format for add-host: "${entry}"`);
  if (value === HOST_GATEWAY) return { name, address: value };
  const address = value.startsWith('[') && value.endsWith(']') ? value.slice(1, -1) : value;
  if (isIP(address) === 0) throw invalid(`invalid IP address in add-host: "${value}"`);
  return { name, address };
}

export const hostnameFile = (hostname: string): string => `${hostname}\n`;

export interface ResolvConfInput {
  /** Text of the host's file. */
  readonly host: string;
  /** Host networking: the host's name servers are as good inside, even on localhost. */
  readonly hostNetwork: boolean;
  /** Overrides; empty: the host's. A search of `.` means none. */
  readonly dns: readonly string[];
  readonly search: readonly string[];
  readonly options: readonly string[];
  /** Address of the resolver inside the container, on user-defined networks; the others are then asked by it. */
  readonly internalResolver?: string;
}

/** What to ask when the host's name servers are all on its localhost, which a container does not reach. */
export const FALLBACK_NAMESERVERS: readonly string[] = ['8.8.8.8', '8.8.4.4'];

export interface ResolverConfig {
  nameservers: string[];
  search: string[];
  options: string[];
}

/** What a container (or the internal resolver on its behalf) is to ask. */
export function resolverConfig(input: ResolvConfInput): ResolverConfig {
  const host = parseResolvConf(input.host);
  const reachable = input.hostNetwork ? host.nameservers : host.nameservers.filter((address) => !isLoopback(address));
  const inherited = reachable.length > 0 || input.hostNetwork ? reachable : [...FALLBACK_NAMESERVERS];
  const search = input.search.length > 0 ? input.search.filter((domain) => domain !== '.') : host.search;
  return {
    nameservers: input.dns.length > 0 ? [...input.dns] : inherited,
    search: [...search],
    options: input.options.length > 0 ? [...input.options] : host.options,
  };
}

/**
 * What the internal resolver asks on a container's behalf. Servers on the host's loopback are asked from the host; with
 * none there is nobody to ask.
 */
export function upstreamServers({ host, dns }: Pick<ResolvConfInput, 'host' | 'dns'>): Upstream[] {
  if (dns.length > 0) return dns.map((address) => ({ address, from: 'container' }));
  return parseResolvConf(host).nameservers.map((address) => ({ address, from: isLoopback(address) ? 'host' : 'container' }));
}

/** /etc/resolv.conf. */
export function resolvConf(input: ResolvConfInput): string {
  const overridden = input.dns.length + input.search.length + input.options.length > 0;
  if (input.hostNetwork && !overridden) return input.host;
  const config = resolverConfig(input);
  const inside = input.internalResolver;
  const nameservers = inside === undefined ? config.nameservers : [inside];
  // A single label must reach the internal resolver before a search list turns it into something else.
  const options = inside === undefined || config.options.some((option) => option.startsWith('ndots:'))
    ? config.options
    : [...config.options, 'ndots:0'];
  const lines = [
    '# Written by moored at the start of the container.',
    ...nameservers.map((address) => `nameserver ${address}`),
    ...(config.search.length > 0 ? [`search ${config.search.join(' ')}`] : []),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    ...(inside === undefined ? [] : [`# Names of no container are asked of: ${upstreamServers(input).map(({ address, from }) => (from === 'host' ? `host(${address})` : address)).join(' ')}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** resolv.conf(5); the last of several search lists or option lists counts, as in libc. */
export function parseResolvConf(text: string): ResolverConfig {
  const config: ResolverConfig = { nameservers: [], search: [], options: [] };
  for (const line of text.split('\n')) {
    const [keyword = '', ...rest] = line.replace(/[#;].*/, '').trim().split(/\s+/);
    const [first] = rest;
    if (keyword === 'nameserver' && first !== undefined && isIP(first.replace(/%.*/, '')) !== 0) config.nameservers.push(first);
    if ((keyword === 'search' || keyword === 'domain') && first !== undefined) config.search = rest;
    if (keyword === 'options') config.options = rest;
  }
  return config;
}

const isLoopback = (address: string): boolean => address.startsWith('127.') || address === '::1';
