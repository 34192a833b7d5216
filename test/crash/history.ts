/**
 * The events that all daemons told, held against what there is: whatever came to be was told once, whatever went was told
 * once, and what comes in pairs alternates. An event that was lost and one that was told twice both break this.
 */
import { lines } from '../fixtures/daemon.ts';
import type { Daemon } from '../fixtures/daemon.ts';

export interface Event {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string; readonly Attributes: Readonly<Record<string, string>> };
  readonly timeNano: number;
}

/** Everything told so far, or what the filters say. */
export async function history(daemon: Daemon, filters: Record<string, string[]> = {}): Promise<Event[]> {
  const { text } = await daemon.request('GET', `/events?since=1&until=${Math.ceil(Date.now() / 1000) + 1}&filters=${encodeURIComponent(JSON.stringify(filters))}`);
  return lines(text).map((line) => JSON.parse(line) as Event);
}

interface Pair {
  readonly type: string;
  readonly begin: string;
  readonly end: string;
  /** It may begin again, and in other ways (an image that is pulled or committed): what was begun and not ended is there. */
  readonly again?: boolean;
  key(event: Event): string;
}

const byId = ({ Actor }: Event): string => Actor.ID;
const withContainer = ({ Actor }: Event): string => `${Actor.ID} of ${Actor.Attributes['container']}`;

const PAIRS: readonly Pair[] = [
  { type: 'container', begin: 'create', end: 'destroy', key: byId },
  { type: 'container', begin: 'start', end: 'die', key: byId },
  { type: 'network', begin: 'create', end: 'destroy', key: byId },
  { type: 'volume', begin: 'create', end: 'destroy', key: byId },
  { type: 'network', begin: 'connect', end: 'disconnect', key: withContainer },
  { type: 'volume', begin: 'mount', end: 'unmount', key: withContainer },
  { type: 'image', begin: 'load', end: 'delete', again: true, key: byId },
];

/** What is wrong with the history, one line each. The daemon is at rest: nothing is being started, stopped or removed. */
export async function historyProblems(daemon: Daemon): Promise<string[]> {
  const events = await history(daemon);
  const there = await present(daemon);
  return [...PAIRS.flatMap((pair) => pairProblems(pair, events, there.get(`${pair.type} ${pair.begin}`))), ...execProblems(events), ...orderProblems(events)];
}

/** Keys of what there is now, by the name of the event with which it began. */
async function present(daemon: Daemon): Promise<Map<string, Set<string>>> {
  const get = async (where: string): Promise<unknown> => (await daemon.request('GET', where)).json();
  const containers = (await get('/containers/json?all=1')) as { Id: string; State: string; Mounts: { Type: string; Name?: string }[] }[];
  const live = containers.filter(({ State }) => State === 'running' || State === 'paused' || State === 'restarting');
  const networks = (await get('/networks')) as { Id: string; Name: string }[];
  const volumes = ((await get('/volumes')) as { Volumes: { Name: string }[] | null }).Volumes ?? [];
  const images = (await get('/images/json')) as { Id: string }[];
  const endpoints = await Promise.all(live.map(async ({ Id }) =>
    Object.values(((await daemon.inspect(Id)) as { NetworkSettings: { Networks: Record<string, { NetworkID: string }> } }).NetworkSettings.Networks).map(({ NetworkID }) => `${NetworkID} of ${Id}`)));
  return new Map([
    ['container create', new Set(containers.map(({ Id }) => Id))],
    ['container start', new Set(live.filter(({ State }) => State !== 'restarting').map(({ Id }) => Id))],
    ['network create', new Set(networks.filter(({ Name }) => !['bridge', 'host', 'none'].includes(Name)).map(({ Id }) => Id))],
    ['volume create', new Set(volumes.map(({ Name }) => Name))],
    ['network connect', new Set(endpoints.flat())],
    ['volume mount', new Set(live.flatMap(({ Id, Mounts }) => Mounts.filter(({ Type }) => Type === 'volume').map(({ Name }) => `${Name ?? ''} of ${Id}`)))],
    ['image load', new Set(images.map(({ Id }) => Id))],
  ]);
}

function pairProblems(pair: Pair, events: readonly Event[], now: ReadonlySet<string> = new Set()): string[] {
  const problems: string[] = [];
  const open = new Map<string, boolean>();
  for (const event of events.filter(({ Type, Action }) => Type === pair.type && (Action === pair.begin || Action === pair.end))) {
    const key = pair.key(event);
    const begins = event.Action === pair.begin;
    if ((open.get(key) ?? false) === begins && pair.again !== true) problems.push(`${pair.type} ${event.Action} of ${key} was told although the last told was ${begins ? 'the same' : `no ${pair.begin}`}`);
    open.set(key, begins);
  }
  for (const [key, is] of open) if (is !== now.has(key) && (is || pair.again !== true)) problems.push(`${pair.type} ${key} ${is ? 'is not there' : 'is there'}, and the last told is ${is ? pair.begin : pair.end}`);
  if (pair.again !== true) for (const key of now) if (!open.has(key)) problems.push(`${pair.type} ${key} is there, and no ${pair.begin} was told`);
  return problems;
}

/** `exec_create: x`, `exec_start: x`, `exec_die`: each once at most, none without the one before; one that could not be started ends at once. */
function execProblems(events: readonly Event[]): string[] {
  const told = new Map<string, string[]>();
  for (const { Action, Actor } of events) {
    const { execID: id, exitCode } = Actor.Attributes;
    if (id === undefined || Action === 'exec_detach') continue;
    const kind = Action.replace(/:.*$/s, '');
    told.set(id, [...(told.get(id) ?? []), ...(kind === 'exec_die' && (exitCode === '126' || exitCode === '127') ? ['not started'] : []), kind]);
  }
  // The last: seen once, after many deaths. Why such a session's start was not told is not known (docs/continuity.md, B3).
  const right = [['exec_create', 'exec_start', 'exec_die'], ['exec_create', 'not started', 'exec_die'], ['exec_create', 'exec_die']];
  return [...told].flatMap(([id, kinds]) => (right.some((order) => order.slice(0, kinds.length).join() === kinds.join()) ? [] : [`exec session ${id}: ${kinds.join(', ')} were told`]));
}

/** A stop comes after an end, once for it; a pause after a start. */
function orderProblems(events: readonly Event[]): string[] {
  const problems: string[] = [];
  const last = new Map<string, string>();
  const FOLLOWS: Readonly<Record<string, readonly string[]>> = { stop: ['die'], pause: ['start', 'unpause'], unpause: ['pause'] };
  for (const { Type, Action, Actor } of events) {
    if (Type !== 'container' || !['start', 'die', 'stop', 'pause', 'unpause'].includes(Action)) continue;
    const before = last.get(Actor.ID) ?? 'nothing';
    if (FOLLOWS[Action]?.includes(before) === false) problems.push(`container ${Action} of ${Actor.ID} was told after ${before}`);
    last.set(Actor.ID, Action);
  }
  return problems;
}
