/** Talking to one repository of one registry: finds the way that works, logs in as the registry asks, speaks API v2. */
import type { Readable } from 'node:stream';
import { internal, isKind, unauthorized, unavailable } from '../../base/errors.ts';
import { parseJson } from '../../base/json.ts';
import { text } from '../../core/image/jsonFields.ts';
import type { RegistryAuth } from '../../core/ports/images.ts';
import { parseChallenges } from './challenge.ts';
import type { Challenge } from './challenge.ts';
import type { Endpoint } from './endpoints.ts';
import { registryError } from './registryError.ts';
import { discard, parseUrl, readBody } from './transport.ts';
import type { HttpRequest, HttpResponse, Transport } from './transport.ts';

const MAX_TOKEN_BYTES = 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;
const CLIENT_ID = 'docker';

export interface SessionOptions {
  readonly transport: Transport;
  readonly endpoint: Endpoint;
  readonly auth: RegistryAuth | null;
  /** `repository:library/busybox:pull`; none for a login. */
  readonly scopes: readonly string[];
  readonly signal: AbortSignal;
}

export interface SessionRequest {
  readonly method: HttpRequest['method'];
  /** `/v2/…`, or the absolute address that the registry gave (uploads). */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Made anew for each try. */
  readonly body?: () => Readable | Buffer;
  /** Statuses that are an answer and not an error. */
  readonly expect: readonly number[];
  /** Instead of the session's. */
  readonly signal?: AbortSignal;
}

export class Session {
  readonly endpoint: Endpoint;
  readonly #options: SessionOptions;
  readonly #auth: RegistryAuth | null;
  #authorization = '';
  #challenges: Challenge[] = [];
  /** Of a login with `offline_token`. */
  identityToken = '';

  private constructor(options: SessionOptions) {
    this.#options = options;
    this.endpoint = options.endpoint;
    this.#auth = options.endpoint.mirror ? null : options.auth;
  }

  /** Asks the registry whether it is one and what it wants. Throws `unavailable` if it cannot be reached. */
  static async open(options: SessionOptions): Promise<Session> {
    const session = new Session(options);
    const response = await session.#send({ method: 'GET', path: '/v2/', expect: [] });
    await discard(response.body);
    if (response.status === 401) session.#challenges = parseChallenges(response.header('www-authenticate'));
    else if (response.status !== 200) throw registryError(response.status, { authenticate: '' }, '');
    if (session.#challenges.length > 0) await session.#authorize(options.signal);
    return session;
  }

  /** An answer with one of the expected statuses; throws RegistryError for any other. */
  async request(request: SessionRequest): Promise<HttpResponse> {
    const first = await this.#send(request);
    if (first.status !== 401 || request.expect.includes(401)) return this.#checked(first, request);
    // A token that has expired, or is too narrow: once more with what is asked for now.
    const challenges = parseChallenges(first.header('www-authenticate'));
    if (challenges.length === 0 || this.#isBasic()) return this.#checked(first, request);
    this.#challenges = challenges;
    await discard(first.body);
    await this.#authorize(request.signal ?? this.#options.signal);
    return this.#checked(await this.#send(request), request);
  }

  async #checked(response: HttpResponse, { expect }: SessionRequest): Promise<HttpResponse> {
    if (expect.includes(response.status)) return response;
    const authenticate = response.header('www-authenticate');
    const body = await readBody(response, MAX_ERROR_BYTES, 'error').catch(() => Buffer.alloc(0));
    throw registryError(response.status, { authenticate }, body.toString('utf8'));
  }

  #send(request: SessionRequest): Promise<HttpResponse> {
    const url = new URL(request.path, this.endpoint.base);
    // A mirror may live below a path.
    if (request.path.startsWith('/')) url.href = this.endpoint.base + request.path;
    const trusted = url.origin === new URL(this.endpoint.base).origin;
    const authorization: Record<string, string> = this.#authorization !== '' && trusted ? { Authorization: this.#authorization } : {};
    const body = request.body?.();
    return this.#options.transport.send({
      method: request.method,
      url: url.href,
      headers: { ...authorization, ...request.headers },
      ...(body === undefined ? {} : { body }),
      verify: this.endpoint.verify,
      signal: request.signal ?? this.#options.signal,
    });
  }

  #isBasic(): boolean {
    return this.#authorization.startsWith('Basic ');
  }

  async #authorize(signal: AbortSignal): Promise<void> {
    const bearer = this.#challenges.find(({ scheme }) => scheme === 'bearer');
    if (bearer !== undefined) {
      this.#authorization = `Bearer ${this.#auth?.registryToken || (await this.#token(bearer, signal))}`;
      return;
    }
    if (this.#challenges.some(({ scheme }) => scheme === 'basic')) {
      const basic = basicAuthorization(this.#auth);
      if (basic === undefined) throw internal(`Get ${JSON.stringify(`${this.endpoint.base}/v2/`)}: no basic auth credentials`);
      this.#authorization = basic;
    }
  }

  /** A token from the registry's authority (distribution spec, "Token Authentication"). */
  async #token({ parameters }: Challenge, signal: AbortSignal): Promise<string> {
    const realm = parseUrl(parameters.get('realm') ?? '', `${this.endpoint.base}/`);
    if (realm === undefined) throw unavailable(`registry ${this.endpoint.base} names no authority for its tokens`);
    const asked = parameters.get('scope') ?? '';
    const scopes = [...new Set([...this.#options.scopes, ...(asked === '' ? [] : [asked])])];
    const service = parameters.get('service') ?? '';
    const response = await this.#options.transport.send({ ...this.#tokenRequest(realm, service, scopes), signal });
    if (response.status !== 200) {
      const body = await readBody(response, MAX_ERROR_BYTES, 'error').catch(() => Buffer.alloc(0));
      const error = registryError(response.status, { authenticate: '' }, body.toString('utf8'));
      throw response.status === 401 ? unauthorized(`Get ${JSON.stringify(realm.origin + realm.pathname)}: ${error.message}`, error) : error;
    }
    const { token, refreshToken } = parseToken(await readBody(response, MAX_TOKEN_BYTES, 'token'));
    if (refreshToken !== '') this.identityToken = refreshToken;
    return token;
  }

  #tokenRequest(realm: URL, service: string, scopes: readonly string[]): Omit<HttpRequest, 'signal'> {
    // The authority of an insecure registry is as insecure as that registry, no other one is.
    const verify = this.endpoint.verify || realm.hostname !== new URL(this.endpoint.base).hostname;
    const fields: [string, string][] = service === '' ? [] : [['service', service]];
    if (this.#auth?.identityToken) {
      const form = new URLSearchParams([
        ...fields, ['grant_type', 'refresh_token'], ['refresh_token', this.#auth.identityToken], ['client_id', CLIENT_ID], ['scope', scopes.join(' ')],
      ]);
      return { verify, method: 'POST', url: realm.href, headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: form.toString() };
    }
    const basic = basicAuthorization(this.#auth);
    for (const [name, value] of fields) realm.searchParams.append(name, value);
    for (const scope of scopes) realm.searchParams.append('scope', scope);
    if (basic !== undefined) realm.searchParams.append('account', this.#auth?.username ?? '');
    if (basic !== undefined && this.#options.scopes.length === 0) {
      realm.searchParams.append('offline_token', 'true');
      realm.searchParams.append('client_id', CLIENT_ID);
    }
    return { verify, method: 'GET', url: realm.href, headers: basic === undefined ? {} : { Authorization: basic } };
  }
}

function basicAuthorization(auth: RegistryAuth | null): string | undefined {
  if (!auth?.username || auth.password === undefined) return undefined;
  return `Basic ${Buffer.from(`${auth.username}:${auth.password}`).toString('base64')}`;
}

function parseToken(bytes: Buffer): { token: string; refreshToken: string } {
  try {
    const root = parseJson(bytes.toString('utf8'));
    if (root instanceof Map) {
      const token = text(root, 'token') || text(root, 'access_token');
      if (/^[\x21-\x7e]+$/.test(token)) return { token, refreshToken: text(root, 'refresh_token') };
    }
  } catch (error) {
    throw unavailable('authorization server answered with something else than a token', error);
  }
  throw unavailable('authorization server did not include a token in the response');
}

/**
 * Runs `work` with the first endpoint that can be reached; after any failure of a mirror the next one is tried. The error is
 * that of the last one.
 */
export async function withEndpoint<T>(
  endpoints: readonly Endpoint[],
  options: Omit<SessionOptions, 'endpoint'>,
  work: (session: Session) => Promise<T>,
): Promise<T> {
  let failure: unknown = unavailable('no registry to ask');
  for (const endpoint of endpoints) {
    options.signal.throwIfAborted();
    let session: Session;
    try {
      session = await Session.open({ ...options, endpoint });
    } catch (error) {
      if (!endpoint.mirror && !isKind(error, 'unavailable')) throw error;
      failure = error;
      continue;
    }
    try {
      return await work(session);
    } catch (error) {
      if (!endpoint.mirror) throw error;
      failure = error;
    }
  }
  throw failure;
}
