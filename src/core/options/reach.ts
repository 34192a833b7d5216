/**
 * What a changed option means to the containers that are there. Docker's rule is the same for all of them: a container
 * keeps what it was made or started with. So what matters is when an option reaches one, and which containers are older.
 */
import { stringify } from '../../base/json.ts';
import type { Config, OptionName } from './table.ts';
import { OPTIONS } from './table.ts';

/**
 * - `creation`, `start`: it counts for containers that are created, or started, from then on.
 * - `networks`: for networks made from then on.
 * - `default network`: as soon as no running container uses it (`core/network/predefined.ts` compares and tells).
 * - `root`: as soon as no container of the one in use runs (`daemon/roots.ts`).
 * - `now`: at once, for all. So are options that are not in the table: they are the daemon's own.
 */
export type Reach = 'creation' | 'start' | 'networks' | 'default network' | 'root' | 'now';

export const REACH: Partial<Readonly<Record<OptionName, Reach>>> = {
  allowDirectRouting: 'now',
  bip: 'default network',
  bip6: 'default network',
  bridge: 'default network',
  cgroupParent: 'start',
  dataRoot: 'root',
  defaultAddressPools: 'networks',
  defaultCgroupnsMode: 'creation',
  defaultGateway: 'default network',
  defaultGatewayV6: 'default network',
  defaultIpcMode: 'creation',
  defaultNetworkOpts: 'networks',
  defaultRuntime: 'creation',
  defaultShmSize: 'creation',
  defaultStopTimeout: 'now',
  defaultUlimits: 'start',
  dns: 'start',
  dnsOpts: 'start',
  dnsSearch: 'start',
  execOpts: 'start',
  execRoot: 'root',
  fixedCidr: 'default network',
  fixedCidrV6: 'default network',
  hostGatewayIps: 'start',
  icc: 'default network',
  init: 'start',
  initPath: 'start',
  ip: 'default network',
  ip6tables: 'start',
  ipForward: 'now',
  ipMasq: 'default network',
  iptables: 'start',
  ipv6: 'default network',
  liveRestore: 'now',
  logDriver: 'creation',
  logOpts: 'creation',
  logPipeSize: 'start',
  mtu: 'default network',
  noNewPrivileges: 'start',
  runtimes: 'now',
  seccompProfile: 'start',
  storageDriver: 'creation',
  userlandProxy: 'start',
};

/** An option as it was at the last start or reload. */
export interface OptionNote {
  /** Canonical JSON. */
  value: string;
  /** When it changed to this; 0: never, since notes are taken. */
  sinceNs: bigint;
}

/** `options.json` of the data root, by the options' names. */
export interface OptionNotes {
  schema: 1;
  options: Record<string, OptionNote>;
}

export interface OptionChange {
  readonly option: string;
  readonly from: string;
  readonly to: string;
  readonly effect: string;
}

const EFFECTS: Readonly<Record<Reach, string>> = {
  creation: 'for containers created from now on',
  start: 'for containers started from now on',
  networks: 'for networks created from now on',
  'default network': 'as soon as no running container uses the default network',
  root: 'as soon as no container of the one in use runs',
  now: 'at once',
};

/** Roots tell about themselves. */
const noted: readonly (readonly [name: OptionName, reach: Reach])[] = Object.entries(REACH).filter(([, reach]) => reach !== 'root') as never;

/** The option's name as users write it in daemon.json. */
export const optionKey = (name: OptionName): string => {
  const option = OPTIONS[name];
  return 'key' in option && option.key !== undefined ? option.key.join('.') : 'flag' in option ? option.flag : name;
};

/** Compares what was noted with what holds now; gives the notes to keep, and what changed. */
export function noteOptions(before: OptionNotes | undefined, config: Config, nowNs: bigint): { notes: OptionNotes; changes: OptionChange[] } {
  const changes: OptionChange[] = [];
  const options: Record<string, OptionNote> = {};
  for (const [name, reach] of noted) {
    const old = before?.options[name];
    const value = canonical(config[name]);
    options[name] = old === undefined ? { value, sinceNs: 0n } : old.value === value ? old : { value, sinceNs: nowNs };
    if (old !== undefined && old.value !== value) changes.push({ option: optionKey(name), from: old.value, to: value, effect: EFFECTS[reach] });
  }
  return { notes: { schema: 1, options }, changes };
}

/** A container that runs. */
export interface Elder {
  readonly createdNs: bigint;
  readonly launchedNs: bigint;
}

/** Which running containers are older than options that reach a container at its creation or start; at most two lines. */
export function elders(notes: OptionNotes, running: readonly Elder[]): string[] {
  const line = (reach: 'creation' | 'start', bornOf: (elder: Elder) => bigint, text: string): string[] => {
    // Drivers of layers have a line of their own, which says more.
    const changed = noted.filter(([name, its]) => its === reach && name !== 'storageDriver').map(([name]) => ({ key: optionKey(name), sinceNs: notes.options[name]?.sinceNs ?? 0n }));
    const older = running.filter((elder) => changed.some(({ sinceNs }) => bornOf(elder) < sinceNs));
    if (older.length === 0) return [];
    const names = changed.filter(({ sinceNs }) => older.some((elder) => bornOf(elder) < sinceNs)).map(({ key }) => key);
    return [`changed since ${older.length} running ${older.length === 1 ? 'container was' : 'containers were'} ${text}: ${names.join(', ')}`];
  };
  return [
    ...line('creation', ({ createdNs }) => createdNs, 'created, and for new ones only'),
    ...line('start', ({ launchedNs }) => launchedNs, 'started, and for their next start'),
  ];
}

/** Options whose value is not the noted one: they count from the daemon's next start. (The default network's are told apart.) */
export const notYetNoted = (notes: OptionNotes, config: Config): string[] =>
  noted.filter(([name, reach]) => reach !== 'default network' && notes.options[name] !== undefined && notes.options[name].value !== canonical(config[name])).map(([name]) => optionKey(name));

/** Throws with the reason. */
export function parseOptionNotes(value: Record<string, unknown>): OptionNotes {
  const { options } = value;
  if (typeof options !== 'object' || options === null) throw new Error('it has no options');
  for (const note of Object.values(options as Record<string, unknown>)) {
    if (typeof note !== 'object' || note === null || !('value' in note) || typeof note.value !== 'string' || !('sinceNs' in note) || typeof note.sinceNs !== 'bigint') throw new Error('it has an option that is none');
  }
  return value as unknown as OptionNotes;
}

/** The same text for the same value, in whatever order its keys were written. */
const canonical = (value: unknown): string => stringify(sorted(value));

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = value instanceof Map ? [...value] : Object.entries(value);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (String(a) < String(b) ? -1 : 1)).map(([key, member]: [unknown, unknown]) => [String(key), sorted(member)]));
}
