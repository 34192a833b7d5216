/** `docker attach`, and the attaching half of `docker run`: the client is connected before the container's first instruction. */
import type { Duplex } from 'node:stream';
import { conflict } from '../base/errors.ts';
import type { Container } from './container.ts';
import { publishContainer } from './context.ts';
import type { EngineContext } from './context.ts';

export interface AttachRequest {
  stdin: boolean;
  stdout: boolean;
  stderr: boolean;
  /** Of the client's connection. */
  signal: AbortSignal;
}

/**
 * A connection to the container's stdio: frames (raw bytes with a terminal) to read, stdin to write. For a container
 * that does not run it is a promise for the next start; it rejects when that will not come (removed, client gone).
 */
export function attachContainer(ctx: EngineContext, container: Container, request: AttachRequest): { stream: Promise<Duplex> } {
  const { kind } = container.state;
  if (kind === 'paused') throw conflict(`container ${container.id} is paused, unpause the container before attach`);
  if (kind === 'restarting') throw conflict(`container ${container.id} is restarting, wait until the container is running`);
  publishContainer(ctx, container.subject, 'attach');
  if (container.handle !== null) return { stream: container.handle.attach(request) };
  return { stream: nextStart(container, request) };
}

function nextStart(container: Container, request: AttachRequest): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
  const pending = async (handle: NonNullable<Container['handle']>): Promise<void> => {
    const stream = await handle.attach(request);
    resolve(stream);
  };
  container.pendingAttaches.add(pending);
  const forget = (): void => {
    container.pendingAttaches.delete(pending);
    reject(conflict(`container ${container.id} was not started`));
  };
  request.signal.addEventListener('abort', forget, { once: true });
  void container.wait('removed', request.signal).then(forget);
  return promise;
}

/** Connects everyone who waits; called between the launch of the shim and `start`. One who cannot be connected is left out. */
export async function connectPending(container: Container, handle: NonNullable<Container['handle']>): Promise<void> {
  const waiting = [...container.pendingAttaches];
  container.pendingAttaches.clear();
  await Promise.allSettled(waiting.map((attach) => attach(handle)));
}
