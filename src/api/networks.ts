/** Networks: list, inspect, create, remove, prune, connect, disconnect. */
import type { Clock } from '../base/clock.ts';
import { conflict, forbidden, invalid, notFound } from '../base/errors.ts';
import type { EndpointRequest } from '../core/container/config.ts';
import { isPredefined } from '../core/network/bridge.ts';
import type { NetworkPort, NetworkRecord } from '../core/ports/network.ts';
import type { OwnEvent, Telling } from '../core/ports/telling.ts';
import type { Filters } from '../wire/filters.ts';
import { ConnectBody, DisconnectBody, NetworkCreateBody, networkRequest, networkView } from '../wire/network.ts';
import type { AttachedContainer } from '../wire/network.ts';
import { parseTimestamp } from '../wire/timestamps.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';

export interface NetworkRouteDeps {
  readonly networks: NetworkPort;
  readonly clock: Clock;
  /** The containers that are on a network now. */
  attached(networkId: string): AttachedContainer[];
  /** By the container's name or id; running containers at once, others at their next start. */
  connect(container: string, network: NetworkRecord, request: EndpointRequest): Promise<void>;
  disconnect(container: string, network: NetworkRecord, options: { force: boolean }): Promise<void>;
  readonly telling: Telling;
}

type Handle = (deps: NetworkRouteDeps, request: ApiRequest, response: ApiResponse) => Promise<void> | void;

const LIST_FILTERS = ['dangling', 'driver', 'id', 'label', 'name', 'scope', 'type'];
const PRUNE_FILTERS = ['label', 'label!', 'until'];

export function networkRoutes(deps: NetworkRouteDeps): Route[] {
  const route = (method: Route['method'], pattern: string, handle: Handle): Route =>
    ({ method, pattern, handler: (request, response) => handle(deps, request, response) });
  return [
    route('GET', '/networks', list),
    // Older clients ask with the slash.
    route('GET', '/networks/', list),
    route('GET', '/networks/{id}', inspect),
    route('POST', '/networks/create', create),
    route('POST', '/networks/prune', prune),
    route('POST', '/networks/{id}/connect', connect),
    route('POST', '/networks/{id}/disconnect', disconnect),
    route('DELETE', '/networks/{id}', remove),
  ];
}

function list(deps: NetworkRouteDeps, { query }: ApiRequest, response: ApiResponse): void {
  const filters = query.filters(LIST_FILTERS);
  for (const type of filters.get('type')) {
    if (type !== 'custom' && type !== 'builtin') throw invalid(`invalid filter: 'type'='${type}'`);
  }
  const dangling = filters.has('dangling') ? filters.bool('dangling', false) : undefined;
  const networks = deps.networks.list().filter((network) =>
    matches(network, filters) && (dangling === undefined || dangling === isUnused(deps, network)));
  response.value(networks.map((network) => networkView(network, [])));
}

function matches(network: NetworkRecord, filters: Filters): boolean {
  return filters.matches('driver', (value) => value === network.driver)
    && filters.matches('scope', (value) => value === network.scope)
    && filters.matches('name', (value) => network.name.includes(value) || matchesPattern(network.name, value))
    && filters.matches('id', (value) => network.id.includes(value) || matchesPattern(network.id, value))
    && filters.matches('type', (value) => (value === 'builtin') === isPredefined(network.name))
    && filters.matchesLabels(network.labels);
}

/** Docker takes names and ids for regular expressions too. */
function matchesPattern(text: string, pattern: string): boolean {
  try {
    return new RegExp(pattern).test(text);
  } catch {
    return false;
  }
}

const isUnused = (deps: NetworkRouteDeps, network: NetworkRecord): boolean => !isPredefined(network.name) && deps.attached(network.id).length === 0;

function inspect(deps: NetworkRouteDeps, request: ApiRequest, response: ApiResponse): void {
  const scope = request.query.text('scope');
  const network = deps.networks.resolve(request.param('id'));
  if (scope !== '' && scope !== network.scope) throw notFound(`network ${request.param('id')} not found`);
  response.value(networkView(network, deps.attached(network.id)));
}

const DRIVERS = ['bridge', 'host', 'null'];

async function create(deps: NetworkRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const body = await request.requiredJson(NetworkCreateBody);
  if (body.name.trim() === '') throw invalid('invalid name: name is empty');
  if (isPredefined(body.name) || body.name === 'default') throw forbidden(`operation is not permitted on predefined ${body.name} network `);
  if (deps.networks.list().some(({ name }) => name === body.name)) throw conflict(`network with name ${body.name} already exists`);
  const wanted = networkRequest(body);
  if (!DRIVERS.includes(wanted.driver)) throw notFound(`plugin ${JSON.stringify(wanted.driver)} not found`);
  if (wanted.ipam.driver !== 'default') throw invalid(`could not resolve driver ${wanted.ipam.driver} in registry`);
  const event: OwnEvent = { type: 'network', action: 'create', actorId: '', attributes: { name: wanted.name, type: wanted.driver } };
  const { network, warning } = await deps.telling(event, { of: 'network', nameOrId: wanted.name, there: true }, () => deps.networks.create(wanted), (made) => made.network.id);
  response.value({ Id: network.id, Warning: warning }, 201);
}

async function remove(deps: NetworkRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const network = deps.networks.resolve(request.param('id'));
  if (isPredefined(network.name)) throw forbidden(`${network.name} is a pre-defined network and cannot be removed`);
  const attached = deps.attached(network.id);
  if (attached.length > 0) {
    const users = attached.map(({ name, endpoint }) => `name:"${name}" id:"${endpoint.id.slice(0, 12)}"`).join(', ');
    throw forbidden(`error while removing network: network ${network.name} has active endpoints (${users})`);
  }
  await removeTold(deps, network);
  response.empty();
}

const removeTold = (deps: NetworkRouteDeps, { id, name, driver }: NetworkRecord): Promise<void> =>
  deps.telling({ type: 'network', action: 'destroy', actorId: id, attributes: { name, type: driver } }, { of: 'network', nameOrId: id, there: false }, () => deps.networks.remove(id));

async function prune(deps: NetworkRouteDeps, { query }: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = query.filters(PRUNE_FILTERS);
  const before = filters.get('until').flatMap((text) => parseTimestamp(text, deps.clock.nowNs()) ?? []);
  const unused = deps.networks.list().filter((network) =>
    network.configOnly !== true && isUnused(deps, network) && filters.matchesLabels(network.labels) && before.every((ns) => network.createdNs <= ns));
  const deleted: string[] = [];
  for (const network of unused) {
    // A container may have come meanwhile.
    if (!isUnused(deps, network)) continue;
    await removeTold(deps, network);
    deleted.push(network.name);
  }
  response.value({ NetworksDeleted: deleted });
}

async function connect(deps: NetworkRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const body = await request.requiredJson(ConnectBody);
  await deps.connect(body.container, deps.networks.resolve(request.param('id')), body.endpoint);
  response.empty(200);
}

async function disconnect(deps: NetworkRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const body = await request.requiredJson(DisconnectBody);
  await deps.disconnect(body.container, deps.networks.resolve(request.param('id')), { force: body.force });
  response.empty(200);
}
