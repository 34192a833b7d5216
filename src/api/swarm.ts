/** Swarm, of which this engine is no part: every route is there and says so, in the words that clients know. */
import { notImplemented, unavailable } from '../base/errors.ts';
import type { Method, Route } from './router.ts';

const MANAGERS_ONLY =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

/** Routes that a manager would serve. */
const MANAGER_ROUTES: readonly [Method, string][] = [
  ['GET', '/swarm'], ['POST', '/swarm/update'], ['GET', '/swarm/unlockkey'],
  ['GET', '/services'], ['POST', '/services/create'], ['GET', '/services/{id}'], ['POST', '/services/{id}/update'], ['DELETE', '/services/{id}'], ['GET', '/services/{id}/logs'],
  ['GET', '/nodes'], ['GET', '/nodes/{id}'], ['POST', '/nodes/{id}/update'], ['DELETE', '/nodes/{id}'],
  ['GET', '/tasks'], ['GET', '/tasks/{id}'], ['GET', '/tasks/{id}/logs'],
  ['GET', '/secrets'], ['POST', '/secrets/create'], ['GET', '/secrets/{id}'], ['POST', '/secrets/{id}/update'], ['DELETE', '/secrets/{id}'],
  ['GET', '/configs'], ['POST', '/configs/create'], ['GET', '/configs/{id}'], ['POST', '/configs/{id}/update'], ['DELETE', '/configs/{id}'],
];

export function swarmRoutes(): Route[] {
  const refuse = (error: () => Error) => (): never => {
    throw error();
  };
  return [
    ...MANAGER_ROUTES.map(([method, pattern]): Route => ({ method, pattern, handler: refuse(() => unavailable(MANAGERS_ONLY)) })),
    { method: 'POST', pattern: '/swarm/leave', handler: refuse(() => unavailable('This node is not part of a swarm')) },
    { method: 'POST', pattern: '/swarm/unlock', handler: refuse(() => unavailable('This node is not part of a swarm')) },
    { method: 'POST', pattern: '/swarm/init', handler: refuse(() => notImplemented('swarm mode is not supported')) },
    { method: 'POST', pattern: '/swarm/join', handler: refuse(() => notImplemented('swarm mode is not supported')) },
  ];
}
