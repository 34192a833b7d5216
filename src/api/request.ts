/** What a handler is given to read. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import { internal, invalid } from '../base/errors.ts';
import { decodeBody } from '../wire/goJson.ts';
import type { Codec } from '../wire/goJson.ts';
import { parseFilters } from '../wire/filters.ts';
import type { Filters } from '../wire/filters.ts';
import type { ApiVersion } from '../wire/version.ts';

/** JSON bodies are small; whatever is large (images, archives, builds) comes as a stream. */
const MAX_JSON_BYTES = 16 * 1024 * 1024;

/** The query of a request, read as Docker reads it. */
export class Query {
  readonly #search: URLSearchParams;

  constructor(search: URLSearchParams) {
    this.#search = search;
  }

  has(name: string): boolean {
    return this.#search.has(name);
  }

  /** The first value, empty if there is none. */
  text(name: string): string {
    return this.#search.get(name) ?? '';
  }

  all(name: string): string[] {
    return this.#search.getAll(name);
  }

  /** Docker's booleans: empty, `0`, `no`, `false` and `none` are false, all else is true. */
  bool(name: string, absent = false): boolean {
    if (!this.has(name)) return absent;
    return !['', '0', 'no', 'false', 'none'].includes(this.text(name).trim().toLowerCase());
  }

  /** An integer; undefined if absent or empty. Throws `invalid` with Go's words. */
  integer(name: string): number | undefined {
    const text = this.text(name);
    if (text === '') return undefined;
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text)) throw invalid(`strconv.Atoi: parsing ${JSON.stringify(text)}: invalid syntax`);
    if (!Number.isSafeInteger(value)) throw invalid(`strconv.Atoi: parsing ${JSON.stringify(text)}: value out of range`);
    return value;
  }

  /** The `filters` parameter; throws `invalid` for keys that are not known. */
  filters(known: readonly string[]): Filters {
    return parseFilters(this.text('filters'), known);
  }
}

export interface RequestParts {
  readonly message: IncomingMessage;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Query;
  readonly apiVersion: ApiVersion;
  readonly signal: AbortSignal;
}

export class ApiRequest {
  readonly method: string;
  /** Decoded and without the version. */
  readonly path: string;
  readonly query: Query;
  readonly apiVersion: ApiVersion;
  readonly headers: IncomingHttpHeaders;
  /** Aborted when the client has gone before the answer was complete. */
  readonly signal: AbortSignal;
  readonly #message: IncomingMessage;
  readonly #params: Readonly<Record<string, string>>;
  #buffered: Promise<string> | undefined;

  constructor(parts: RequestParts) {
    this.method = parts.message.method ?? 'GET';
    this.path = parts.path;
    this.query = parts.query;
    this.apiVersion = parts.apiVersion;
    this.headers = parts.message.headers;
    this.signal = parts.signal;
    this.#message = parts.message;
    this.#params = parts.params;
  }

  /** A parameter of the route's pattern. */
  param(name: string): string {
    const value = this.#params[name];
    if (value === undefined) throw internal(`route of ${this.path} has no parameter ${name}`);
    return value;
  }

  /** A header's only or first value, empty if there is none. */
  header(name: string): string {
    const value = this.headers[name.toLowerCase()];
    return (Array.isArray(value) ? value[0] : value) ?? '';
  }

  /** The body as it comes. */
  get body(): Readable {
    return this.#message;
  }

  /** Whether there is a body at all, as Go sees it. */
  get hasBody(): boolean {
    return this.headers['transfer-encoding'] !== undefined || Number(this.headers['content-length'] ?? '0') > 0;
  }

  /** The JSON body, or the type's zero value if there is none. Throws `invalid` with Docker's texts. */
  async json<T>(codec: Codec<T>): Promise<T> {
    checkContentType(this.header('content-type'), this.hasBody);
    if (!this.hasBody) return codec.zero();
    return decodeBody(codec, await this.text());
  }

  /** The JSON body where Docker insists on one. */
  async requiredJson<T>(codec: Codec<T>): Promise<T> {
    return decodeBody(codec, await this.jsonText());
  }

  /** The text of a body that has to be JSON, for a decoder that looks at more than a codec does. */
  jsonText(): Promise<string> {
    checkContentType(this.header('content-type'), this.hasBody);
    return this.text();
  }

  /** The whole body, bounded. */
  text(): Promise<string> {
    this.#buffered ??= readBounded(this.#message);
    return this.#buffered;
  }
}

function checkContentType(type: string, hasBody: boolean): void {
  if (type === '' && !hasBody) return;
  if (type.trim() === '') throw invalid(`malformed Content-Type header (${type}): mime: no media type`);
  const media = type.split(';', 1)[0]?.trim().toLowerCase();
  if (media !== 'application/json') {
    throw invalid(`unsupported Content-Type header (${type}): must be 'application/json'`);
  }
}

async function readBounded(message: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_JSON_BYTES) throw invalid(`request body is too large: more than ${MAX_JSON_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}
