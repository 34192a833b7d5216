import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JsonNumber, parseJson, parseJsonPrefix, plain, stringify } from './json.ts';

test('agrees with JSON.parse on every JSON text', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      const text = JSON.stringify(value, undefined, 1);
      assert.equal(stringify(plain(parseJson(text))), JSON.stringify(JSON.parse(text)));
    }),
  );
});

test('refuses what JSON.parse refuses, and nothing else', () => {
  const pieces = ['{', '}', '[', ']', ',', ':', '"', '\\', 'u12', '"a"', '0', '1', '-', '.', 'e', '+', 'true', 'nul', ' ', '\n', '\u0001', 'é'];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), (parts) => {
      const text = parts.join('');
      assert.equal(accepts(() => parseJson(text)), accepts(() => JSON.parse(text)), text);
    }),
    { numRuns: 3000 },
  );
});

test('says what Go says', () => {
  const messages: Record<string, string> = {
    '': 'unexpected end of JSON input',
    '{': 'unexpected end of JSON input',
    '{"a"}': "invalid character '}' after object key",
    '{"a":1,}': "invalid character '}' looking for beginning of object key string",
    '{"a":1 "b"}': `invalid character '"' after object key:value pair`,
    '[1 2]': "invalid character '2' after array element",
    'tru!': "invalid character '!' in literal true (expecting 'e')",
    '01': "invalid character '1' after top-level value",
    '-x': "invalid character 'x' in numeric literal",
    '1.x': "invalid character 'x' after decimal point in numeric literal",
    '1ex': "invalid character 'x' in exponent of numeric literal",
    '"\n"': "invalid character '\\n' in string literal",
    '"\\x"': "invalid character 'x' in string escape code",
    '"\\u12g4"': "invalid character 'g' in \\u hexadecimal character escape",
    "'": "invalid character '\\'' looking for beginning of value",
    '{} {}': "invalid character '{' after top-level value",
    'é': "invalid character 'Ã' looking for beginning of value",
  };
  for (const [text, message] of Object.entries(messages)) assert.throws(() => parseJson(text), { message }, text);
});

test('keeps what a double would lose, and hostile keys', () => {
  const value = plain(parseJson('{"n":9223372036854775807,"f":1.5,"__proto__":{"x":1}}')) as Record<string, unknown>;
  assert.equal(value['n'], 9223372036854775807n);
  assert.equal(value['f'], 1.5);
  assert.ok(Object.hasOwn(value, '__proto__'));
  assert.equal(stringify({ n: 1763900000123456789n }), '{"n":1763900000123456789}');
  assert.equal(new JsonNumber('1e3').toBigInt(), undefined);
});

test('bounds the nesting', () => {
  assert.throws(() => parseJson('['.repeat(100_000)), { message: 'exceeded max depth' });
});

test('a prefix leaves the rest alone', () => {
  assert.deepEqual(parseJsonPrefix('1 \n x'), { value: new JsonNumber('1'), rest: 4 });
});

function accepts(parse: () => unknown): boolean {
  try {
    parse();
    return true;
  } catch (error) {
    if (error instanceof SyntaxError || (error instanceof Error && error.name === 'JsonSyntaxError')) return false;
    throw error;
  }
}
