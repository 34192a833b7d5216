/** The HTTP front: from a connection to a handler and back. It knows versions, headers and errors, and no route. */
import http from 'node:http';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import https from 'node:https';
import type { Socket } from 'node:net';
import type { SecureContextOptions } from 'node:tls';
import { MooredError, messageOf } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import { traced } from '../base/trace.ts';
import { errorBody, httpStatus } from '../wire/httpStatus.ts';
import { MAX_API_VERSION, MIN_API_VERSION, ApiVersion, negotiate } from '../wire/version.ts';
import { expectHijack, freeze, rescueEarlyInput, takeConnection } from './hijack.ts';
import { ApiRequest, Query } from './request.ts';
import { ApiResponse } from './respond.ts';
import type { RouteMatch, Router } from './router.ts';

export interface ApiOptions {
  readonly router: Router;
  readonly logger: Logger;
  /** What the `Server` header says: `Docker/<version> (linux)`. */
  readonly version: string;
  readonly experimental: boolean;
  /** Resolves when what a request is about can be handled; may throw what its handler would. Default: at once. */
  readonly settled?: (match: RouteMatch) => Promise<void>;
}

/** The handler of all requests, whatever connection they come by. */
export function apiHandler(options: ApiOptions): RequestListener {
  return (message, response) => {
    for (const [name, value] of Object.entries(commonHeaders(options))) response.setHeader(name, value);
    void handle(options, message, response);
  };
}

const commonHeaders = ({ version, experimental }: ApiOptions): Record<string, string> => ({
  'Api-Version': MAX_API_VERSION,
  'Docker-Experimental': String(experimental),
  Ostype: 'linux',
  Server: `Docker/${version} (linux)`,
});

async function handle(options: ApiOptions, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const call = `${message.method} ${message.url}`;
  options.logger.debug(`Calling ${call}`);
  let answer = new ApiResponse(response);
  try {
    const target = parseTarget(message.url ?? '/');
    if (target === undefined) {
      answer.send('400 Bad Request', { contentType: 'text/plain; charset=utf-8', status: 400 });
      return;
    }
    if (target.version !== undefined && new ApiVersion(target.version).below(MIN_API_VERSION)) {
      sendPlainError(answer, target.version);
      return;
    }
    const apiVersion = negotiate(target.version);
    const match = options.router.find(message.method ?? 'GET', target.path);
    if (match === undefined || (match.route.minApi !== undefined && apiVersion.below(match.route.minApi))) {
      answer.value({ message: 'page not found' }, 404);
      return;
    }
    const request = new ApiRequest({
      message,
      path: target.path,
      params: match.params,
      query: new Query(target.query),
      apiVersion,
      signal: goneSignal(response),
    });
    if (match.route.hijack === true) {
      expectHijack(message);
      await request.text();
      freeze(message, response);
      answer = new ApiResponse(response, (head) => takeConnection(message, response, head));
    }
    await traced('', call, async () => {
      await options.settled?.(match);
      await match.route.handler(request, answer);
    });
  } catch (error) {
    report(options.logger, call, error);
    if (!answer.started) sendError(answer, error);
    // Too late for a status: a stream that breaks off is what tells the client.
    else if (!response.writableEnded) response.destroy();
  }
}

interface Target {
  readonly version: string | undefined;
  readonly path: string;
  readonly query: URLSearchParams;
}

/** The version, decoded path and query of a request's target; undefined if the path's escapes are broken. */
function parseTarget(target: string): Target | undefined {
  const mark = target.indexOf('?');
  const rawPath = mark < 0 ? target : target.slice(0, mark);
  let path: string;
  try {
    path = decodeURIComponent(rawPath);
  } catch {
    return undefined;
  }
  const query = new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1));
  const versioned = /^\/v([0-9.]+)(\/.*)$/s.exec(path);
  return { version: versioned?.[1], path: versioned?.[2] ?? path, query };
}

/** Aborted when the connection closes before the response is complete. */
function goneSignal(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once('close', () => {
    if (!response.writableFinished) controller.abort();
  });
  return controller.signal;
}

function sendError(answer: ApiResponse, error: unknown): void {
  const status = httpStatus(error);
  if (status === 304) answer.empty(304);
  else answer.value(errorBody(error), status);
}

/** Clients from before API 1.24 do not read JSON errors. */
function sendPlainError(answer: ApiResponse, asked: string): void {
  try {
    negotiate(asked);
  } catch (error) {
    answer.send(`${messageOf(error)}\n`, { contentType: 'text/plain; charset=utf-8', status: 400 });
  }
}

function report(logger: Logger, call: string, error: unknown): void {
  const message = `Handler for ${call} returned error: ${messageOf(error)}`;
  if (!(error instanceof MooredError)) {
    logger.error(message, { type: error instanceof Error ? error.name : typeof error, stack: error instanceof Error ? error.stack : undefined });
  } else if (httpStatus(error) >= 500) logger.error(message);
  else logger.debug(message);
}

/** A server that has its sockets in hand, so that it can let go of all of them at once. */
export interface ApiServer {
  readonly http: http.Server;
  /** Accepts no more and cuts every client, hijacked ones too. */
  close(): Promise<void>;
}

/** A client that has no more input ends its side, and still wants the output. Node's HTTP server sees to it, its HTTPS server does not. */
const HALF_OPEN = { allowHalfOpen: true };

/** A server for the handler, not yet listening; with `tls` it speaks HTTPS. */
export function createApiServer(handler: RequestListener, tls?: TlsOptions): ApiServer {
  // Docker clients upload for hours, idle for days and send long headers; Go's server has the same bounds.
  const limits = { requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0, maxHeaderSize: 1024 * 1024, noDelay: true };
  const server = tls === undefined ? http.createServer(limits, handler) : https.createServer({ ...limits, ...HALF_OPEN, ...tls }, handler);
  server.timeout = 0;
  const sockets = new Set<Socket>();
  const track = (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  };
  server.on('connection', track);
  server.on('secureConnection', track);
  server.on('clientError', (error: Error & { rawPacket?: Buffer }, stream) => {
    const socket = stream as Socket;
    if (rescueEarlyInput(socket, error.rawPacket)) return;
    if (socket.writable && !('_httpMessage' in socket && socket._httpMessage !== null)) {
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n400 Bad Request');
    } else socket.destroy();
  });
  return {
    http: server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

export interface TlsOptions extends SecureContextOptions {
  /** Clients must show a certificate of the authority (`--tlsverify`). */
  readonly requestCert?: boolean;
  readonly rejectUnauthorized?: boolean;
}
