/** The routes that need no engine: is there one, and what does it speak. */
import type { Handler, Route } from './router.ts';

export interface PingDeps {
  /** What the `Swarm` header says: `inactive`, `pending`, `error`, `locked`, `active/worker`, `active/manager`. */
  swarmState(): string;
}

/** `/_ping` and OPTIONS. Clients negotiate the API version from the headers of the former. */
export function pingRoutes(deps: PingDeps): Route[] {
  const ping: Handler = (request, response) => {
    response
      .header('Cache-Control', 'no-cache, no-store, must-revalidate')
      .header('Pragma', 'no-cache')
      // 1 is the classic builder, which is what the engine itself has.
      .header('Builder-Version', '1')
      .header('Swarm', deps.swarmState());
    response.send(request.method === 'HEAD' ? '' : 'OK', { contentType: 'text/plain; charset=utf-8' });
  };
  return [
    { method: 'GET', pattern: '/_ping', early: true, handler: ping },
    { method: 'HEAD', pattern: '/_ping', early: true, handler: ping },
    { method: 'OPTIONS', pattern: '/{path...}', handler: (_request, response) => response.empty(200) },
  ];
}
