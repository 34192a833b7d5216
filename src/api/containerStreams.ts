/** Containers: what streams. Headers go out before the first byte is there, since clients wait for them (engine-api A3, A4, A11). */
import { invalid, isKind, messageOf } from '../base/errors.ts';
import { isRunning } from '../core/container/snapshot.ts';
import type { CgroupStats } from '../core/container/stats.ts';
import { attachContainer } from '../engine/attach.ts';
import type { Container } from '../engine/container.ts';
import { publishContainer } from '../engine/context.ts';
import type { EngineContext } from '../engine/context.ts';
import { readLogs } from '../engine/logs.ts';
import { statsOf } from '../engine/query.ts';
import { parseDetachKeys } from '../wire/detachKeys.ts';
import { logShape, streamFrame } from '../wire/logFrames.ts';
import { statsView } from '../wire/stats.ts';
import { parseTimestamp } from '../wire/timestamps.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';
import { splice } from './splice.ts';

const RAW_STREAM = 'application/vnd.docker.raw-stream';
const MULTIPLEXED = 'application/vnd.docker.multiplexed-stream';

/** The content type of a stream: framed only without a terminal, and said so only to clients that know the word. */
const streamType = (tty: boolean, request: ApiRequest): string => (!tty && request.apiVersion.atLeast('1.42') ? MULTIPLEXED : RAW_STREAM);

/** The same for a hijacked connection: a client that does not ask for an upgrade does not know the word. */
export const hijackType = (tty: boolean, request: ApiRequest): string => (request.header('upgrade') === '' ? RAW_STREAM : streamType(tty, request));

export function containerStreamRoutes(ctx: EngineContext): Route[] {
  const find = (request: ApiRequest): Container => ctx.containers.resolve(request.param('id'));
  return [
    { method: 'POST', pattern: '/containers/{id}/attach', hijack: true, handler: (request, response) => attach(ctx, { container: find(request), request, response }) },
    { method: 'GET', pattern: '/containers/{id}/logs', handler: (request, response) => logs(ctx, { container: find(request), request, response }) },
    { method: 'GET', pattern: '/containers/{id}/stats', handler: (request, response) => stats(ctx, { container: find(request), request, response }) },
  ];
}

interface Call {
  container: Container;
  request: ApiRequest;
  response: ApiResponse;
}

async function attach(ctx: EngineContext, { container, request, response }: Call): Promise<void> {
  const { query } = request;
  const { config } = container.record;
  const detachKeys = parseDetachKeys(query.text('detachKeys'));
  const gone = new AbortController();
  const wanted = { stdin: query.bool('stdin') && config.openStdin, stdout: query.bool('stdout'), stderr: query.bool('stderr'), signal: gone.signal };
  // Asked for before the answer goes, so that nothing that the container says after it is missed.
  const attached = query.bool('stream') ? attachContainer(ctx, container, wanted) : undefined;
  const early = attached?.stream.then((stream) => ({ stream }), (error: unknown) => ({ error }));
  if (isRunning(container)) await early;
  const client = response.hijack({ contentType: hijackType(config.tty, request) });
  client.once('close', () => gone.abort());
  if (query.bool('logs')) {
    const shape = logShape({ tty: config.tty, timestamps: false, details: false });
    for await (const frames of readLogs(ctx, container, { ...wanted, follow: false, tail: -1, since: 0n, until: 0n, shape })) client.write(frames);
  }
  const result = await early;
  if (result === undefined || 'error' in result) {
    client.end();
    return;
  }
  const detached = await splice(client, result.stream, {
    stdin: wanted.stdin,
    detachKeys: config.tty && wanted.stdin ? detachKeys : undefined,
    onInputEnd: config.stdinOnce && !config.tty ? 'half-close' : 'detach',
  });
  if (detached) publishContainer(ctx, container.subject, 'detach');
}

async function logs(ctx: EngineContext, { container, request, response }: Call): Promise<void> {
  const { query } = request;
  const stdout = query.bool('stdout');
  const stderr = query.bool('stderr');
  if (!stdout && !stderr) throw invalid('Bad parameters: you must choose at least one stream');
  const now = ctx.clock.nowNs();
  const { tty } = container.record.config;
  const tail = /^\d+$/.test(query.text('tail')) ? Number(query.text('tail')) : -1;
  const frames = readLogs(ctx, container, {
    stdout,
    stderr,
    follow: query.bool('follow'),
    tail,
    since: parseTimestamp(query.text('since'), now) ?? 0n,
    until: parseTimestamp(query.text('until'), now) ?? 0n,
    signal: request.signal,
    shape: logShape({ tty, timestamps: query.bool('timestamps'), details: query.bool('details') }),
  });
  const stream = response.stream({ contentType: streamType(tty, request) });
  try {
    for await (const some of frames) await stream.write(some);
  } catch (error) {
    if (isKind(error, 'unavailable')) return;
    const text = Buffer.from(`Error grabbing logs: ${messageOf(error)}\n`);
    await stream.write(tty ? text : streamFrame(3, text));
  }
  stream.end();
}

async function stats(ctx: EngineContext, { container, request, response }: Call): Promise<void> {
  const streaming = request.query.bool('stream', true);
  const oneShot = request.query.bool('one-shot');
  if (streaming && oneShot) throw invalid('cannot have stream=true and one-shot=true');
  const sample = async (): Promise<CgroupStats | undefined> => (isRunning(container) && container.state.kind !== 'restarting' ? statsOf(ctx, container) : undefined);
  const view = (now: CgroupStats | undefined, before: CgroupStats | undefined): unknown => statsView({ id: container.id, name: container.record.name }, now, before);
  if (!streaming) {
    const before = oneShot ? undefined : await sample();
    if (before !== undefined) await nextSecond(request.signal);
    response.value(view(await sample(), before));
    return;
  }
  const stream = response.stream();
  let before: CgroupStats | undefined;
  while (!request.signal.aborted && ctx.containers.get(container.id) !== undefined) {
    const now = await sample();
    try {
      await stream.line(view(now, before));
    } catch (error) {
      if (isKind(error, 'unavailable')) return;
      throw error;
    }
    before = now;
    await nextSecond(request.signal);
  }
  stream.end();
}

/** A second later, or when the client has gone. */
function nextSecond(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, 1000);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
