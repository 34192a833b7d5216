/** An event as API 1.51 sends it: the modern fields and, for containers and images, the old ones that clients still read. */
import type { EngineEvent } from '../core/events.ts';

export function eventView(event: EngineEvent): unknown {
  const legacy = event.type === 'container' || event.type === 'image'
    ? {
        status: event.action,
        id: event.actorId,
        ...(event.type === 'container' && event.attributes['image'] !== undefined && event.attributes['image'] !== '' ? { from: event.attributes['image'] } : {}),
      }
    : {};
  return {
    ...legacy,
    Type: event.type,
    Action: event.action,
    Actor: { ID: event.actorId, Attributes: event.attributes },
    scope: 'local',
    time: Number(event.timeNs / 1_000_000_000n),
    timeNano: event.timeNs,
  };
}
