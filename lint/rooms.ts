/**
 * The layer rule of the source: which room of `src/` may import which, and which modules only some files may use. The
 * tables below are the rule; CONTRIBUTING.md says it in prose. `node lint/rooms.ts` checks the tree and exits with 1 on
 * a violation; `rooms.test.ts` proves that each kind of violation is found.
 */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

/** Tests and what they alone use. */
const TEST_FILE = /\.(test|fixture)\.ts$/;

const ADAPTER = ['base', 'core', 'sys', 'store'];

/** Room → rooms it may import beside itself. `'*'`: all. */
const ROOMS: Readonly<Record<string, readonly string[] | '*'>> = {
  base: [],
  core: ['base'],
  wire: ['base', 'core'],
  sys: ['base'],
  store: ['base', 'core', 'sys'],
  shims: ADAPTER,
  runtime: ADAPTER,
  image: ADAPTER,
  layers: ADAPTER,
  net: ADAPTER,
  dns: ADAPTER,
  volume: ADAPTER,
  logs: ADAPTER,
  doctor: ['base', 'core', 'sys', 'store', 'shims', 'logs'],
  engine: ['base', 'core'],
  api: ['base', 'core', 'wire', 'engine'],
  daemon: '*',
};

/** Modules that only some files may import. `allowed` are path prefixes. Tests are free to use what they need. */
const MODULE_BANS: readonly { readonly modules: readonly string[]; readonly allowed: readonly string[]; readonly reason: string }[] = [
  { modules: ['node:child_process', 'child_process'], allowed: ['src/sys/'], reason: 'processes are started in src/sys/ alone, where limits, groups and descriptors are seen to' },
  { modules: ['node:cluster', 'node:worker_threads'], allowed: ['src/sys/'], reason: 'processes and threads are started in src/sys/ alone' },
  { modules: ['koffi'], allowed: ['src/sys/'], reason: 'foreign calls are made in src/sys/ alone, behind checked functions' },
  { modules: ['undici'], allowed: ['src/image/'], reason: 'the registry client is the only HTTP client' },
  { modules: ['node:assert', 'node:assert/strict', 'node:test', 'fast-check', 'dockerode'], allowed: [], reason: 'test modules stay in tests' },
];

/** Expressions that only some files may use; looked for outside comments and string literals. */
const TEXT_BANS: readonly { readonly pattern: RegExp; readonly name: string; readonly allowed: readonly string[]; readonly reason: string }[] = [
  { pattern: /\bDate\.now\(|\bnew Date\(\)/, name: 'Date.now', allowed: ['src/base/clock.ts'], reason: 'the clock is injected (base/clock.ts)' },
  { pattern: /\bMath\.random\(/, name: 'Math.random', allowed: [], reason: 'randomness is injected (base/ids.ts)' },
  { pattern: /\bprocess\.exit\(/, name: 'process.exit', allowed: ['src/daemon/'], reason: 'only the daemon ends the process' },
];

/** Packages that may be imported at all: each has its reason in ARCHITECTURE.md. */
const PACKAGES = ['koffi', 'undici'];

export interface Violation {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** A source file: `file` is its path from the root of the project, with forward slashes. */
export interface SourceFile {
  readonly file: string;
  readonly text: string;
}

/** Every violation in one file. Test files may import anything but keep the direction of the rooms for what is no test. */
export function checkFile({ file, text }: SourceFile): Violation[] {
  const room = /^src\/([^/]+)\//.exec(file)?.[1];
  if (room === undefined) return [];
  if (ROOMS[room] === undefined) return [{ file, line: 1, message: `src/${room}/ is no room: add it to lint/rooms.ts and CONTRIBUTING.md` }];
  if (TEST_FILE.test(file)) return [];
  return [...checkImports(file, room, text), ...checkText(file, text)];
}

function checkImports(file: string, room: string, text: string): Violation[] {
  const found: Violation[] = [];
  for (const { specifier, line } of importsOf(text)) {
    const message = specifier.startsWith('.') ? relativeImport(file, room, specifier) : packageImport(file, specifier);
    if (message !== undefined) found.push({ file, line, message });
  }
  return found;
}

function relativeImport(file: string, room: string, specifier: string): string | undefined {
  const target = path.posix.join(path.posix.dirname(file), specifier);
  if (!target.startsWith('src/')) return `${specifier} leaves src/`;
  if (TEST_FILE.test(target)) return `${specifier} is a test`;
  const other = target.split('/')[1] ?? '';
  const may = ROOMS[room] ?? [];
  if (other === room || may === '*' || may.includes(other)) return undefined;
  return `${room}/ may not import ${other}/ (${may.length === 0 ? 'it imports no other room' : `it may import ${may.join(', ')}`})`;
}

function packageImport(file: string, specifier: string): string | undefined {
  for (const ban of MODULE_BANS) {
    if (ban.modules.includes(specifier) && !ban.allowed.some((prefix) => file.startsWith(prefix))) return `${specifier} is not for this file: ${ban.reason}`;
  }
  if (specifier.startsWith('node:') || PACKAGES.includes(specifier)) return undefined;
  return `${specifier} is no dependency of the engine`;
}

function checkText(file: string, text: string): Violation[] {
  const lines = blank(text).split('\n');
  return TEXT_BANS.flatMap(({ pattern, name, allowed, reason }) =>
    allowed.some((prefix) => file.startsWith(prefix))
      ? []
      : lines.flatMap((content, index) => (pattern.test(content) ? [{ file, line: index + 1, message: `${name} is not for this file: ${reason}` }] : [])),
  );
}

const IMPORT = /(?:^|\n)[ \t]*(?:import|export)\b[^'";]*?\bfrom\s*['"]([^'"]+)['"]|(?:^|\n)[ \t]*import\s*['"]([^'"]+)['"]|\b(?:import|require|createRequire\([^)]*\))\(\s*['"]([^'"]+)['"]\s*\)/g;

function* importsOf(text: string): Generator<{ specifier: string; line: number }> {
  for (const match of withoutComments(text).matchAll(IMPORT)) {
    const specifier = match[1] ?? match[2] ?? match[3] ?? '';
    const line = text.slice(0, match.index + match[0].length).split('\n').length;
    yield { specifier, line };
  }
}

const TOKEN = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`/g;
const spaces = (text: string): string => text.replace(/[^\n]/g, ' ');

/** The text with comments as spaces, so that offsets and lines stay. */
const withoutComments = (text: string): string => text.replace(TOKEN, (token) => (token.startsWith('/') ? spaces(token) : token));

/** The text with comments and string literals as spaces. Template literals keep their text: they have code in them. */
const blank = (text: string): string => text.replace(TOKEN, (token) => (token.startsWith('`') ? token : spaces(token)));

/** Reads every TypeScript file below `root`/src. */
export function sourceFiles(root: string): SourceFile[] {
  return readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => ({ file: path.posix.join('src', name), text: readFileSync(path.join(root, 'src', name), 'utf8') }));
}

function main(): void {
  const files = sourceFiles(path.resolve(import.meta.dirname, '..'));
  const violations = files.flatMap(checkFile);
  for (const { file, line, message } of violations) console.error(`${file}:${line}: ${message}`);
  if (files.length === 0) throw new Error('no source files found');
  console.log(`rooms: ${files.length} files, ${violations.length} violations`);
  process.exitCode = violations.length === 0 ? 0 : 1;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) main();
