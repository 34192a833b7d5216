import assert from 'node:assert/strict';
import { test } from 'node:test';
import path from 'node:path';
import { checkFile, sourceFiles } from './rooms.ts';

const messages = (file: string, text: string): string[] => checkFile({ file, text }).map(({ line, message }) => `${line}: ${message}`);

test('the tree keeps the rule', () => {
  const files = sourceFiles(path.resolve(import.meta.dirname, '..'));
  assert.ok(files.length > 10);
  assert.deepEqual(files.flatMap(checkFile), []);
});

test('a room may import itself, what it is allowed to, and node', () => {
  const text = `import fs from 'node:fs';\nimport { a } from './a.ts';\nimport type { B } from '../base/b.ts';\nexport * from '../core/ports/c.ts';\n`;
  assert.deepEqual(messages('src/engine/start.ts', text), []);
  assert.deepEqual(messages('src/daemon/main.ts', `import { x } from '../net/x.ts';\nawait import('../engine/y.ts');\n`), []);
});

test('the direction of the rooms', () => {
  const cases: [string, string, RegExp][] = [
    ['src/base/a.ts', `import { x } from '../core/x.ts';`, /^1: base\/ may not import core\/ \(it imports no other room\)$/],
    ['src/core/a.ts', `import { x } from '../sys/x.ts';`, /core\/ may not import sys\//],
    ['src/core/deep/a.ts', `import type {\n  X,\n  Y,\n} from '../../wire/x.ts';`, /^4: core\/ may not import wire\//],
    ['src/engine/a.ts', `export { x } from '../net/x.ts';`, /engine\/ may not import net\//],
    ['src/engine/a.ts', `export * from '../wire/x.ts';`, /engine\/ may not import wire\//],
    ['src/api/a.ts', `import '../store/x.ts';`, /api\/ may not import store\//],
    ['src/net/a.ts', `const x = await import('../volume/x.ts');`, /net\/ may not import volume\//],
    ['src/image/a.ts', `type X = import('../layers/x.ts').X;`, /image\/ may not import layers\//],
    ['src/sys/a.ts', `import { x } from '../../test/x.ts';`, /leaves src\//],
    ['src/sys/a.ts', `import { x } from './x.test.ts';`, /is a test/],
    ['src/cellar/a.ts', '', /src\/cellar\/ is no room/],
  ];
  for (const [file, text, message] of cases) {
    const found = messages(file, text);
    assert.equal(found.length, 1, `${file}: ${text}`);
    assert.match(found[0] ?? '', message);
  }
});

test('modules that only some may import', () => {
  const cases: [string, string, RegExp][] = [
    ['src/engine/a.ts', 'node:child_process', /processes are started in src\/sys\/ alone/],
    ['src/net/a.ts', 'child_process', /processes are started/],
    ['src/daemon/a.ts', 'koffi', /foreign calls/],
    ['src/api/a.ts', 'undici', /registry client/],
    ['src/core/a.ts', 'node:test', /test modules/],
    ['src/core/a.ts', 'left-pad', /no dependency of the engine/],
  ];
  for (const [file, specifier, message] of cases) {
    const found = messages(file, `import x from '${specifier}';`);
    assert.equal(found.length, 1, specifier);
    assert.match(found[0] ?? '', message);
  }
  assert.deepEqual(messages('src/sys/a.ts', `import koffi from 'koffi';\nimport { spawn } from 'node:child_process';`), []);
});

test('expressions that only some may use', () => {
  assert.match(messages('src/net/a.ts', 'const a = 1;\nconst t = Date.now();')[0] ?? '', /^2: Date\.now is not for this file/);
  assert.match(messages('src/net/a.ts', 'const t = new Date();')[0] ?? '', /clock is injected/);
  assert.match(messages('src/net/a.ts', 'const t = Math.random();')[0] ?? '', /randomness/);
  assert.match(messages('src/engine/a.ts', 'process.exit(1);')[0] ?? '', /only the daemon/);
  assert.deepEqual(messages('src/base/clock.ts', 'Date.now()'), []);
});

test('comments and strings are no code', () => {
  assert.deepEqual(messages('src/base/a.ts', `// import { x } from '../core/x.ts';\n/* Date.now() */\nconst s = 'Date.now()';\n`), []);
  assert.deepEqual(messages('src/base/a.ts', `/*\nimport x from '../net/x.ts';\n*/`), []);
});

test('tests of a room may use what they need', () => {
  assert.deepEqual(messages('src/base/a.test.ts', `import test from 'node:test';\nimport { x } from '../net/x.ts';`), []);
});
