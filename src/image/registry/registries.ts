/** Pull, push, login and inspection: which registry is meant, by which way, with what limits. */
import type { Readable } from 'node:stream';
import { internal, invalid, isKind, messageOf, unauthorized } from '../../base/errors.ts';
import { parseReference, withDefaultTag, wholeName, DEFAULT_DOMAIN } from '../../core/image/reference.ts';
import type { Reference } from '../../core/image/reference.ts';
import type { DistributionInspect, ImagePort, ProgressSink, PullOptions, RegistryAuth } from '../../core/ports/images.ts';
import type { ImageContext } from '../context.ts';
import { endpointsOf } from './endpoints.ts';
import { inspectRemote } from './inspect.ts';
import { pullAllTags, pullOne } from './pull.ts';
import type { PullContext } from './pull.ts';
import type { ProxySettings } from './proxy.ts';
import { mountScopes, pushOne, pushedReferences } from './push.ts';
import { pullError } from './registryError.ts';
import { withEndpoint } from './session.ts';
import type { Session } from './session.ts';
import { Semaphore, SharedWork } from './shared.ts';
import { Transport, discard, parseUrl } from './transport.ts';

/** The daemon's options for registries. */
export interface RegistryOptions {
  /** Addresses of mirrors of Docker Hub. */
  readonly mirrors: readonly string[];
  /** Hosts (`name:port`) and blocks of addresses (CIDR). */
  readonly insecure: readonly string[];
  readonly maxConcurrentDownloads: number;
  readonly maxConcurrentUploads: number;
  readonly maxDownloadAttempts: number;
  readonly proxy: ProxySettings;
  /** Where certificates of registries are: `/etc/docker/certs.d`. */
  readonly certsFolder: string;
  /** First pause between attempts, ms; grows by as much. */
  readonly retryMs: number;
  readonly timeoutMs: { readonly connect: number; readonly idle: number };
  readonly userAgent: string;
}

export const DEFAULT_REGISTRY_OPTIONS: RegistryOptions = {
  mirrors: [],
  insecure: [],
  maxConcurrentDownloads: 3,
  maxConcurrentUploads: 5,
  maxDownloadAttempts: 5,
  proxy: { http: '', https: '', no: '' },
  certsFolder: '/etc/docker/certs.d',
  retryMs: 5000,
  timeoutMs: { connect: 30_000, idle: 60_000 },
  userAgent: 'moored',
};

interface SessionNeeds {
  readonly auth: RegistryAuth | null;
  readonly signal: AbortSignal;
  readonly scopes: readonly string[];
  readonly push?: boolean;
}

export class Registries {
  readonly #context: ImageContext;
  readonly #downloads: Semaphore;
  readonly #uploads: Semaphore;
  readonly #shared = new SharedWork();
  #options: RegistryOptions;
  #transport: Transport;

  constructor(context: ImageContext, options: RegistryOptions) {
    this.#context = context;
    this.#options = options;
    this.#transport = new Transport(options);
    this.#downloads = new Semaphore(options.maxConcurrentDownloads);
    this.#uploads = new Semaphore(options.maxConcurrentUploads);
  }

  /** Applies other options; what runs goes on as it began. */
  configure(options: RegistryOptions): void {
    const before = this.#transport;
    this.#options = options;
    this.#transport = new Transport(options);
    this.#downloads.limit = options.maxConcurrentDownloads;
    this.#uploads.limit = options.maxConcurrentUploads;
    before.close().catch((error: unknown) => this.#context.logger.warn('connections to registries could not be closed', { error }));
  }

  /** Closes idle connections. */
  close(): Promise<void> {
    return this.#transport.close();
  }

  async pull(options: PullOptions): Promise<void> {
    const given = parseReference(options.reference);
    if (options.allTags && given.tag !== '') throw invalid("tag can't be used with --all-tags/-a");
    const reference = options.allTags ? given : withDefaultTag(given);
    const { images, ...limits } = this.#pullContext();
    const request = { reference, platform: options.platform, progress: options.progress, signal: options.signal };
    await this.#told(reference, () => this.#with(reference, { ...options, scopes: [pullScope(reference)] }, (session) =>
      (options.allTags ? pullAllTags : pullOne)({ images, ...limits }, session, request)));
  }

  async push(options: Parameters<ImagePort['push']>[0]): Promise<void> {
    const given = parseReference(options.reference);
    if (given.digest !== '') throw invalid('cannot push a digest reference');
    const allTags = options.allTags && given.tag === '';
    const reference = allTags ? given : withDefaultTag(given);
    options.progress({ kind: 'status', status: `The push refers to repository [${wholeName(reference)}]` });
    const references = pushedReferences(this.#context, reference, allTags);
    const scopes = [`repository:${reference.path}:pull,push`, ...mountScopes(this.#context, references)];
    const context = { images: this.#context, uploads: this.#uploads };
    await this.#with(reference, { ...options, scopes, push: true }, async (session) => {
      for (const one of references) await pushOne(context, session, { reference: one, progress: options.progress, signal: options.signal });
    });
  }

  async inspect({ reference: text, auth, signal }: Parameters<ImagePort['inspectRemote']>[0]): Promise<DistributionInspect> {
    const reference = withDefaultTag(parseReference(text));
    return this.#told(reference, () =>
      this.#with(reference, { auth, signal, scopes: [pullScope(reference)] }, (session) => inspectRemote(session, reference)));
  }

  async authenticate(auth: RegistryAuth, signal: AbortSignal): Promise<{ status: string; identityToken: string }> {
    const domain = serverDomain(auth.serverAddress ?? '');
    const endpoints = await endpointsOf(domain, { ...this.#options, push: true });
    try {
      const identityToken = await withEndpoint(endpoints, { transport: this.#transport, auth, scopes: [], signal }, async (session) => {
        const response = await session.request({ method: 'GET', path: '/v2/', expect: [200] });
        response.body.destroy();
        return session.identityToken;
      });
      return { status: 'Login Succeeded', identityToken };
    } catch (error) {
      if (isKind(error, 'unauthorized')) throw unauthorized(`login attempt to https://${domain}/v2/ failed: ${messageOf(error)}`, error);
      throw error;
    }
  }

  /** What an address of the web holds. */
  async fetch(source: string, progress: ProgressSink, signal: AbortSignal): Promise<Readable> {
    const url = parseUrl(source.includes('://') ? source : `http://${source}`, 'http://localhost');
    if (url === undefined) throw invalid(`invalid source ${JSON.stringify(source)}: only http and https can be read from`);
    progress({ kind: 'status', status: `Downloading from ${url.origin}${url.pathname}` });
    const response = await this.#transport.send({ method: 'GET', url: url.href, headers: {}, verify: true, signal });
    if (response.status !== 200) {
      await discard(response.body);
      throw internal(`failed to download ${url.origin}${url.pathname}: status ${response.status}`);
    }
    return response.body;
  }

  #pullContext(): PullContext {
    return {
      images: this.#context,
      downloads: this.#downloads,
      shared: this.#shared,
      maxAttempts: this.#options.maxDownloadAttempts,
      retryMs: this.#options.retryMs,
    };
  }

  async #with<T>(reference: Reference, needs: SessionNeeds, work: (session: Session) => Promise<T>): Promise<T> {
    const endpoints = await endpointsOf(reference.domain, { ...this.#options, push: needs.push ?? false });
    const { auth, signal, scopes } = needs;
    return withEndpoint(endpoints, { transport: this.#transport, auth, scopes, signal }, work);
  }

  /** Errors in Docker's words. */
  async #told<T>(reference: Reference, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw pullError(error, reference);
    }
  }
}

const pullScope = (reference: Reference): string => `repository:${reference.path}:pull`;

/** The registry that a login means: Docker Hub goes by an old address. */
function serverDomain(address: string): string {
  const host = /^(?:https?:\/\/)?([^/]+)/.exec(address)?.[1] ?? '';
  if (host === '' || host === 'index.docker.io' || host === 'registry-1.docker.io') return DEFAULT_DOMAIN;
  if (URL.parse(`https://${host}/`)?.host !== host.toLowerCase()) throw internal(`invalid registry address ${JSON.stringify(address)}`);
  return host;
}
