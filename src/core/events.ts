/** What happened, for `docker events`: kept on disk so that `--since` reaches across any restart (continuity B3). */

export type EventType = 'container' | 'image' | 'network' | 'volume' | 'daemon' | 'builder' | 'plugin' | 'service' | 'node' | 'secret' | 'config';

export interface EngineEvent {
  type: EventType;
  /** `start`, `die`, `exec_create: sh -c x`, `health_status: healthy`, … */
  action: string;
  actorId: string;
  attributes: Record<string, string>;
  /** When it happened, which for a shim's events is not when the daemon heard of it. */
  timeNs: bigint;
  /** The entry of the container's journal that it was made from: an entry is published once, whatever crashes. */
  shimSeq?: bigint;
}

/** By key; a key without values restricts nothing. */
export interface EventFilters {
  get(key: string): readonly string[] | undefined;
}

/** The filter keys that `GET /events` knows (moby `daemon/events/filter.go`). */
export const EVENT_FILTERS = ['config', 'container', 'daemon', 'event', 'image', 'label', 'network', 'node', 'plugin', 'scope', 'secret', 'service', 'type', 'volume'] as const;

const BY_PREFIX_ACTIONS = new Set(['health_status', 'exec_create', 'exec_start']);
const OBJECT_KEYS = ['config', 'container', 'daemon', 'network', 'node', 'plugin', 'secret', 'service', 'volume'] as const;

/** True if the event passes: all keys, any value of each. */
export function eventMatches(event: EngineEvent, filters: EventFilters): boolean {
  return matchesAction(event, filters) &&
    any(filters, 'type', (value) => value === event.type) &&
    any(filters, 'scope', (value) => value === 'local') &&
    all(filters, 'label', (value) => matchesLabel(event.attributes, value)) &&
    matchesImage(event, filters) &&
    OBJECT_KEYS.every((key) => matchesObject(event, key, filters));
}

function matchesAction(event: EngineEvent, filters: EventFilters): boolean {
  return any(filters, 'event', (value) =>
    value === event.action || (BY_PREFIX_ACTIONS.has(value) && event.action.startsWith(`${value}:`)) || (BY_PREFIX_ACTIONS.has(value) && event.action === value));
}

function matchesObject(event: EngineEvent, key: (typeof OBJECT_KEYS)[number], filters: EventFilters): boolean {
  const values = filters.get(key);
  if (values === undefined || values.length === 0) return true;
  if (event.type !== key) {
    // `--filter container=x` also shows a network's connect and a volume's mount that name the container.
    return key === 'container' && values.some((value) => (event.attributes['container'] ?? '').startsWith(value) && value !== '');
  }
  return values.some((value) => fuzzy(event, value));
}

const fuzzy = (event: EngineEvent, value: string): boolean =>
  event.actorId === value || event.attributes['name'] === value || event.actorId.startsWith(value) || (event.attributes['name'] ?? '').startsWith(value);

function matchesImage(event: EngineEvent, filters: EventFilters): boolean {
  const values = filters.get('image');
  if (values === undefined || values.length === 0) return true;
  const names = event.type === 'image' ? [event.actorId, event.attributes['name'] ?? ''] : event.type === 'container' ? [event.attributes['image'] ?? ''] : [];
  return values.some((value) => names.some((name) => name === value || withoutTag(name) === value));
}

/** `a:5000/b:tag` → `a:5000/b`. */
function withoutTag(reference: string): string {
  const colon = reference.lastIndexOf(':');
  return colon > reference.lastIndexOf('/') ? reference.slice(0, colon) : reference;
}

/** `key` or `key=value` against a set of labels. */
export function matchesLabel(labels: Readonly<Record<string, string>>, filter: string): boolean {
  const equals = filter.indexOf('=');
  if (equals < 0) return Object.hasOwn(labels, filter);
  return Object.hasOwn(labels, filter.slice(0, equals)) && labels[filter.slice(0, equals)] === filter.slice(equals + 1);
}

const any = (filters: EventFilters, key: string, test: (value: string) => boolean): boolean => {
  const values = filters.get(key);
  return values === undefined || values.length === 0 || values.some(test);
};

const all = (filters: EventFilters, key: string, test: (value: string) => boolean): boolean => (filters.get(key) ?? []).every(test);
