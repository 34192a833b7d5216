/**
 * Routes as a table. A pattern is a path with parameters: `{id}` is one segment, `{name...}` any number of them (image
 * names contain slashes). Of two routes that fit, the one with fewer parameters is taken.
 */
import type { ApiRequest } from './request.ts';
import type { ApiResponse } from './respond.ts';

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT' | 'DELETE' | 'OPTIONS';
export type Handler = (request: ApiRequest, response: ApiResponse) => Promise<void> | void;

export interface Route {
  readonly method: Method;
  readonly pattern: string;
  /** The API version that brought the route; older requests get a 404. */
  readonly minApi?: string;
  /** It only looks: answered before a daemon's start has tidied up and is through with every container. */
  readonly early?: boolean;
  /** The handler may take the connection (`response.hijack`); its body is read before it is called. */
  readonly hijack?: boolean;
  readonly handler: Handler;
}

export interface RouteMatch {
  readonly route: Route;
  readonly params: Readonly<Record<string, string>>;
}

export interface Router {
  /** The route of a method and a decoded path without version. */
  find(method: string, path: string): RouteMatch | undefined;
}

interface Compiled {
  readonly route: Route;
  readonly expression: RegExp;
  readonly parameters: number;
}

/** Builds the table's index: by method and first segment, most literal route first. */
export function createRouter(routes: readonly Route[]): Router {
  const index = new Map<string, Compiled[]>();
  for (const route of routes) {
    const key = indexKey(route.method, route.pattern);
    const group = index.get(key) ?? [];
    group.push(compile(route));
    index.set(key, group);
  }
  for (const group of index.values()) group.sort((a, b) => a.parameters - b.parameters);

  return {
    find(method, path) {
      for (const key of new Set([indexKey(method, path), `${method} {`])) {
        for (const { route, expression } of index.get(key) ?? []) {
          const match = expression.exec(path);
          if (match !== null) return { route, params: match.groups ?? {} };
        }
      }
      return undefined;
    },
  };
}

/** Routes whose first segment is a parameter share the key `METHOD {`. */
function indexKey(method: string, path: string): string {
  const segment = path.split('/', 2)[1] ?? '';
  return `${method} ${segment.startsWith('{') ? '{' : segment}`;
}

const PARAMETER = /\{([a-zA-Z]+)(\.\.\.)?\}/g;

function compile(route: Route): Compiled {
  let source = '';
  let end = 0;
  let parameters = 0;
  for (const match of route.pattern.matchAll(PARAMETER)) {
    source += RegExp.escape(route.pattern.slice(end, match.index));
    source += match[2] === undefined ? `(?<${match[1]}>[^/]+)` : `(?<${match[1]}>.+)`;
    end = match.index + match[0].length;
    parameters += 1;
  }
  source += RegExp.escape(route.pattern.slice(end));
  return { route, expression: new RegExp(`^${source}$`, 's'), parameters };
}
