/** `docker logs`: what the shim wrote, read from its file; following ends when the run does. */
import { conflict, notImplemented } from '../base/errors.ts';
import { isReadable } from '../core/log/fileOptions.ts';
import type { LogShape } from '../core/ports/logs.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './context.ts';

export interface LogRequest {
  stdout: boolean;
  stderr: boolean;
  follow: boolean;
  tail: number;
  since: bigint;
  until: bigint;
  signal: AbortSignal;
  shape: LogShape;
}

/** Throws before the first byte what can be known before it. */
export function readLogs(ctx: EngineContext, container: Container, request: LogRequest): AsyncIterable<Buffer> {
  const { type, config } = container.record.hostConfig.logConfig;
  if (!isReadable(type, config)) throw notImplemented('configured logging driver does not support reading');
  if (container.state.kind === 'removing') throw conflict(`can not get logs from container which is dead or marked for removal`);
  const following = request.follow && container.occupied;
  return ctx.logs.read({
    path: ctx.store.paths(container.id).log,
    stdout: request.stdout,
    stderr: request.stderr,
    tail: request.tail,
    since: request.since,
    until: request.until,
    ...(following ? { follow: Promise.race([container.wait('next-exit', request.signal), container.wait('removed', request.signal)]) } : {}),
    signal: request.signal,
  }, request.shape);
}
