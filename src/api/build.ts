/** Building, which this engine does not do: said clearly, and to clients that clean up there is simply nothing to clean. */
import { notImplemented } from '../base/errors.ts';
import type { Route } from './router.ts';

const NO_BUILDER = 'this engine does not build images: build them with another tool, for example a buildx builder of the docker-container driver, and load the result';

export function buildRoutes(): Route[] {
  const refuse = (): never => {
    throw notImplemented(NO_BUILDER);
  };
  return [
    { method: 'POST', pattern: '/build', handler: refuse },
    { method: 'POST', pattern: '/build/cancel', handler: refuse },
    { method: 'POST', pattern: '/session', handler: refuse },
    { method: 'POST', pattern: '/grpc', handler: refuse },
    { method: 'POST', pattern: '/build/prune', handler: (_request, response) => response.value({ CachesDeleted: null, SpaceReclaimed: 0 }) },
  ];
}
