/** Plugins, of which there are none: clients that list them find an empty list, those that name one are told so. */
import { notFound, notImplemented } from '../base/errors.ts';
import type { Handler, Method, Route } from './router.ts';

export function pluginRoutes(): Route[] {
  const unknown: Handler = (request) => {
    throw notFound(`plugin "${request.param('name')}" not found`);
  };
  const unsupported: Handler = () => {
    throw notImplemented('managed plugins are not supported');
  };
  const named: readonly [Method, string][] = [
    ['GET', '/plugins/{name...}/json'], ['DELETE', '/plugins/{name...}'], ['POST', '/plugins/{name...}/enable'], ['POST', '/plugins/{name...}/disable'],
    ['POST', '/plugins/{name...}/push'], ['POST', '/plugins/{name...}/upgrade'], ['POST', '/plugins/{name...}/set'],
  ];
  return [
    { method: 'GET', pattern: '/plugins', handler: (_request, response) => response.value([]) },
    { method: 'GET', pattern: '/plugins/privileges', handler: unsupported },
    { method: 'POST', pattern: '/plugins/pull', handler: unsupported },
    { method: 'POST', pattern: '/plugins/create', handler: unsupported },
    ...named.map(([method, pattern]): Route => ({ method, pattern, handler: unknown })),
  ];
}
