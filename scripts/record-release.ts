/**
 * Keeps a release for the tests to come: `record-release.ts FOLDER`, where FOLDER is what `make release` of that release
 * made. Below test/releases/VERSION go its engine without Node.js (so that containers can be started by it and adopted by
 * today's), and a data root that it wrote, with what it told of the objects in it. To be run once for each release, when
 * it is made; what was recorded is never recorded again.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { withDaemon } from '../test/fixtures/daemon.ts';
import { furnish, tell } from '../test/fixtures/furniture.ts';
import { RELEASES, unpackEngine } from '../test/fixtures/releases.ts';

const root = path.resolve(import.meta.dirname, '..');

async function record(folder: string): Promise<void> {
  const { version } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { version: string };
  const target = path.join(RELEASES, version);
  if (existsSync(target)) throw new Error(`release ${version} is recorded already`);
  const work = mkdtempSync(path.join(tmpdir(), 'moored-record-'));
  try {
    const made = path.join(work, 'made');
    mkdirSync(made);
    recordEngine(folder, { work, made });
    await recordDataRoot({ work, made });
    cpSync(made, target, { recursive: true });
  } catch (error) {
    rmSync(target, { recursive: true, force: true });
    throw error;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  console.log(`release ${version} is recorded in ${path.relative(root, target)}`);
}

interface Folders {
  readonly work: string;
  /** What is made there is kept. */
  readonly made: string;
}

function recordEngine(folder: string, { work, made }: Folders): void {
  const staged = path.join(work, 'engine');
  const left = [path.join(folder, 'lib/moored/node'), '/musl_x64'];
  for (const part of ['bin', 'lib', 'package.json']) {
    cpSync(path.join(folder, part), path.join(staged, part), { recursive: true, filter: (source) => !left.some((end) => source.endsWith(end)) });
  }
  execFileSync('strip', [path.join(staged, 'lib/moored/moored-shim')]);
  pack(staged, path.join(made, 'engine.tar.xz'));
}

/** The daemon is killed over what it has made: the data root is as a power failure leaves it. */
async function recordDataRoot({ work, made }: Folders): Promise<void> {
  const program = unpackEngine(made, path.join(work, 'unpacked'));
  await withDaemon({ program, engine: 'moored', image: false, config: { 'live-restore': true } }, async (daemon) => {
    await furnish(daemon, tinyProgram(work));
    const told = { dir: daemon.dir, ...(await tell(daemon)) };
    await daemon.kill9();
    writeFileSync(path.join(work, 'told.json'), JSON.stringify(told));
    pack(daemon.dataRoot, path.join(made, 'data-root.tar.xz'));
    // It cleans up what it has made.
    await daemon.start();
  });
  execFileSync('xz', ['-9e', path.join(work, 'told.json')]);
  cpSync(path.join(work, 'told.json.xz'), path.join(made, 'told.json.xz'));
}

function tinyProgram(work: string): Buffer {
  const output = path.join(work, 'tiny');
  const flags = ['-Os', '-s', '-static', '-nostdlib', '-ffreestanding', '-fno-stack-protector', '-fcf-protection=none', '-fno-asynchronous-unwind-tables', '-Wall', '-Wextra', '-Werror'];
  execFileSync('gcc', [...flags, '-Wl,--build-id=none,-n,-z,noseparate-code', '-o', output, path.join(RELEASES, 'tiny.c')]);
  return readFileSync(output);
}

function pack(folder: string, archive: string): void {
  execFileSync('tar', ['-C', folder, '--numeric-owner', '--sort=name', '--one-file-system', '--xattrs', '--xattrs-include=*', '-cJf', archive, '.'], { env: { ...process.env, XZ_OPT: '-9e' } });
}

const [folder] = process.argv.slice(2);
if (folder === undefined) {
  process.stderr.write('usage: record-release.ts FOLDER (of a release, as `make release` makes it)\n');
  process.exitCode = 2;
} else {
  await record(path.resolve(folder));
}
