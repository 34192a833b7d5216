/** Links of the host, planned: what is wanted against what there is gives steps, none if all is right. */

export interface ObservedLink {
  readonly name: string;
  readonly index: number;
  readonly kind: string;
  readonly master: number;
  readonly mtu: number;
  readonly up: boolean;
  readonly alias: string;
  readonly hairpin: boolean;
  readonly isolated: boolean;
}

export interface ObservedAddress {
  readonly index: number;
  readonly address: string;
  readonly prefixLength: number;
  readonly scope: number;
}

export interface WantedBridge {
  readonly name: string;
  readonly alias: string;
  /** 0: the kernel's. */
  readonly mtu: number;
  readonly addresses: readonly { readonly address: string; readonly prefixLength: number }[];
  /** A bridge of the user's: it has to be there, and nothing of it is changed. */
  readonly foreign: boolean;
}

/** The host's end of a container's link. */
export interface WantedPort {
  readonly name: string;
  /** Absent if it is not known where it belongs: nothing is done with it then, nor with the bridge it is on. */
  readonly place?: { readonly bridge: string; readonly isolated: boolean };
}

export type LinkStep =
  | { readonly kind: 'create-bridge'; readonly name: string; readonly alias: string; readonly mtu: number }
  | { readonly kind: 'set-up'; readonly name: string }
  | { readonly kind: 'set-mtu'; readonly name: string; readonly mtu: number }
  | { readonly kind: 'set-alias'; readonly name: string; readonly alias: string }
  | { readonly kind: 'add-address' | 'delete-address'; readonly name: string; readonly address: string; readonly prefixLength: number }
  | { readonly kind: 'join'; readonly name: string; readonly bridge: string }
  | { readonly kind: 'port-options'; readonly name: string; readonly isolated: boolean }
  | { readonly kind: 'delete-link'; readonly name: string };

export interface WantedLinks {
  readonly bridges: readonly WantedBridge[];
  readonly ports: readonly WantedPort[];
}

/** The alias with which links of ours begin. */
export const ALIAS = 'moored ';
const SCOPE_LINK = 253;

/** A container's port that is gone is not made again: its namespace's end went with it. */
export function planLinks(wanted: WantedLinks, links: readonly ObservedLink[], addresses: readonly ObservedAddress[]): LinkStep[] {
  const byName = new Map(links.map((link) => [link.name, link]));
  const claimed = new Set([...wanted.bridges, ...wanted.ports].map(({ name }) => name));
  const ports = new Set(wanted.ports.map(({ name }) => name));
  const inUse = new Set(links.filter(({ name, master }) => master !== 0 && ports.has(name)).map(({ master }) => master));
  const leftovers = links.filter((link) => link.alias.startsWith(ALIAS) && !claimed.has(link.name) && !inUse.has(link.index));
  return [
    ...leftovers.map((link): LinkStep => ({ kind: 'delete-link', name: link.name })),
    ...wanted.bridges.flatMap((bridge) => (bridge.foreign ? [] : planBridge(bridge, byName.get(bridge.name), addresses))),
    ...wanted.ports.flatMap((port) => planPort(port, byName)),
  ];
}

/** The steps for one bridge. */
export function planBridge(wanted: WantedBridge, link: ObservedLink | undefined, addresses: readonly ObservedAddress[]): LinkStep[] {
  const { name } = wanted;
  const steps: LinkStep[] = [];
  if (link === undefined) {
    steps.push({ kind: 'create-bridge', name, alias: wanted.alias, mtu: wanted.mtu });
  } else {
    if (!link.up) steps.push({ kind: 'set-up', name });
    if (wanted.mtu !== 0 && link.mtu !== wanted.mtu) steps.push({ kind: 'set-mtu', name, mtu: wanted.mtu });
    if (link.alias !== wanted.alias) steps.push({ kind: 'set-alias', name, alias: wanted.alias });
  }
  const present = link === undefined ? [] : addresses.filter((address) => address.index === link.index && address.scope !== SCOPE_LINK);
  const isSame = (a: { address: string; prefixLength: number }) => (b: { address: string; prefixLength: number }) =>
    a.address === b.address && a.prefixLength === b.prefixLength;
  for (const address of present) if (!wanted.addresses.some(isSame(address))) steps.push({ kind: 'delete-address', name, ...pick(address) });
  for (const address of wanted.addresses) if (!present.some(isSame(address))) steps.push({ kind: 'add-address', name, ...pick(address) });
  return steps;
}

const pick = ({ address, prefixLength }: { address: string; prefixLength: number }) => ({ address, prefixLength });

function planPort(wanted: WantedPort, byName: ReadonlyMap<string, ObservedLink>): LinkStep[] {
  const link = byName.get(wanted.name);
  if (link === undefined || wanted.place === undefined) return [];
  const { name, place: { bridge, isolated } } = wanted;
  const joined = link.master !== 0 && link.master === byName.get(bridge)?.index;
  return [
    ...(joined ? [] : [{ kind: 'join' as const, name, bridge }]),
    ...(joined && link.hairpin && link.isolated === isolated ? [] : [{ kind: 'port-options' as const, name, isolated }]),
    ...(link.up ? [] : [{ kind: 'set-up' as const, name }]),
  ];
}
