/** `docker cp`, `docker export`, `docker commit` (engine-api A10). */
import { invalid } from '../base/errors.ts';
import { rfc3339Nano } from '../base/clock.ts';
import { applyChanges } from '../core/image/changes.ts';
import type { PathStat } from '../core/ports/layers.ts';
import { commitContainer, exportContainer, readPath, statPath, writePath } from '../engine/archive.ts';
import type { Container } from '../engine/container.ts';
import type { EngineContext } from '../engine/context.ts';
import { ContainerConfigCodec } from '../wire/containerConfig.ts';
import { stringify } from '../wire/goJson.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';

const PATTERN = '/containers/{id}/archive';

export function archiveRoutes(ctx: EngineContext): Route[] {
  const find = (request: ApiRequest): Container => ctx.containers.resolve(request.param('id'));
  return [
    {
      method: 'HEAD', pattern: PATTERN,
      handler: async (request, response) => {
        const stat = await statPath(ctx, find(request), pathOf(request));
        response.header('X-Docker-Container-Path-Stat', statHeader(stat)).empty(200);
      },
    },
    {
      method: 'GET', pattern: PATTERN,
      handler: async (request, response) => {
        const { stat, tar } = await readPath(ctx, find(request), pathOf(request));
        response.header('X-Docker-Container-Path-Stat', statHeader(stat));
        await send(response, tar, 'application/x-tar');
      },
    },
    {
      method: 'PUT', pattern: PATTERN,
      handler: async (request, response) => {
        const options = { noOverwriteDirNonDir: request.query.bool('noOverwriteDirNonDir'), copyUidGid: request.query.bool('copyUIDGID') };
        await writePath(ctx, find(request), { path: pathOf(request), tar: request.body, options });
        response.empty(200);
      },
    },
    {
      method: 'GET', pattern: '/containers/{id}/export',
      handler: async (request, response) => send(response, await exportContainer(ctx, find(request)), 'application/octet-stream'),
    },
    { method: 'POST', pattern: '/commit', handler: (request, response) => commit(ctx, request, response) },
  ];
}

function pathOf(request: ApiRequest): string {
  const path = request.query.text('path');
  if (path === '') throw invalid('bad parameter: path cannot be empty');
  return path;
}

async function send(response: ApiResponse, tar: AsyncIterable<Buffer> & { destroy(): void }, contentType: string): Promise<void> {
  const stream = response.stream({ contentType });
  try {
    for await (const chunk of tar) await stream.write(chunk);
  } finally {
    tar.destroy();
  }
  stream.end();
}

/** Standard base64 of Docker's JSON; `mode` is Go's os.FileMode. */
export const statHeader = (stat: PathStat): string =>
  Buffer.from(stringify({ name: stat.name, size: stat.size, mode: stat.mode, mtime: fileTime(stat.mtimeNs), linkTarget: stat.linkTarget })).toString('base64');

async function commit(ctx: EngineContext, request: ApiRequest, response: ApiResponse): Promise<void> {
  const { query } = request;
  const container = await ctx.containers.restored(query.text('container'));
  const repo = query.text('repo');
  const tag = query.text('tag');
  const id = await commitContainer(ctx, container, {
    reference: repo === '' ? '' : tag === '' ? repo : `${repo}:${tag}`,
    author: query.text('author'),
    comment: query.text('comment'),
    pause: query.bool('pause', true),
    changes: query.all('changes').flatMap((text) => text.split('\n')).filter((line) => line.trim() !== ''),
    config: request.hasBody ? await request.requiredJson(ContainerConfigCodec) : null,
    change: applyChanges,
  });
  response.value({ Id: id }, 201);
}

/** A file may well be of 1970, which is no zero time. */
const fileTime = (ns: bigint): string => (ns === 0n ? '1970-01-01T00:00:00Z' : rfc3339Nano(ns));
