/** `GET /moored/trace`: the steps of this daemon's start and, with `follow`, those of every operation from now on. */
import { isKind } from '../base/errors.ts';
import { listen, startSteps } from '../base/trace.ts';
import type { Step } from '../base/trace.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';

/** Steps that a client has not taken yet; further ones are left out. */
const MAX_BEHIND = 10_000;

export const traceRoutes = (): Route[] => [{ method: 'GET', pattern: '/moored/trace', early: true, handler: trace }];

async function trace(request: ApiRequest, response: ApiResponse): Promise<void> {
  const queue: Step[] = [...startSteps()];
  let wake: () => void = () => undefined;
  const follow = request.query.bool('follow');
  const listening = listen((step) => {
    if (queue.length < MAX_BEHIND) queue.push(step);
    wake();
  });
  request.signal.addEventListener('abort', () => wake(), { once: true });
  const stream = response.stream();
  try {
    do {
      for (const step of queue.splice(0)) await stream.line(step);
      if (follow && queue.length === 0) await new Promise<void>((resolve) => { wake = resolve; });
    } while (follow && !request.signal.aborted);
  } catch (error) {
    if (!isKind(error, 'unavailable')) throw error;
  } finally {
    listening[Symbol.dispose]();
    stream.end();
  }
}
