/** Images, registries and logins. */
import { pipeline } from 'node:stream/promises';
import type { Readable } from 'node:stream';
import type { Clock } from '../base/clock.ts';
import { notImplemented } from '../base/errors.ts';
import { createdNs, imageHistory, listImages, sharedSizes } from '../core/image/list.ts';
import type { ImageFilter } from '../core/image/list.ts';
import type { Image } from '../core/image/image.ts';
import type { ImagePort, ImageUse, RegistryAuth } from '../core/ports/images.ts';
import type { Filters } from '../wire/filters.ts';
import { AuthBody, decodePlatform, decodeRegistryAuth, deletionsView, distributionView, historyView, imageInspect, imageSummary } from '../wire/image.ts';
import { parseTimestamp } from '../wire/timestamps.ts';
import { streamProgress } from './imageProgress.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';

export interface ImageRouteDeps {
  readonly images: ImagePort;
  readonly clock: Clock;
  /** The storage driver's name, for inspect. */
  readonly driver: string;
  /** Which images containers are made of. */
  readonly uses: () => ImageUse[];
}

/** More than an image can have layers. */
const MAX_PARENTS = 1024;

type Handle = (deps: ImageRouteDeps, request: ApiRequest, response: ApiResponse) => Promise<void>;

const LIST_FILTERS = ['before', 'dangling', 'label', 'label!', 'reference', 'since', 'until'];
const PRUNE_FILTERS = ['dangling', 'label', 'label!', 'until'];

/** The group's routes. Names of images contain slashes. */
export function imageRoutes(deps: ImageRouteDeps): Route[] {
  const route = (method: Route['method'], pattern: string, handle: Handle): Route =>
    ({ method, pattern, handler: (request, response) => handle(deps, request, response) });
  return [
    route('GET', '/images/json', list),
    route('GET', '/images/search', search),
    route('GET', '/images/get', save),
    route('GET', '/images/{name...}/get', save),
    route('GET', '/images/{name...}/history', history),
    route('GET', '/images/{name...}/json', inspect),
    route('POST', '/images/load', load),
    route('POST', '/images/create', create),
    route('POST', '/images/prune', prune),
    route('POST', '/images/{name...}/push', push),
    route('POST', '/images/{name...}/tag', tag),
    route('DELETE', '/images/{name...}', remove),
    route('GET', '/distribution/{name...}/json', distribution),
    route('POST', '/auth', login),
  ];
}

async function list({ images, clock }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query, apiVersion } = request;
  const filters = query.filters(LIST_FILTERS);
  const all = await images.list();
  // Before 1.25 the pattern had a parameter of its own.
  const pattern = apiVersion.atLeast('1.25') ? '' : query.text('filter');
  const filter: ImageFilter = {
    all: query.bool('all'),
    dangling: filters.has('dangling') ? filters.bool('dangling', false) : undefined,
    references: [...filters.get('reference'), ...(pattern === '' ? [] : [pattern])],
    createdBeforeNs: earliest([...await times(images, filters.get('before')), ...untilOf(filters, clock)]),
    createdAfterNs: latest(await times(images, filters.get('since'))),
    matchesLabels: (labels) => filters.matchesLabels(labels),
  };
  const shared = query.bool('shared-size') ? sharedSizes(all) : undefined;
  response.value(listImages(all, filter).map((image) => imageSummary(image, { apiVersion, sharedSize: shared?.get(image.id) ?? -1 })));
}

const times = (images: ImagePort, names: readonly string[]): Promise<bigint[]> =>
  Promise.all(names.map(async (name) => createdNs(await images.resolve(name))));

function untilOf(filters: Filters, clock: Clock): bigint[] {
  return filters.get('until').flatMap((text) => parseTimestamp(text, clock.nowNs()) ?? []);
}

const earliest = (values: readonly bigint[]): bigint | undefined => values.toSorted(byTime)[0];
const latest = (values: readonly bigint[]): bigint | undefined => values.toSorted(byTime).at(-1);
const byTime = (left: bigint, right: bigint): number => (left < right ? -1 : left > right ? 1 : 0);

async function inspect({ images, driver }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  response.value(imageInspect(await images.resolve(request.param('name')), { apiVersion: request.apiVersion, driver }));
}

async function history({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const image = await images.resolve(request.param('name'));
  const parents: Image[] = [];
  for (let parent = await images.get(image.parent); parent !== undefined && parents.length < MAX_PARENTS; parent = await images.get(parent.parent)) {
    parents.push(parent);
  }
  response.value(historyView(imageHistory(image, parents)));
}

/** `docker pull` and `docker import`. */
async function create({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query, signal } = request;
  const source = query.text('fromSrc');
  const platform = query.text('platform');
  if (query.text('fromImage') === '' && source !== '') {
    const options = {
      repo: query.text('repo'), tag: query.text('tag'), message: query.text('message') || `Imported from ${source}`, changes: query.all('changes'), platform, signal,
    };
    await streamProgress(response, { begun: false, signal: request.signal }, async (progress) => {
      const tar: Readable = source === '-' ? request.body : await images.fetch(source, progress, signal);
      await images.import(tar, { ...options, progress });
    });
    return;
  }
  const tagText = query.text('tag');
  const name = query.text('fromImage');
  const reference = tagText === '' ? name : `${name}${tagText.includes(':') ? '@' : ':'}${tagText}`;
  // A name alone means all its tags, unless it has one of its own.
  const allTags = tagText === '' && !/:[^/]*$|@/.test(name);
  const auth = authOf(request);
  await streamProgress(response, { begun: false, signal: request.signal }, (progress) => images.pull({ reference, allTags, platform, auth, progress, signal }));
}

async function push({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const name = request.param('name');
  const tagText = request.query.text('tag');
  const options = { reference: tagText === '' ? name : `${name}:${tagText}`, allTags: tagText === '', auth: authOf(request), signal: request.signal };
  await streamProgress(response, { begun: false, signal: request.signal }, (progress) => images.push({ ...options, progress }));
}

const authOf = (request: ApiRequest): RegistryAuth | null => decodeRegistryAuth(request.header('x-registry-auth'));

async function load({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query, signal } = request;
  const options = { quiet: query.bool('quiet', true), platform: decodePlatform(query.text('platform')), signal };
  await streamProgress(response, { begun: true, signal }, (progress) => images.load(request.body, { ...options, progress }));
}

async function save({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const names = request.path === '/images/get' ? request.query.all('names') : [request.param('name')];
  const archive = await images.save(names, request.signal);
  const stream = response.stream({ contentType: 'application/x-tar' });
  try {
    await pipeline(archive, async (chunks: AsyncIterable<Buffer>) => {
      for await (const chunk of chunks) await stream.write(chunk);
    });
    stream.end();
  } catch (error) {
    // A client that has gone is no failure; any other breaks the stream off, which is what tells the client.
    if (!request.signal.aborted) throw error;
  }
}

async function tag({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  await images.tag(request.param('name'), request.query.text('repo'), request.query.text('tag'));
  response.empty(201);
}

async function remove({ images, uses }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const options = { force: request.query.bool('force'), noPrune: request.query.bool('noprune'), usedBy: uses() };
  response.value(deletionsView(await images.remove(request.param('name'), options)));
}

async function prune({ images, clock, uses }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = request.query.filters(PRUNE_FILTERS);
  const before = earliest(untilOf(filters, clock));
  const { deleted, reclaimed } = await images.prune({
    all: !filters.bool('dangling', true),
    matches: (image) => filters.matchesLabels(image.config.labels) && (before === undefined || createdNs(image) < before),
    usedBy: uses(),
  });
  response.value({ ImagesDeleted: deleted.length === 0 ? null : deletionsView(deleted), SpaceReclaimed: reclaimed });
}

async function search(): Promise<void> {
  throw notImplemented('searching registries is not supported');
}

async function distribution({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const found = await images.inspectRemote({ reference: request.param('name'), auth: authOf(request), signal: request.signal });
  response.value(distributionView(found));
}

async function login({ images }: ImageRouteDeps, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { username, password, serverAddress, identityToken } = await request.requiredJson(AuthBody);
  const result = await images.authenticate({ username, password, serverAddress, identityToken }, request.signal);
  response.value({ IdentityToken: result.identityToken, Status: result.status });
}
