import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Filters, parseFilters } from './filters.ts';

test('reads both encodings', () => {
  for (const text of ['{"label":{"a=b":true,"c":true}}', '{"label":["a=b","c"]}']) {
    assert.deepEqual(parseFilters(text, ['label']).get('label'), ['a=b', 'c']);
  }
  assert.ok(parseFilters('', ['label']).isEmpty);
  assert.ok(parseFilters('null', ['label']).isEmpty);
});

test('refuses unknown keys and other shapes', () => {
  const refused = (text: string, message: string | RegExp) =>
    assert.throws(() => parseFilters(text, ['label']), { kind: 'invalid', message }, text);
  refused('{"x":["y"]}', "invalid filter 'x'");
  refused('{"__proto__":["y"]}', "invalid filter '__proto__'");
  refused('[]', 'invalid filter');
  refused('{"label":"x"}', 'invalid filter');
  refused('{"label":[1]}', 'invalid filter');
  refused('{', /^invalid filter: unexpected end/);
});

test('labels must all hold, other keys are alternatives', () => {
  const filters = parseFilters('{"label":["a","b=2"],"name":["x","y"]}', ['label', 'name']);
  assert.ok(filters.matchesLabels({ a: '1', b: '2' }));
  assert.ok(!filters.matchesLabels({ a: '1', b: '3' }));
  assert.ok(!new Filters(new Map([['label', ['constructor']]])).matchesLabels({}));
  assert.ok(!new Filters(new Map([['label!', ['a']]])).matchesLabels({ a: '' }));
  assert.ok(filters.matches('name', (value) => value === 'y'));
  assert.ok(!filters.matches('name', (value) => value === 'z'));
  assert.ok(filters.matches('other', () => false));
});

test('booleans', () => {
  const dangling = (...values: string[]) => new Filters(new Map([['dangling', values]])).bool('dangling', false);
  assert.equal(dangling('1'), true);
  assert.equal(dangling('false'), false);
  assert.equal(dangling(), false);
  assert.throws(() => dangling('x'), { message: `invalid filter 'dangling=["x"]'` });
  assert.throws(() => dangling('1', '0'), { kind: 'invalid' });
});
