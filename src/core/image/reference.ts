/**
 * Image references, by the grammar of distribution/reference: `[domain/]path[:tag][@digest]`. Inside the engine a name
 * is always whole (`docker.io/library/busybox`); people see the familiar form (`busybox`).
 */
import { invalid } from '../../base/errors.ts';

/** A whole name with what pins it; `tag` and `digest` are empty when not given. */
export interface Reference {
  readonly domain: string;
  readonly path: string;
  readonly tag: string;
  /** `sha256:…` */
  readonly digest: string;
}

export const DEFAULT_DOMAIN = 'docker.io';
const LEGACY_DOMAIN = 'index.docker.io';
const OFFICIAL = 'library/';
export const DEFAULT_TAG = 'latest';
const MAX_NAME = 255;

const LABEL = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])';
const DOMAIN = `(?:${LABEL}(?:\\.${LABEL})*|\\[[a-fA-F0-9:]+\\])(?::[0-9]+)?`;
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_{1,2}|-+)[a-z0-9]+)*';
const TAG = '\\w[\\w.-]{0,127}';
const DIGEST = '[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}';
const REFERENCE = new RegExp(`^(${DOMAIN})/(${COMPONENT}(?:/${COMPONENT})*)(?::(${TAG}))?(?:@(${DIGEST}))?$`);
const HEX_LENGTHS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };
// Nothing longer can be a reference; regular expressions need not see it.
const MAX_TEXT = 1024;

/** The name with its default domain; tag and digest as given. Throws `invalid` in the words of distribution/reference. */
export function parseReference(text: string): Reference {
  if (text === '') throw invalid('invalid reference format');
  if (/^[a-f0-9]{64}$/.test(text)) {
    throw invalid(`invalid repository name (${text}), cannot specify 64-byte hexadecimal strings`);
  }
  if (text.length > MAX_TEXT) throw invalid('invalid reference format');
  const { domain, rest } = splitDomain(text);
  const [remote = ''] = rest.split(':', 1);
  if (remote !== remote.toLowerCase()) {
    throw invalid(`invalid reference format: repository name (${remote}) must be lowercase`);
  }
  const match = REFERENCE.exec(`${domain}/${rest}`);
  if (match === null) throw invalid('invalid reference format');
  const [, , path = '', tag = '', digest = ''] = match;
  if (path.length > MAX_NAME) throw invalid(`repository name must not be more than ${MAX_NAME} characters`);
  if (digest !== '') checkDigest(digest);
  return { domain, path, tag, digest };
}

/** A bare id (`sha256:…` or 64 hex digits) as `sha256:…`, or undefined if the text is a name. */
export function parseId(text: string): string | undefined {
  if (/^[a-f0-9]{64}$/.test(text)) return `sha256:${text}`;
  return /^sha256:[a-f0-9]{64}$/.test(text) ? text : undefined;
}

function splitDomain(text: string): { domain: string; rest: string } {
  const slash = text.indexOf('/');
  const first = slash < 0 ? '' : text.slice(0, slash);
  const isDomain = first === 'localhost' || /[.:]/.test(first) || first !== first.toLowerCase();
  const domain = !isDomain || first === LEGACY_DOMAIN ? DEFAULT_DOMAIN : first;
  const rest = isDomain ? text.slice(slash + 1) : text;
  return { domain, rest: domain === DEFAULT_DOMAIN && !rest.includes('/') ? OFFICIAL + rest : rest };
}

/** Throws `invalid` if the digest's algorithm is unknown or its length wrong. */
export function checkDigest(digest: string): void {
  const colon = digest.indexOf(':');
  if (colon <= 0) throw invalid('invalid checksum digest format');
  const length = HEX_LENGTHS[digest.slice(0, colon)];
  if (length === undefined) throw invalid('unsupported digest algorithm');
  if (digest.length - colon - 1 !== length) throw invalid('invalid checksum digest length');
  if (!/^[a-f0-9]+$/.test(digest.slice(colon + 1))) throw invalid('invalid checksum digest format');
}

/** True for a well-formed `sha256:…`: the only algorithm that names content here. */
export const isSha256 = (digest: string): boolean => /^sha256:[a-f0-9]{64}$/.test(digest);

/** `docker.io/library/busybox` */
export const wholeName = (reference: Reference): string => `${reference.domain}/${reference.path}`;

/** `busybox`, `someone/thing`, `registry:5000/a/b` */
export function familiarName(reference: Reference): string {
  if (reference.domain !== DEFAULT_DOMAIN) return wholeName(reference);
  const short = reference.path.startsWith(OFFICIAL) ? reference.path.slice(OFFICIAL.length) : reference.path;
  return short.includes('/') ? reference.path : short;
}

const suffix = ({ tag, digest }: Reference): string => (tag === '' ? '' : `:${tag}`) + (digest === '' ? '' : `@${digest}`);

/** `busybox:latest`, `busybox@sha256:…` */
export const familiarString = (reference: Reference): string => familiarName(reference) + suffix(reference);

/** `docker.io/library/busybox:latest` */
export const wholeString = (reference: Reference): string => wholeName(reference) + suffix(reference);

/** The reference with `latest` if it has neither tag nor digest. */
export const withDefaultTag = (reference: Reference): Reference =>
  reference.tag === '' && reference.digest === '' ? { ...reference, tag: DEFAULT_TAG } : reference;

/** The bare name with this tag; throws `invalid` if the tag is malformed. */
export function withTag(reference: Reference, tag: string): Reference {
  if (!new RegExp(`^${TAG}$`).test(tag)) throw invalid('invalid tag format');
  return { ...reference, tag, digest: '' };
}

/** The bare name pinned to content. */
export const withDigest = (reference: Reference, digest: string): Reference => ({ ...reference, tag: '', digest });
