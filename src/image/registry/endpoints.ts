/** Where a registry is to be found, and how far it is to be trusted: mirrors, insecure registries, certificates. */
import { lookup } from 'node:dns/promises';
import { readFile, readdir } from 'node:fs/promises';
import { BlockList, isIP } from 'node:net';
import { join } from 'node:path';
import { getCACertificates } from 'node:tls';
import type { SecureContextOptions } from 'node:tls';
import { errnoOf, internal } from '../../base/errors.ts';
import { DEFAULT_DOMAIN } from '../../core/image/reference.ts';

/** One way to reach a registry. */
export interface Endpoint {
  /** `https://registry-1.docker.io` */
  readonly base: string;
  /** False: any certificate is taken. */
  readonly verify: boolean;
  /** Credentials of the registry are not for its mirrors. */
  readonly mirror: boolean;
}

const DOCKER_HUB = 'https://registry-1.docker.io';
/** Loopback is nobody else's: always tried without trust, as Docker does. */
const LOOPBACK: readonly string[] = ['127.0.0.0/8', '::1/128'];
const LOOKUP_MS = 5000;

/** The ways to a domain, best first. */
export async function endpointsOf(domain: string, options: { mirrors: readonly string[]; insecure: readonly string[]; push: boolean }): Promise<Endpoint[]> {
  if (domain === DEFAULT_DOMAIN) {
    const mirrors = options.push ? [] : await Promise.all(options.mirrors.map((url) => mirrorEndpoint(url, options.insecure)));
    return [...mirrors, { base: DOCKER_HUB, verify: true, mirror: false }];
  }
  if (!(await isInsecure(domain, options.insecure))) return [{ base: `https://${domain}`, verify: true, mirror: false }];
  return [
    { base: `https://${domain}`, verify: false, mirror: false },
    { base: `http://${domain}`, verify: false, mirror: false },
  ];
}

async function mirrorEndpoint(url: string, insecure: readonly string[]): Promise<Endpoint> {
  return { base: url.replace(/\/+$/, ''), verify: !(await isInsecure(new URL(url).host, insecure)), mirror: true };
}

/** Whether a host (`name:port`) is listed, by name or by a block that holds one of its addresses. */
export async function isInsecure(host: string, insecure: readonly string[]): Promise<boolean> {
  if (insecure.includes(host)) return true;
  const name = host.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
  const blocks = new BlockList();
  for (const entry of [...insecure, ...LOOPBACK]) addBlock(blocks, entry);
  const addresses = isIP(name) === 0 ? await resolve(name) : [name];
  return addresses.some((address) => blocks.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4'));
}

function addBlock(blocks: BlockList, entry: string): void {
  const [address = '', bits = ''] = entry.split('/');
  const family = isIP(address);
  if (family !== 0 && /^\d{1,3}$/.test(bits)) blocks.addSubnet(address, Number(bits), family === 6 ? 'ipv6' : 'ipv4');
}

async function resolve(name: string): Promise<string[]> {
  const late = AbortSignal.timeout(LOOKUP_MS);
  const gaveUp = new Promise<never>((_resolve, reject) => late.addEventListener('abort', () => reject(new Error('late')), { once: true }));
  try {
    return (await Promise.race([lookup(name, { all: true }), gaveUp])).map(({ address }) => address);
  } catch {
    // A name that has no address now is no insecure one; the connection will say what is wrong.
    return [];
  }
}

/** What TLS needs to talk to a host: the system's authorities, and Docker's `certs.d/<host>/` (`*.crt`, `*.cert` with `*.key`). */
export async function tlsOptions(host: string, certsFolder: string): Promise<SecureContextOptions> {
  const folder = join(certsFolder, host);
  const names = await listFolder(folder);
  const read = (name: string): Promise<string> => readFile(join(folder, name), 'utf8');
  const own = await Promise.all(names.filter((name) => name.endsWith('.crt')).map(read));
  const certificates = names.filter((name) => name.endsWith('.cert'));
  const keys = certificates.map((name) => name.replace(/cert$/, 'key'));
  const missing = keys.find((key) => !names.includes(key));
  if (missing !== undefined) throw internal(`missing key ${missing} for client certificate ${missing.replace(/key$/, 'cert')}. CA certificates must use the extension .crt`);
  return {
    ca: [...systemAuthorities(), ...own],
    ...(certificates.length === 0 ? {} : { cert: await Promise.all(certificates.map(read)), key: await Promise.all(keys.map(read)) }),
  };
}

async function listFolder(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw error;
  }
}

let authorities: string[] | undefined;

function systemAuthorities(): string[] {
  authorities ??= [...new Set([...getCACertificates('default'), ...getCACertificates('system')])];
  return authorities;
}
