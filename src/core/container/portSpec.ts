/** Ports as Docker writes them: `80/tcp` as key, `8000-8010` on the host. */
import { invalid } from '../../base/errors.ts';

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'];

/** `80`, `8000-8010`, with or without `/proto`; invalid `invalid port specification: "x"`. */
export function parsePort(text: string): PortRange {
  const match = /^(\d{1,5})(?:-(\d{1,5}))?(?:\/\w+)?$/.exec(text);
  const first = Number(match?.[1] ?? NaN);
  const last = Number(match?.[2] ?? first);
  if (match === null || first > 65_535 || last > 65_535 || last < first) throw invalid(`invalid port specification: "${text}"`);
  return { first, last };
}

/** A container's port, `80/tcp` or `80`. */
export function parsePortKey(text: string): { port: number; proto: 'tcp' | 'udp' | 'sctp' } {
  const [number = '', proto = 'tcp'] = text.split('/');
  if (!/^\d{1,5}$/.test(number) || Number(number) > 65_535) throw invalid(`invalid port specification: "${number}"`);
  const lower = proto.toLowerCase();
  if (!isProtocol(lower)) throw invalid(`invalid port specification: "${text}": invalid protocol: "${proto}"`);
  return { port: Number(number), proto: lower };
}

const isProtocol = (text: string): text is 'tcp' | 'udp' | 'sctp' => PROTOCOLS.includes(text);
