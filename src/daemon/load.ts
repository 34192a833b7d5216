/**
 * How a release's programs begin: a bundle runs with the code that V8 made of it when the release was built. V8 refuses
 * code of another Node.js, and makes it anew. With MOORED_KEEP_CODE=<name> it is written down at the end of the process.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Script } from 'node:vm';

type Bundle = (...given: [exports: object, require: NodeJS.Require, module: { exports: object }, filename: string, dirname: string]) => void;

/** Runs `<name>.bundle.js` beside this file. */
export function load(name: string): void {
  const filename = path.join(import.meta.dirname, `${name}.bundle.js`);
  const code = path.join(import.meta.dirname, `${name}.code`);
  // A bundle is ASCII; its lines keep their numbers.
  const source = `(function (exports, require, module, __filename, __dirname) {${readFileSync(filename, 'latin1')}\n})`;
  const cachedData = readIfThere(code);
  const script = new Script(source, { filename, ...(cachedData === undefined ? {} : { cachedData }) });
  if (process.env['MOORED_KEEP_CODE'] === name) process.on('exit', () => writeFileSync(code, script.createCachedData()));
  const bundle = { exports: {} };
  (script.runInThisContext() as Bundle)(bundle.exports, createRequire(filename), bundle, filename, import.meta.dirname);
}

function readIfThere(file: string): Buffer | undefined {
  try {
    return readFileSync(file);
  } catch {
    return undefined;
  }
}
