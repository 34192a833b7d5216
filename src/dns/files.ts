/** The resolver's folder in the exec root: one file per container, the lock and the socket of the process. */
import { isIP } from 'node:net';
import { internal } from '../base/errors.ts';
import type { NamedEndpoint, SandboxNames, Upstream } from '../core/ports/names.ts';
import { RESOLVER_ADDRESS } from '../core/ports/names.ts';

export const LOCK_FILE = 'lock';
/** The last error that nobody expected. */
export const ERROR_FILE = 'last-error';
export const CONTROL_SOCKET = 'dns.sock';
/** A shell script that becomes the resolver: what its unit runs, or a shim that finds it gone. */
export const START_FILE = 'start';

export const isContainerId = (text: string): boolean => /^[0-9a-f]{64}$/.test(text);
export const namesFile = (id: string): string => `${id}.json`;

/** Reads a container's file. Throws if it is not one, or of a newer release. */
export function parseNames(text: string, id: string): SandboxNames {
  const value: unknown = JSON.parse(text);
  const { schema, netnsPath, shimDir, ports, endpoints, upstreams } = fieldsOf(value);
  if (schema !== 1) throw internal(`names of schema ${String(schema)}`);
  const { udp, tcp } = fieldsOf(ports);
  if (typeof netnsPath !== 'string' || typeof shimDir !== 'string' || typeof udp !== 'number' || typeof tcp !== 'number') throw internal('names without their sockets');
  return { schema, id, netnsPath, shimDir, ports: { udp, tcp }, endpoints: listOf(endpoints).map(parseEndpoint), upstreams: listOf(upstreams).flatMap(parseUpstream) };
}

function parseEndpoint(value: unknown): NamedEndpoint {
  const { networkId, networkName, ipv4, ipv6, names, links } = fieldsOf(value);
  if (typeof networkId !== 'string' || typeof networkName !== 'string' || typeof ipv4 !== 'string' || typeof ipv6 !== 'string') throw internal('names without their network');
  return { networkId, networkName, ipv4, ipv6, names: listOf(names).filter(isText), links: Object.fromEntries(Object.entries(fieldsOf(links)).filter((entry): entry is [string, string] => isText(entry[1]))) };
}

/** The resolver itself is none: it would ask itself for ever. */
function parseUpstream(value: unknown): Upstream[] {
  const { address, from } = fieldsOf(value);
  if (!isText(address) || isIP(address) === 0 || (from !== 'host' && address === RESOLVER_ADDRESS)) return [];
  return [{ address, from: from === 'host' ? 'host' : 'container' }];
}

const isText = (value: unknown): value is string => typeof value === 'string';
const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

function fieldsOf(value: unknown): Record<string, unknown> {
  if (typeof value !== 'object' || value === null) throw internal('names that are no object');
  return value as Record<string, unknown>;
}
