/**
 * HTTP to registries: one connection pool per host and kind of trust, redirects followed here, so that credentials never
 * go to another host, and limits on everything that can hang or grow.
 */
import type { Readable } from 'node:stream';
import type * as Undici from 'undici';
import type { Dispatcher } from 'undici';
import { messageOf, unavailable } from '../../base/errors.ts';
import { isInsecure, tlsOptions } from './endpoints.ts';
import { proxyFor, withEnvironment } from './proxy.ts';
import type { ProxySettings } from './proxy.ts';

export interface TransportOptions {
  readonly certsFolder: string;
  readonly insecure: readonly string[];
  readonly proxy: ProxySettings;
  readonly userAgent: string;
  /** Longest wait for a connection, for the head of an answer, and between two pieces of its body. */
  readonly timeoutMs: { readonly connect: number; readonly idle: number };
}

export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH';
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Readable | Buffer | string;
  readonly verify: boolean;
  readonly signal: AbortSignal;
}

export interface HttpResponse {
  readonly status: number;
  /** Where it came from, after redirects. */
  readonly url: string;
  /** The first value of a header, empty if there is none. */
  header(name: string): string;
  /** To be read or destroyed by the caller. */
  readonly body: Readable;
}

/**
 * Loaded at the first use: most daemons never talk to a registry, and it is a third of what they would hold. Its names are
 * taken from the default export: of a CommonJS module that a bundle loads late there is no other.
 */
const undici = async (): Promise<typeof Undici.default> => (await import('undici')).default;

const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

export class Transport {
  readonly #options: TransportOptions;
  readonly #dispatchers = new Map<string, Promise<Dispatcher>>();

  constructor(options: TransportOptions) {
    this.#options = options;
  }

  /** The answer, whatever its status; of GET and HEAD after redirects. Throws `unavailable` if there is none. */
  async send(req: HttpRequest): Promise<HttpResponse> {
    let current = req;
    for (let redirects = 0; ; redirects += 1) {
      const response = await this.#once(current);
      const location = response.header('location');
      const follow = (req.method === 'GET' || req.method === 'HEAD') && REDIRECTS.has(response.status) && location !== '';
      if (!follow) return response;
      await discard(response.body);
      if (redirects >= MAX_REDIRECTS) throw unavailable(`${verb(req)} ${JSON.stringify(req.url)}: stopped after ${MAX_REDIRECTS} redirects`);
      current = await this.#redirected(current, location);
    }
  }

  /** Closes idle connections; what runs ends by itself. */
  async close(): Promise<void> {
    const dispatchers = [...this.#dispatchers.values()];
    this.#dispatchers.clear();
    for (const dispatcher of dispatchers) await (await dispatcher).close();
  }

  async #redirected(from: HttpRequest, location: string): Promise<HttpRequest> {
    const target = parseUrl(location, from.url);
    if (target === undefined) throw unavailable(`${verb(from)} ${JSON.stringify(from.url)}: redirected to ${JSON.stringify(location.slice(0, 200))}, which is no http address`);
    if (target.origin === new URL(from.url).origin) return { ...from, url: target.href };
    const headers = Object.fromEntries(Object.entries(from.headers).filter(([name]) => name.toLowerCase() !== 'authorization'));
    return { ...from, headers, url: target.href, verify: !(await isInsecure(target.host, this.#options.insecure)) };
  }

  async #once(req: HttpRequest): Promise<HttpResponse> {
    const url = new URL(req.url);
    const { request } = await undici();
    try {
      const { statusCode, headers, body } = await request(url, {
        dispatcher: await this.#dispatcher(url, req.verify),
        method: req.method,
        headers: { 'User-Agent': this.#options.userAgent, ...req.headers },
        body: req.body ?? null,
        signal: req.signal,
        headersTimeout: this.#options.timeoutMs.idle,
        bodyTimeout: this.#options.timeoutMs.idle,
      });
      // A body given up before its end complains to nobody; a reader hears of errors by its own means.
      body.on('error', () => {});
      const header = (name: string): string => {
        const value = headers[name];
        return (Array.isArray(value) ? value[0] : value) ?? '';
      };
      return { status: statusCode, url: req.url, header, body };
    } catch (error) {
      req.signal.throwIfAborted();
      throw unavailable(`${verb(req)} ${JSON.stringify(withoutSecrets(url))}: ${reasonOf(error)}`, error);
    }
  }

  #dispatcher(url: URL, verify: boolean): Promise<Dispatcher> {
    const key = `${url.protocol}//${url.host} ${verify}`;
    const known = this.#dispatchers.get(key);
    if (known !== undefined) return known;
    const made = this.#connect(url, verify);
    this.#dispatchers.set(key, made);
    made.catch(() => this.#dispatchers.delete(key));
    return made;
  }

  async #connect(url: URL, verify: boolean): Promise<Dispatcher> {
    const { Agent, ProxyAgent } = await undici();
    const { certsFolder, proxy, timeoutMs } = this.#options;
    const tls = url.protocol === 'https:' ? { ...(await tlsOptions(url.host, certsFolder)), rejectUnauthorized: verify } : {};
    const connect = { ...tls, timeout: timeoutMs.connect };
    const common = { connect, keepAliveTimeout: 4000, connections: 16, maxHeaderSize: 64 * 1024 };
    const uri = proxyFor(url, withEnvironment(proxy, process.env));
    return uri === undefined ? new Agent(common) : new ProxyAgent({ ...common, uri, requestTls: connect });
  }
}

/** Gives the connection back without the rest of the answer, or gives it up if that is long. */
export async function discard(body: Readable): Promise<void> {
  let left = 64 * 1024;
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      left -= chunk.length;
      if (left < 0) return;
    }
  } catch {
    // Nobody wanted it.
  }
}

/** The whole body; throws if it is longer than `limit`. */
export async function readBody(response: HttpResponse, limit: number, what: string): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw unavailable(`${what} of ${new URL(response.url).host} is longer than ${limit} bytes`);
      chunks.push(chunk);
    }
  } finally {
    response.body.destroy();
  }
  return Buffer.concat(chunks);
}

/** The address made of a header and what it is relative to, if it is one of http. */
export function parseUrl(text: string, base: string): URL | undefined {
  const url = URL.parse(text, base);
  return url !== null && (url.protocol === 'https:' || url.protocol === 'http:') ? url : undefined;
}

const verb = ({ method }: HttpRequest): string => method.charAt(0) + method.slice(1).toLowerCase();

const withoutSecrets = (url: URL): string => `${url.origin}${url.pathname}`;

/** The innermost reason: undici and node wrap what the kernel said. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  return messageOf(error) || String(error);
}
