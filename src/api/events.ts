/** `GET /events` (engine-api A6): history from disk, then what happens, until the time asked for or the client goes. */
import { invalid, isKind } from '../base/errors.ts';
import { EVENT_FILTERS, eventMatches } from '../core/events.ts';
import type { EngineEvent } from '../core/events.ts';
import type { EngineContext } from '../engine/context.ts';
import { eventView } from '../wire/event.ts';
import { parseTimestamp } from '../wire/timestamps.ts';
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';
import type { Route } from './router.ts';

/** Events that a client has not taken yet; one that lags further behind is cut off. */
const MAX_BEHIND = 10_000;

export const eventRoutes = (ctx: EngineContext): Route[] => [
  { method: 'GET', pattern: '/events', early: true, handler: (request, response) => events(ctx, request, response) },
];

async function events(ctx: EngineContext, request: ApiRequest, response: ApiResponse): Promise<void> {
  const filters = request.query.filters(EVENT_FILTERS);
  const now = ctx.clock.nowNs();
  const since = parseTimestamp(request.query.text('since'), now);
  const until = parseTimestamp(request.query.text('until'), now);
  if (since !== undefined && until !== undefined && since > until) throw invalid('`since` time cannot be after `until` time');

  const queue: EngineEvent[] = [];
  let wake: () => void = () => undefined;
  const subscription = ctx.events.subscribe((event) => {
    if (eventMatches(event, filters)) queue.push(event);
    wake();
  });
  request.signal.addEventListener('abort', () => wake(), { once: true });
  const stream = response.stream();
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  try {
    let newest = 0n;
    if (since !== undefined || until !== undefined) {
      for (const event of await ctx.events.history(since ?? 0n, until ?? 0n)) {
        if (event.timeNs > newest) newest = event.timeNs;
        if (eventMatches(event, filters) && !queue.includes(event)) await stream.line(eventView(event));
      }
      // What was published while the history was read is in both.
      queue.splice(0, queue.length, ...queue.filter((event) => event.timeNs > newest));
    }
    if (until !== undefined) {
      const left = Number((until - ctx.clock.nowNs()) / 1_000_000n);
      timer = setTimeout(() => {
        over = true;
        wake();
      }, Math.min(Math.max(left, 0), 2 ** 31 - 1));
    }
    while (!request.signal.aborted) {
      for (const event of queue.splice(0)) await stream.line(eventView(event));
      if (over || queue.length > MAX_BEHIND) break;
      if (queue.length === 0) await new Promise<void>((resolve) => { wake = resolve; });
    }
  } catch (error) {
    if (!isKind(error, 'unavailable')) throw error;
  } finally {
    clearTimeout(timer);
    subscription.close();
    stream.end();
  }
}
