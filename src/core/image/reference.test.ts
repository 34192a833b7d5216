import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { familiarName, familiarString, parseId, parseReference, wholeName, wholeString, withDefaultTag, withDigest, withTag } from './reference.ts';

const DIGEST = `sha256:${'a'.repeat(64)}`;

test('normalises as distribution/reference does', () => {
  const whole: Record<string, string> = {
    busybox: 'docker.io/library/busybox',
    'busybox:1.36': 'docker.io/library/busybox:1.36',
    'library/busybox': 'docker.io/library/busybox',
    'docker.io/busybox': 'docker.io/library/busybox',
    'index.docker.io/busybox': 'docker.io/library/busybox',
    'someone/thing': 'docker.io/someone/thing',
    'localhost/thing': 'localhost/thing',
    'localhost:5000/thing:x': 'localhost:5000/thing:x',
    'reg.example/a/b/c': 'reg.example/a/b/c',
    '[fd00::1]:5000/a': '[fd00::1]:5000/a',
    'a__b/c-d.e--f': 'docker.io/a__b/c-d.e--f',
    'UPPER/thing': 'UPPER/thing',
    [`busybox@${DIGEST}`]: `docker.io/library/busybox@${DIGEST}`,
    [`busybox:x@${DIGEST}`]: `docker.io/library/busybox:x@${DIGEST}`,
    'sha256:abc': 'docker.io/library/sha256:abc',
  };
  for (const [text, expected] of Object.entries(whole)) assert.equal(wholeString(parseReference(text)), expected, text);
});

test('refuses in the words of distribution/reference', () => {
  const messages: Record<string, string> = {
    '': 'invalid reference format',
    ' busybox': 'invalid reference format',
    'busybox:': 'invalid reference format',
    'busybox@sha256:abc': 'invalid reference format',
    'a//b': 'invalid reference format',
    '-a': 'invalid reference format',
    'a/-b': 'invalid reference format',
    'https://reg/a': 'invalid reference format',
    'a:b c': 'invalid reference format',
    'a\n': 'invalid reference format',
    [`a:${'t'.repeat(129)}`]: 'invalid reference format',
    Busybox: 'invalid reference format: repository name (library/Busybox) must be lowercase',
    'reg.example/A': 'invalid reference format: repository name (A) must be lowercase',
    ['a'.repeat(64)]: `invalid repository name (${'a'.repeat(64)}), cannot specify 64-byte hexadecimal strings`,
    ['g'.repeat(256)]: 'repository name must not be more than 255 characters',
    [`a@sha256:${'a'.repeat(63)}`]: 'invalid checksum digest length',
    [`a@md5:${'a'.repeat(32)}`]: 'unsupported digest algorithm',
  };
  for (const [text, message] of Object.entries(messages)) assert.throws(() => parseReference(text), { kind: 'invalid', message }, text);
  assert.throws(() => withTag(parseReference('a'), '.x'), { message: 'invalid tag format' });
});

const component = fc.stringMatching(/^[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}$/);
const reference = fc.record({
  domain: fc.option(fc.stringMatching(/^[a-z0-9]{1,5}\.[a-z]{2,5}(:[0-9]{1,5})?$/), { nil: undefined }),
  path: fc.array(component, { minLength: 1, maxLength: 4 }),
  tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/), { nil: undefined }),
  digest: fc.boolean(),
}).filter(({ domain, path }) =>
  // A first component with a dot would be taken for a domain.
  domain !== undefined || path.length === 1 || path[0]?.includes('.') === false,
).map(({ domain, path, tag, digest }) =>
  `${domain === undefined ? '' : `${domain}/`}${path.join('/')}${tag === undefined ? '' : `:${tag}`}${digest ? `@${DIGEST}` : ''}`);

test('the familiar form means the same, and the whole form is a fixed point', () => {
  fc.assert(fc.property(reference, (text) => {
    const parsed = parseReference(text);
    assert.deepEqual(parseReference(wholeString(parsed)), parsed);
    assert.deepEqual(parseReference(familiarString(parsed)), parsed);
    assert.deepEqual(parseReference(familiarName(parsed)), parseReference(wholeName(parsed)));
    assert.ok(familiarString(parsed).length <= wholeString(parsed).length);
  }));
});

test('any text is a reference or refused, at once', { timeout: 10_000 }, () => {
  fc.assert(fc.property(fc.string({ maxLength: 300, unit: fc.constantFrom(...'ab0.-_/:@A[] '.split('')) }), (text) => {
    try {
      assert.deepEqual(parseReference(wholeString(parseReference(text))), parseReference(text));
    } catch (error) {
      assert.ok(error instanceof Error && 'kind' in error && error.kind === 'invalid', String(error));
    }
  }), { numRuns: 2000 });
  assert.throws(() => parseReference(`${'a-'.repeat(400)}/`));
});

test('tags, digests, ids', () => {
  const parsed = parseReference('busybox');
  assert.equal(familiarString(withDefaultTag(parsed)), 'busybox:latest');
  assert.equal(familiarString(withDefaultTag(withDigest(parsed, DIGEST))), `busybox@${DIGEST}`);
  assert.equal(familiarString(withTag(withDigest(parsed, DIGEST), 'x')), 'busybox:x');
  assert.equal(parseId('a'.repeat(64)), DIGEST);
  assert.equal(parseId(DIGEST), DIGEST);
  assert.equal(parseId('busybox'), undefined);
});
