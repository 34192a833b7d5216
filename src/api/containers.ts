/** Containers: their life. What streams is in `containerStreams.ts`, what concerns their files in `archive.ts`. */
import { conflict, internal, invalid, notFound } from '../base/errors.ts';
import { matchesLabel } from '../core/events.ts';
import type { ContainerSnapshot } from '../core/container/snapshot.ts';
import { healthOf, isRunning, statusOf } from '../core/container/snapshot.ts';
import { parsePortKey } from '../core/container/portSpec.ts';
import type { Container, WaitCondition } from '../engine/container.ts';
import type { EngineContext } from '../engine/context.ts';
import { createContainer } from '../engine/create.ts';
import { pauseContainer, unpauseContainer } from '../engine/pause.ts';
import { pruneContainers } from '../engine/prune.ts';
import { changesOf, details, networkIds, sizes, snapshot, topContainer } from '../engine/query.ts';
import { removeContainer } from '../engine/remove.ts';
import { renameContainer } from '../engine/rename.ts';
import { restartContainer } from '../engine/restart.ts';
import { startContainer } from '../engine/start.ts';
import { removeLink } from '../engine/hosts.ts';
import { killContainer, stopContainer } from '../engine/stop.ts';
import type { StopOptions } from '../engine/stop.ts';
import { updateContainer } from '../engine/update.ts';
import { decodeCreate, decodeUpdate } from '../wire/containerBodies.ts';
import { inspectView, listItem } from '../wire/containerView.ts';
import type { Filters } from '../wire/filters.ts';
import { parseTimestamp } from '../wire/timestamps.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';

const LIST_FILTERS = ['ancestor', 'before', 'exited', 'expose', 'health', 'id', 'is-task', 'isolation', 'label', 'name', 'network', 'publish', 'since', 'status', 'volume'] as const;
const WAIT_CONDITIONS: readonly string[] = ['', 'not-running', 'next-exit', 'removed'] satisfies (WaitCondition | '')[];

export function containerRoutes(ctx: EngineContext): Route[] {
  const find = (request: ApiRequest): Container => ctx.containers.resolve(request.param('id'));
  const verb = (name: string, run: (container: Container, request: ApiRequest) => Promise<void>): Route => ({
    method: 'POST',
    pattern: `/containers/{id}/${name}`,
    handler: async (request, response) => {
      await run(find(request), request);
      response.empty(204);
    },
  });
  return [
    { method: 'GET', pattern: '/containers/json', early: true, handler: (request, response) => list(ctx, request, response) },
    { method: 'POST', pattern: '/containers/create', handler: (request, response) => create(ctx, request, response) },
    { method: 'POST', pattern: '/containers/prune', handler: (request, response) => prune(ctx, request, response) },
    {
      method: 'GET', pattern: '/containers/{id}/json', early: true,
      handler: async (request, response) => {
        const container = find(request);
        response.value(inspectView(snapshot(ctx, container), await details(ctx, container, request.query.bool('size')), { idAliases: !request.apiVersion.atLeast('1.45') }));
      },
    },
    verb('start', (container) => startContainer(ctx, container)),
    verb('stop', (container, request) => stopContainer(ctx, container, stopOptions(request))),
    verb('restart', (container, request) => restartContainer(ctx, container, stopOptions(request))),
    verb('kill', (container, request) => killContainer(ctx, container, { signal: request.query.text('signal'), asked: request.param('id') })),
    verb('pause', (container) => pauseContainer(ctx, container)),
    verb('unpause', (container) => unpauseContainer(ctx, container)),
    verb('rename', (container, request) => renameContainer(ctx, container, request.query.text('name'))),
    { method: 'POST', pattern: '/containers/{id}/wait', handler: (request, response) => wait(find(request), request, response) },
    { method: 'POST', pattern: '/containers/{id}/update', handler: (request, response) => update(ctx, { container: find(request), request, response }) },
    {
      method: 'POST', pattern: '/containers/{id}/resize',
      handler: async (request, response) => {
        const size = terminalSize(request);
        await resize(find(request), size);
        response.empty(200);
      },
    },
    {
      method: 'GET', pattern: '/containers/{id}/top',
      handler: async (request, response) => {
        const table = await topContainer(ctx, find(request), request.query.text('ps_args'));
        response.value({ Titles: table.titles, Processes: table.processes });
      },
    },
    {
      method: 'GET', pattern: '/containers/{id}/changes',
      handler: async (request, response) => {
        const changes = await changesOf(ctx, find(request));
        response.value(changes.length === 0 ? null : changes.map(({ path, kind }) => ({ Kind: kind, Path: path })));
      },
    },
    {
      method: 'DELETE', pattern: '/containers/{id}',
      handler: async (request, response) => {
        if (request.query.bool('link')) throw internal('Conflict, cannot remove the default link name of the container');
        await removeContainer(ctx, find(request), { force: request.query.bool('force'), volumes: request.query.bool('v') });
        response.empty(204);
      },
    },
    {
      // `docker rm --link web/db`; a container's own name has no slash.
      method: 'DELETE', pattern: '/containers/{id}/{alias}',
      handler: async (request, response) => {
        const name = `${request.param('id')}/${request.param('alias')}`;
        if (!request.query.bool('link')) throw notFound(`No such container: ${name}`);
        await removeLink(ctx, name);
        response.empty(204);
      },
    },
  ];
}

function stopOptions(request: ApiRequest): StopOptions {
  const signal = request.apiVersion.atLeast('1.42') ? request.query.text('signal') : '';
  return { signal, timeout: request.query.integer('t') };
}

async function create(ctx: EngineContext, request: ApiRequest, response: ApiResponse): Promise<void> {
  const body = decodeCreate(await request.jsonText());
  const networks = Object.keys(body.networks);
  if (networks.length > 1 && !request.apiVersion.atLeast('1.44')) throw invalid(`Container cannot be connected to network endpoints: ${networks.join(', ')}`);
  const { id, warnings } = await createContainer(ctx, { name: request.query.text('name'), platform: request.query.text('platform'), ...body });
  response.value({ Id: id, Warnings: warnings }, 201);
}

async function update(ctx: EngineContext, call: { container: Container; request: ApiRequest; response: ApiResponse }): Promise<void> {
  const { warnings } = await updateContainer(ctx, call.container, decodeUpdate(await call.request.jsonText()));
  call.response.value({ Warnings: warnings });
}

/** The headers go at once: `docker run` waits for them before it starts the container (engine-api A5). */
async function wait(container: Container, request: ApiRequest, response: ApiResponse): Promise<void> {
  const condition = request.query.text('condition');
  if (!WAIT_CONDITIONS.includes(condition)) throw invalid(`invalid condition: "${condition}"`);
  const ended = container.wait(condition === '' ? 'not-running' : (condition as WaitCondition), request.signal);
  const stream = response.stream();
  const { exitCode, error } = await ended;
  await stream.line({ StatusCode: exitCode, ...(error === '' ? {} : { Error: { Message: error } }) });
  stream.end();
}

/** `h` and `w`, as Docker parses them: 32 bits without a sign. */
export function terminalSize(request: ApiRequest): { rows: number; cols: number } {
  const read = (name: string): number => {
    const text = request.query.text(name);
    if (!/^\d+$/.test(text)) throw invalid(`strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`);
    if (Number(text) > 0xffff_ffff) throw invalid(`strconv.ParseUint: parsing ${JSON.stringify(text)}: value out of range`);
    return Number(text);
  };
  return { rows: read('h'), cols: read('w') };
}

async function resize(container: Container, size: { rows: number; cols: number }): Promise<void> {
  if (container.handle === null || !isRunning(container)) {
    throw conflict(`container ${container.id} is not running`);
  }
  await container.handle.resize(size.rows, size.cols);
}

async function prune(ctx: EngineContext, request: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = request.query.filters(['label', 'label!', 'until']);
  const until = parseTimestamp(filters.get('until')[0] ?? '', ctx.clock.nowNs());
  const pruned = await pruneContainers(ctx, (container) =>
    filters.matchesLabels(container.record.config.labels) && (until === undefined || container.record.createdNs < until));
  response.value({ ContainersDeleted: pruned.ids.length === 0 ? null : pruned.ids, SpaceReclaimed: pruned.bytes });
}

async function list(ctx: EngineContext, request: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = request.query.filters(LIST_FILTERS);
  checkListFilters(filters);
  const limit = request.query.integer('limit') ?? -1;
  const byStatus = filters.has('status') || filters.has('exited');
  const everything = request.query.bool('all') || byStatus || limit > 0 || filters.has('before') || filters.has('since');
  const all = ctx.containers.all().sort((a, b) => (a.record.createdNs < b.record.createdNs ? 1 : a.record.createdNs > b.record.createdNs ? -1 : 0));
  const passes = await listFilter(ctx, filters, all);
  const shown = all.map((container) => snapshot(ctx, container)).filter((each) => (everything || isRunning(each)) && passes(each));
  const nowNs = ctx.clock.nowNs();
  const ids = networkIds(ctx);
  const withSize = request.query.bool('size');
  const items = await Promise.all((limit > 0 ? shown.slice(0, limit) : shown).map(async (each) => listItem(each, {
    nowNs,
    networkIds: ids,
    image: await imageShown(ctx, each),
    sizes: withSize ? await sizesOf(ctx, each) : null,
  })));
  response.value(items);
}

/** The name the user gave, unless it means another image by now: then the id. */
async function imageShown(ctx: EngineContext, { record }: ContainerSnapshot): Promise<string> {
  const image = await ctx.images.get(record.imageId);
  const given = record.config.image;
  if (image === undefined) return given === '' ? record.imageId : given;
  const withTag = /[:@][^/]*$/.test(given) ? given : `${given}:latest`;
  const named = image.repoTags.includes(withTag) || image.repoDigests.includes(given) || image.id.includes(given);
  return named ? given : image.id;
}

async function sizesOf(ctx: EngineContext, { record }: ContainerSnapshot): Promise<{ rw: number; rootFs: number } | null> {
  const container = ctx.containers.get(record.id);
  return container === undefined ? null : sizes(ctx, container);
}

const STATUSES = ['created', 'dead', 'exited', 'paused', 'removing', 'restarting', 'running'];
const HEALTHS = ['none', 'starting', 'healthy', 'unhealthy'];

function checkListFilters(filters: Filters): void {
  for (const value of filters.get('status')) {
    if (!STATUSES.includes(value)) throw invalid(`invalid filter 'status=${value}'`);
  }
  for (const value of filters.get('health')) {
    if (!HEALTHS.includes(value)) throw invalid(`invalid filter 'health=${value}'`);
  }
  for (const value of filters.get('exited')) {
    if (!/^-?\d+$/.test(value)) throw invalid(`invalid filter 'exited=${value}'`);
  }
}

/** The filters of `docker ps` as one test (moby `daemon/list.go`). */
async function listFilter(ctx: EngineContext, filters: Filters, all: readonly Container[]): Promise<(each: ContainerSnapshot) => boolean> {
  const before = boundary(ctx, filters.get('before'), (a, b) => (a < b ? a : b));
  const since = boundary(ctx, filters.get('since'), (a, b) => (a > b ? a : b));
  const ancestors = await ancestorIds(ctx, filters.get('ancestor'));
  const names = filters.get('name').map(nameTest);
  const wantedIds = new Set(all.map(({ id }) => id).filter((id) => filters.matches('id', (value) => id.startsWith(value))));
  return (each) => {
    const { record } = each;
    return wantedIds.has(record.id) &&
      (names.length === 0 || names.some((fits) => fits(record.name) || fits(`/${record.name}`))) &&
      // Tasks are swarm's.
      !(filters.has('is-task') && filters.bool('is-task', false)) &&
      filters.get('label').every((value) => matchesLabel(record.config.labels, value)) &&
      filters.matches('status', (value) => value === statusOf(each)) &&
      filters.matches('health', (value) => value === healthOf(each)) &&
      filters.matches('exited', (value) => !isRunning(each) && each.view.facts.startedNs !== 0n && Number(value) === each.exitCode) &&
      (before === undefined || record.createdNs < before) &&
      (since === undefined || record.createdNs > since) &&
      (ancestors === undefined || ancestors.has(record.imageId)) &&
      filters.matches('volume', (value) => record.mounts.some((mount) => mount.name === value || mount.source === value || mount.destination === value)) &&
      filters.matches('network', (value) => onNetwork(ctx, each, value)) &&
      filters.matches('publish', (value) => hasPort(value, each.sandbox?.ports.map((port) => `${port.hostPort}/${port.proto}`) ?? [])) &&
      filters.matches('expose', (value) => hasPort(value, record.config.exposedPorts));
  };
}

/** Names are regular expressions; what is none fits nothing. */
function nameTest(pattern: string): (name: string) => boolean {
  try {
    const expression = new RegExp(pattern);
    return (name) => expression.test(name);
  } catch {
    return () => false;
  }
}

/** `before` and `since` name containers; several of them: the strictest counts. */
function boundary(ctx: EngineContext, values: readonly string[], pick: (a: bigint, b: bigint) => bigint): bigint | undefined {
  return values.map((value) => ctx.containers.resolve(value).record.createdNs).reduce<bigint | undefined>((sum, each) => (sum === undefined ? each : pick(sum, each)), undefined);
}

/** The ids of images that a name stands for and of those built on them; names nobody has stand for nothing. */
async function ancestorIds(ctx: EngineContext, values: readonly string[]): Promise<Set<string> | undefined> {
  if (values.length === 0) return undefined;
  const ids = new Set<string>();
  const images = await ctx.images.list();
  for (const value of values) {
    const root = images.find((image) => image.id === value || image.id.replace('sha256:', '').startsWith(value) || image.repoTags.some((tag) => tag === value || tag === `${value}:latest`));
    if (root === undefined) continue;
    for (const image of images) {
      if (root.diffIds.every((diffId, index) => image.diffIds[index] === diffId)) ids.add(image.id);
    }
    ids.add(root.id);
  }
  return ids;
}

function onNetwork(ctx: EngineContext, each: ContainerSnapshot, value: string): boolean {
  const names = new Set([...Object.keys(each.record.networks), ...(each.sandbox?.endpoints ?? []).map(({ networkName }) => networkName)]);
  const network = ctx.network.list().find(({ id, name }) => name === value || id === value || id.startsWith(value));
  return names.has(value) || (network !== undefined && (names.has(network.name) || names.has(network.id)));
}

/** `80`, `80/udp` or `8000-8010/tcp` against ports as `80/tcp`. */
function hasPort(wanted: string, ports: readonly string[]): boolean {
  const [range = '', proto = 'tcp'] = wanted.split('/');
  const [first = Number.NaN, last = first] = range.split('-').map(Number);
  return ports.some((text) => {
    const { port, proto: kind } = parsePortKey(text);
    return kind === proto && port >= first && port <= last;
  });
}
