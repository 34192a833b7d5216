/** Reads what `nft -j list table inet moored` prints, and looks for rules of others that hinder ours. */
import { formatAddress, parseAddress } from '../../base/cidr.ts';
import type { Atom, Chain, Element, ObservedRuleset } from './firewall.ts';
import { TABLE } from './firewall.ts';

type Json = Readonly<Record<string, unknown>>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);
const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');
const numberOf = (value: unknown): number => (typeof value === 'number' ? value : 0);

/** The objects of our table; whatever is not understood makes the shape differ from the desired one. */
export function parseRuleset(objects: readonly unknown[]): ObservedRuleset {
  const sets = new Map<string, { type: string; elements: Map<string, Element> }>();
  const chains = new Map<string, { hook?: Chain['hook']; rules: { handle: number; comment: string }[] }>();
  for (const object of objects) {
    if (!isObject(object)) continue;
    const set = object['set'] ?? object['map'];
    if (isObject(set)) sets.set(textOf(set['name']), parseSet(set));
    const chain = object['chain'];
    if (isObject(chain)) chains.set(textOf(chain['name']), { ...hookOf(chain), rules: [] });
    const rule = object['rule'];
    if (isObject(rule)) chains.get(textOf(rule['chain']))?.rules.push({ handle: numberOf(rule['handle']), comment: textOf(rule['comment']) });
  }
  return { sets, chains };
}

function hookOf(chain: Json): { hook: NonNullable<Chain['hook']> } | Record<never, never> {
  if (chain['hook'] === undefined) return {};
  return {
    hook: {
      type: textOf(chain['type']),
      hook: textOf(chain['hook']),
      priority: numberOf(chain['prio']),
      policy: chain['policy'] === 'drop' ? 'drop' : 'accept',
    },
  };
}

function parseSet(set: Json): { type: string; elements: Map<string, Element> } {
  const key = [set['type']].flat().map(textOf).join(' . ');
  const isMap = set['map'] !== undefined;
  const elements = new Map<string, Element>();
  for (const item of Array.isArray(set['elem']) ? set['elem'] : []) {
    const element = parseElement(item, isMap);
    if (element === undefined) continue;
    const id = element.data === undefined ? element.key.join(' . ') : `${element.key.join(' . ')} : ${element.data.join(' . ')}`;
    elements.set(id, element);
  }
  return { type: isMap ? `${key} : ${[set['map']].flat().map(textOf).join(' . ')}` : key, elements };
}

function parseElement(item: unknown, isMap: boolean): Element | undefined {
  if (!isMap) return { key: atomsOf(item) };
  return Array.isArray(item) ? { key: atomsOf(item[0]), data: atomsOf(item[1]) } : undefined;
}

/** An element's parts; addresses in our canonical text, which nft does not share for all of them. */
function atomsOf(value: unknown): Atom[] {
  const wrapped = isObject(value) && isObject(value['elem']) ? value['elem']['val'] : value;
  const parts = isObject(wrapped) && Array.isArray(wrapped['concat']) ? wrapped['concat'] : [wrapped];
  return parts.map((part) => {
    if (typeof part === 'number') return part;
    const address = parseAddress(textOf(part));
    return address === undefined ? textOf(part) : formatAddress(address);
  });
}

/**
 * Chains of others that drop what is forwarded unless they know it (iptables' FORWARD with policy DROP): an accept of
 * ours does not override them. `objects` is what `nft -j list chains` prints.
 */
export function foreignDrops(objects: readonly unknown[]): string[] {
  return objects.flatMap((object) => {
    const chain = isObject(object) ? object['chain'] : undefined;
    if (!isObject(chain) || chain['hook'] !== 'forward' || chain['policy'] !== 'drop') return [];
    if (chain['table'] === TABLE || chain['family'] === 'bridge') return [];
    return [`chain ${textOf(chain['name'])} of table ${textOf(chain['family'])} ${textOf(chain['table'])} drops forwarded packets by default: published ports cannot be reached from other hosts unless it lets them pass`];
  });
}
