/** What a container's question is answered with, or that others have to be asked. Pure. */
import { bytesOf, formatAddress, parseAddress } from '../base/cidr.ts';
import type { Directory } from './directory.ts';
import { CLASS_IN, encodeName, RCODE, TYPE } from './message.ts';
import type { Answer, Query } from './message.ts';

/** Seconds, as Docker says. Whoever caches for that long may miss that a container was replaced: so it is with Docker. */
const TTL = 600;

export type Decision = { readonly kind: 'reply'; readonly rcode: number; readonly answers: readonly Answer[] } | { readonly kind: 'forward' };

const FORWARD: Decision = { kind: 'forward' };
const reply = (answers: readonly Answer[], rcode: number = RCODE.ok): Decision => ({ kind: 'reply', rcode, answers });

/**
 * A name that a container has is answered here, whatever is asked about it: with no records if it has none of that type,
 * never with what somebody outside says about the same name.
 */
export function decide(directory: Directory, clientId: string, { question, edns }: Query): Decision {
  if (edns !== undefined && edns.version > 0) return reply([], RCODE.badVersion);
  if (question.class !== CLASS_IN) return FORWARD;
  const address = question.type === TYPE.PTR ? reverseAddress(question.name) : undefined;
  if (address !== undefined) {
    const target = encodeName(directory.reverse(clientId, address) ?? '');
    return target === undefined ? FORWARD : reply([{ type: TYPE.PTR, ttl: TTL, data: target }]);
  }
  const found = directory.lookup(clientId, question.name);
  if (found === undefined) return FORWARD;
  const wants = (type: number): boolean => question.type === type || question.type === TYPE.ANY;
  return reply([
    ...(wants(TYPE.A) ? found.ipv4 : []).flatMap((each) => addressAnswer(TYPE.A, each)),
    ...(wants(TYPE.AAAA) ? found.ipv6 : []).flatMap((each) => addressAnswer(TYPE.AAAA, each)),
  ]);
}

function addressAnswer(type: number, text: string): Answer[] {
  const address = parseAddress(text);
  return address?.family === (type === TYPE.A ? 4 : 6) ? [{ type, ttl: TTL, data: bytesOf(address) }] : [];
}

/** The address that a name below in-addr.arpa or ip6.arpa stands for. */
export function reverseAddress(name: string): string | undefined {
  const v4 = /^(\d{1,3}(?:\.\d{1,3}){3})\.in-addr\.arpa$/.exec(name)?.[1];
  const v6 = /^([0-9a-f](?:\.[0-9a-f]){31})\.ip6\.arpa$/.exec(name)?.[1];
  const turned = (v4 ?? v6 ?? '').split('.').toReversed();
  const text = v4 === undefined ? (turned.join('').match(/.{4}/g) ?? []).join(':') : turned.join('.');
  const address = parseAddress(text);
  return address === undefined ? undefined : formatAddress(address);
}
