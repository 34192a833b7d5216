import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { stringify } from '../../base/json.ts';
import { movedBundle, movedPath } from './moved.ts';

const move = { from: '/var/lib/moored', to: '/srv/moored' };

test('paths in the data root follow it, others stay', () => {
  assert.equal(movedPath('/var/lib/moored/containers/a/hosts', move), '/srv/moored/containers/a/hosts');
  assert.equal(movedPath('/var/lib/moored', move), '/srv/moored');
  assert.equal(movedPath('/var/lib/moored2/x', move), '/var/lib/moored2/x');
  assert.equal(movedPath('/run/moored/x', move), '/run/moored/x');
});

test('a second time changes nothing, wherever it went', () => {
  const root = fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`);
  fc.assert(fc.property(root, root, root, (from, to, tail) => {
    const once = movedPath(from + tail, { from, to });
    assert.ok(once === to || once.startsWith(`${to}/`));
    assert.equal(movedPath(once, { from, to }), once);
  }));
});

test('a bundle: its root and the sources of its mounts', () => {
  const bundle = { ociVersion: '1.0.2', root: { path: '/var/lib/moored/layers/r', readonly: false }, mounts: [{ destination: '/etc/hosts', source: '/var/lib/moored/containers/a/hosts' }, { destination: '/proc', source: 'proc' }, { destination: '/dev' }], linux: { resources: { memory: { limit: 9_007_199_254_740_993n } } } };
  const text = stringify(bundle);
  const after = movedBundle(text, move);
  assert.equal(after, text.replaceAll('/var/lib/moored/', '/srv/moored/'));
});
