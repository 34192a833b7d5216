/**
 * The packet filter, planned. One table `inet moored`; published ports are elements of maps and networks elements of
 * sets, so that starting a container changes elements only. What is wanted is compared with what is there, and the
 * difference is one transaction: nothing is flushed, and nothing is changed that is right.
 *
 * Rules carry a comment with a hash of their text. Comparing comments does not depend on how some version of nft
 * prints a rule, and tells a rule of an older release from today's.
 */
import { createHash } from 'node:crypto';

export const FAMILY = 'inet';
export const TABLE = 'moored';

/** A bridge network as the filter needs it; subnets as `a.b.c.d/n`. */
export interface FirewallNetwork {
  readonly bridge: string;
  readonly internal: boolean;
  /** Its containers reach each other. */
  readonly icc: boolean;
  readonly subnets4: readonly string[];
  readonly subnets6: readonly string[];
  readonly masquerade4: boolean;
  readonly masquerade6: boolean;
  /** Source address of outgoing traffic instead of masquerading, or empty. */
  readonly source4: string;
  readonly source6: string;
  /** What of its containers is reached from outside at their own addresses, per family. */
  readonly reach4: DirectReach;
  readonly reach6: DirectReach;
  /** They answer to ICMP from outside (gateway mode routed). */
  readonly ping4: boolean;
  readonly ping6: boolean;
  /** Links of the host that reach published ports in any case. */
  readonly trusted: readonly string[];
}

/** Nothing (only what is translated from a port of the host), published ports, or all ports. */
export type DirectReach = 'translated' | 'published' | 'open';

/** A port of a container, at its own address. */
export interface ContainerPort {
  readonly proto: 'tcp' | 'udp' | 'sctp';
  readonly address: string;
  readonly port: number;
}

/** One container may reach a port of another on a network whose containers otherwise do not reach each other. */
export interface FirewallLink extends ContainerPort {
  /** The v4 address of the one that may. */
  readonly from: string;
}

/** A published port that the filter translates: both addresses of one family. */
export interface FirewallPort {
  readonly proto: 'tcp' | 'udp' | 'sctp';
  /** `0.0.0.0` and `::` are every address of the host. */
  readonly hostIp: string;
  readonly hostPort: number;
  readonly address: string;
  readonly port: number;
}

export type Atom = string | number;
export interface Element {
  readonly key: readonly Atom[];
  /** Of a map. */
  readonly data?: readonly Atom[];
}

export interface Chain {
  /** `type nat hook prerouting priority -100`, or absent for one that is jumped to. */
  readonly hook?: { readonly type: string; readonly hook: string; readonly priority: number; readonly policy: 'accept' | 'drop' };
  readonly rules: readonly string[];
}

export interface Ruleset {
  readonly sets: Readonly<Record<string, ReadonlyMap<string, Element>>>;
  readonly chains: Readonly<Record<string, Chain>>;
}

/** What there is: rules by their comments. */
export interface ObservedChain {
  readonly hook?: Chain['hook'];
  readonly rules: readonly { readonly handle: number; readonly comment: string }[];
}
export interface ObservedRuleset {
  readonly sets: ReadonlyMap<string, { readonly type: string; readonly elements: ReadonlyMap<string, Element> }>;
  readonly chains: ReadonlyMap<string, ObservedChain>;
}

const ifname = ['ifname'];
/** Types of the sets and maps. */
const SETS: Readonly<Record<string, { readonly key: readonly string[]; readonly data?: readonly string[] }>> = {
  bridges: { key: ifname },
  internal: { key: ifname },
  links4: { key: ['ipv4_addr', 'ipv4_addr', 'inet_proto', 'inet_service'] },
  published4: { key: ['ipv4_addr', 'inet_proto', 'inet_service'] },
  published6: { key: ['ipv6_addr', 'inet_proto', 'inet_service'] },
  same: { key: ['ifname', 'ifname'] },
  ports4: { key: ['inet_proto', 'ipv4_addr', 'inet_service'], data: ['ipv4_addr', 'inet_service'] },
  anyport4: { key: ['inet_proto', 'inet_service'], data: ['ipv4_addr', 'inet_service'] },
  ports6: { key: ['inet_proto', 'ipv6_addr', 'inet_service'], data: ['ipv6_addr', 'inet_service'] },
  anyport6: { key: ['inet_proto', 'inet_service'], data: ['ipv6_addr', 'inet_service'] },
};

const elementId = (element: Element): string =>
  element.data === undefined ? element.key.join(' . ') : `${element.key.join(' . ')} : ${element.data.join(' . ')}`;

/** The element of a published port, and the map it belongs to. */
export function portElement(port: FirewallPort): { map: string; element: Element } {
  const family = port.hostIp.includes(':') ? 6 : 4;
  const any = port.hostIp === '0.0.0.0' || port.hostIp === '::';
  return {
    map: any ? `anyport${family}` : `ports${family}`,
    element: { key: any ? [port.proto, port.hostPort] : [port.proto, port.hostIp, port.hostPort], data: [port.address, port.port] },
  };
}

export interface FirewallRequest {
  readonly networks: readonly FirewallNetwork[];
  readonly ports: readonly FirewallPort[];
  /** Published ports that can be reached at their containers' own addresses from somewhere. */
  readonly direct: readonly ContainerPort[];
  readonly links: readonly FirewallLink[];
  /** Drop what is forwarded and concerns no network of ours (see NetConfig.ipForward). */
  readonly dropOthers: boolean;
}

/** The whole rule set that networks and published ports make. */
export function desiredRuleset(request: FirewallRequest): Ruleset {
  const networks = request.networks.toSorted((a, b) => (a.bridge < b.bridge ? -1 : 1));
  const sets: Record<string, Map<string, Element>> = Object.fromEntries(Object.keys(SETS).map((name) => [name, new Map()]));
  const add = (name: string, element: Element): void => {
    sets[name]?.set(elementId(element), element);
  };
  for (const { bridge, internal, icc } of networks) {
    add('bridges', { key: [bridge] });
    if (icc) add('same', { key: [bridge, bridge] });
    if (internal) add('internal', { key: [bridge] });
  }
  for (const port of request.ports) {
    const { map, element } = portElement(port);
    add(map, element);
  }
  for (const { address, proto, port } of request.direct) add(address.includes(':') ? 'published6' : 'published4', { key: [address, proto, port] });
  for (const { from, address, proto, port } of request.links) add('links4', { key: [from, address, proto, port] });
  return { sets, chains: chainsOf(networks, request.dropOthers) };
}

function chainsOf(networks: readonly FirewallNetwork[], dropOthers: boolean): Record<string, Chain> {
  const base = (type: string, hook: string, priority: number): NonNullable<Chain['hook']> => ({ type, hook, priority, policy: 'accept' });
  return {
    // With route_localnet on, nothing else would keep a container from speaking as, or to, the host's loopback.
    loopback: {
      hook: base('filter', 'prerouting', -300),
      rules: ['iifname @bridges ip daddr 127.0.0.0/8 drop', 'iifname @bridges ip saddr 127.0.0.0/8 drop'],
    },
    prerouting: {
      hook: base('nat', 'prerouting', -100),
      // A port published on 127.0.0.1 is not for a neighbour who sends there what is for himself.
      rules: ['iifname != "lo" ip daddr 127.0.0.0/8 return', 'fib daddr type local jump publish'],
    },
    output: { hook: base('nat', 'output', -100), rules: ['fib daddr type local jump publish'] },
    publish: {
      rules: [
        'dnat ip to meta l4proto . ip daddr . th dport map @ports4',
        'dnat ip to meta l4proto . th dport map @anyport4',
        // The kernel does not route what comes from ::1 to anywhere else: a relay serves it.
        'ip6 daddr ::1 return',
        'dnat ip6 to meta l4proto . ip6 daddr . th dport map @ports6',
        'dnat ip6 to meta l4proto . th dport map @anyport6',
      ],
    },
    postrouting: { hook: base('nat', 'postrouting', 100), rules: postroutingOf(networks) },
    forward: { hook: { ...base('filter', 'forward', 0), policy: dropOthers ? 'drop' : 'accept' }, rules: forwardOf(networks) },
  };
}

function postroutingOf(networks: readonly FirewallNetwork[]): string[] {
  const perNetwork = networks.flatMap((network) => {
    const families = [
      { protocol: 'ip', subnets: network.subnets4, masquerade: network.masquerade4, source: network.source4 },
      { protocol: 'ip6', subnets: network.subnets6, masquerade: network.masquerade6, source: network.source6 },
    ];
    return families.flatMap(({ protocol, subnets, masquerade, source }) => subnets.flatMap((subnet) => {
      // Container to published port of the same network: the answer has to come back through the host.
      const hairpin = `oifname "${network.bridge}" ct status dnat ${protocol} saddr ${subnet} masquerade`;
      if (!masquerade || network.internal) return [hairpin];
      const target = source === '' ? 'masquerade' : `snat ${protocol} to ${source}`;
      return [hairpin, `oifname != "${network.bridge}" ${protocol} saddr ${subnet} ${target}`];
    }));
  });
  // The host to a published port: its loopback address would be refused by the container.
  return ['oifname @bridges ct status dnat fib saddr type local masquerade', ...perNetwork];
}

function forwardOf(networks: readonly FirewallNetwork[]): string[] {
  const reached = networks.flatMap(({ bridge, reach4, reach6, ping4, ping6, trusted }) => [
    ...reachRules({ bridge, protocol: 'ip', reach: reach4, ping: ping4, trusted }),
    ...reachRules({ bridge, protocol: 'ip6', reach: reach6, ping: ping6, trusted }),
  ]);
  return [
    'iifname . oifname @same accept',
    // Their bridge ports are isolated: they meet here, the host standing in for each (proxy ARP).
    'ip saddr . ip daddr . meta l4proto . th dport @links4 accept',    'iifname @internal drop',
    'oifname @internal drop',
    'oifname @bridges ct state established,related accept',
    'oifname @bridges ct status dnat accept',
    ...reached,
    'oifname @bridges drop',
    'iifname @bridges accept',
  ];
}

interface Reached {
  readonly bridge: string;
  readonly protocol: 'ip' | 'ip6';
  readonly reach: DirectReach;
  readonly ping: boolean;
  readonly trusted: readonly string[];
}

function reachRules({ bridge, protocol, reach, ping, trusted }: Reached): string[] {
  const [family, icmp, set] = protocol === 'ip' ? ['ipv4', 'icmp', 'published4'] : ['ipv6', 'ipv6-icmp', 'published6'];
  const published = `oifname "${bridge}" ${protocol} daddr . meta l4proto . th dport @${set} accept`;
  return [
    ...(reach === 'open' ? [`oifname "${bridge}" iifname != @bridges meta nfproto ${family} accept`] : []),
    ...(reach === 'published' ? [published] : []),
    ...(reach === 'translated' && trusted.length > 0 ? [`iifname { ${trusted.map((name) => `"${name}"`).join(', ')} } ${published}`] : []),
    ...(ping ? [`oifname "${bridge}" meta nfproto ${family} meta l4proto ${icmp} accept`] : []),
  ];
}

/** The comment that a rule carries. */
export const ruleComment = (rule: string): string => `moored ${createHash('sha256').update(rule).digest('hex').slice(0, 16)}`;

const hookText = (hook: NonNullable<Chain['hook']>): string => `type ${hook.type} hook ${hook.hook} priority ${hook.priority}`;
const setTypeText = (name: string): string => {
  const { key = [], data } = SETS[name] ?? {};
  return data === undefined ? key.join(' . ') : `${key.join(' . ')} : ${data.join(' . ')}`;
};

/** The transaction (nft's language) that makes `observed` what is desired; empty if it is. `undefined`: there is no table. */
export function planFirewall(desired: Ruleset, observed: ObservedRuleset | undefined): string[] {
  if (observed === undefined) return buildAll(desired);
  // Of another release: replaced as a whole, which for packets is one moment too.
  if (!sameShape(desired, observed)) return [`delete table ${FAMILY} ${TABLE}`, ...buildAll(desired)];
  return [
    ...Object.entries(desired.chains).flatMap(([name, chain]) => [...planPolicy(name, chain, observed), ...planRules(name, chain, observed)]),
    ...planElements(desired, (name) => observed.sets.get(name)?.elements ?? new Map()).map(elementCommand),
  ];
}

export interface ElementStep {
  readonly verb: 'add' | 'delete';
  readonly set: string;
  readonly element: Element;
}

/** Only the elements: what changes between two rule sets whose rules are the same. Deletions first. */
export function planElements(desired: Ruleset, observed: (set: string) => ReadonlyMap<string, Element>): ElementStep[] {
  const deletions: ElementStep[] = [];
  const additions: ElementStep[] = [];
  for (const [set, wanted] of Object.entries(desired.sets)) {
    const present = observed(set);
    for (const [id, element] of present) if (!wanted.has(id)) deletions.push({ verb: 'delete', set, element });
    for (const [id, element] of wanted) if (!present.has(id)) additions.push({ verb: 'add', set, element });
  }
  return [...deletions, ...additions];
}

/** The types of a set's key and a map's data. */
export const setTypes = (name: string): { readonly key: readonly string[]; readonly data?: readonly string[] } => SETS[name] ?? { key: [] };

/** True if both have the same rules, so that only elements can differ. */
export const sameRules = (a: Ruleset, b: Ruleset): boolean => JSON.stringify(a.chains) === JSON.stringify(b.chains);

function sameShape(desired: Ruleset, observed: ObservedRuleset): boolean {
  const chains = Object.entries(desired.chains);
  const sets = Object.keys(desired.sets);
  if (chains.length !== observed.chains.size || sets.length !== observed.sets.size) return false;
  const hook = (chain: { readonly hook?: Chain['hook'] } | undefined): string => (chain?.hook === undefined ? '' : hookText(chain.hook));
  return chains.every(([name, chain]) => observed.chains.has(name) && hook(observed.chains.get(name)) === hook(chain))
    && sets.every((name) => observed.sets.get(name)?.type === setTypeText(name));
}

function buildAll(desired: Ruleset): string[] {
  const table = `${FAMILY} ${TABLE}`;
  const empty = new Map<string, Element>();
  return [
    `add table ${table}`,
    ...Object.keys(desired.sets).map((name) => `add ${SETS[name]?.data === undefined ? 'set' : 'map'} ${table} ${name} { type ${setTypeText(name)}; }`),
    ...Object.entries(desired.chains).map(([name, { hook }]) =>
      hook === undefined ? `add chain ${table} ${name}` : `add chain ${table} ${name} { ${hookText(hook)}; policy ${hook.policy}; }`),
    ...Object.entries(desired.chains).flatMap(([name, { rules }]) => rules.map((rule) => `add rule ${table} ${name} ${withComment(rule)}`)),
    ...planElements(desired, () => empty).map(elementCommand),
  ];
}

function planPolicy(name: string, chain: Chain, observed: ObservedRuleset): string[] {
  if (chain.hook === undefined || observed.chains.get(name)?.hook?.policy === chain.hook.policy) return [];
  return [`add chain ${FAMILY} ${TABLE} ${name} { ${hookText(chain.hook)}; policy ${chain.hook.policy}; }`];
}

/** Keeps the rules that stand in the right order already, deletes the others, and puts the missing ones in their places. */
function planRules(name: string, chain: Chain, observed: ObservedRuleset): string[] {
  const present = observed.chains.get(name)?.rules ?? [];
  const place = `${FAMILY} ${TABLE} ${name}`;
  const deletions: string[] = [];
  const additions: string[] = [];
  let waiting: string[] = [];
  let next = 0;
  for (const { handle, comment } of present) {
    const index = chain.rules.findIndex((rule, i) => i >= next && ruleComment(rule) === comment);
    if (index < 0) {
      deletions.push(`delete rule ${place} handle ${handle}`);
      continue;
    }
    waiting = chain.rules.slice(next, index);
    additions.push(...waiting.map((rule) => `insert rule ${place} handle ${handle} ${withComment(rule)}`));
    next = index + 1;
  }
  additions.push(...chain.rules.slice(next).map((rule) => `add rule ${place} ${withComment(rule)}`));
  return [...additions, ...deletions];
}

const withComment = (rule: string): string => `${rule} comment "${ruleComment(rule)}"`;

function elementCommand({ verb, set, element }: ElementStep): string {
  const types = setTypes(set).key;
  const key = element.key.map((atom, i) => (types[i] === 'ifname' ? `"${atom}"` : atom)).join(' . ');
  const data = element.data === undefined || verb === 'delete' ? '' : ` : ${element.data.join(' . ')}`;
  return `${verb} element ${FAMILY} ${TABLE} ${set} { ${key}${data} }`;
}
