/** Which proxy a request goes by: the daemon's options, else its environment, with Go's rules for `NO_PROXY`. */
import { BlockList, isIP } from 'node:net';

/** Addresses of the proxies and what goes without one; empty: not set. */
export interface ProxySettings {
  readonly http: string;
  readonly https: string;
  readonly no: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The options where they are given, the environment's variables where not. */
export function withEnvironment(settings: ProxySettings, env: Environment): ProxySettings {
  const variable = (name: string): string => env[name] || env[name.toLowerCase()] || '';
  return {
    http: settings.http || variable('HTTP_PROXY'),
    https: settings.https || variable('HTTPS_PROXY'),
    no: settings.no || variable('NO_PROXY'),
  };
}

/** The proxy's address, or undefined to go straight. Loopback is always reached straight. */
export function proxyFor(url: URL, { http, https, no }: ProxySettings): string | undefined {
  const proxy = url.protocol === 'https:' ? https : http;
  const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
  if (proxy === '' || isLoopback(host)) return undefined;
  const port = url.port || (url.protocol === 'https:' ? '443' : '80');
  const exempt = no.toLowerCase().split(',').some((entry) => matches(entry.trim(), host, port));
  return exempt ? undefined : proxy.includes('://') ? proxy : `http://${proxy}`;
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/** `*`, an address, a block of them, `example.com` (and below), `.example.com` (only below), each with a port or without. */
function matches(entry: string, host: string, port: string): boolean {
  if (entry === '') return false;
  if (entry === '*') return true;
  const block = /^([0-9a-f.:]+)\/(\d{1,3})$/.exec(entry);
  if (block !== null) return inBlock(host, block[1] ?? '', Number(block[2]));
  const [, name = '', entryPort = ''] = /^(.*?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry) ?? [];
  if (entryPort !== '' && entryPort !== port) return false;
  const bare = name.replace(/^\*/, '').replace(/^\[|\]$/g, '');
  if (isIP(bare) !== 0) return bare === host;
  return bare.startsWith('.') ? host.endsWith(bare) : host === bare || host.endsWith(`.${bare}`);
}

function inBlock(host: string, address: string, bits: number): boolean {
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || bits > (family === 6 ? 128 : 32)) return false;
  const blocks = new BlockList();
  blocks.addSubnet(address, bits, family === 6 ? 'ipv6' : 'ipv4');
  return blocks.check(host, family === 6 ? 'ipv6' : 'ipv4');
}
