/** The release: what is bundled is another program than the checkout, and has to do the same. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { withDaemon } from '../fixtures/daemon.ts';
import { startRegistry } from '../fixtures/registry.ts';
import { projectRoot } from '../fixtures/target.ts';

const folder = mkdtempSync('/tmp/moored-release-');
const { version } = JSON.parse(readFileSync(path.join(projectRoot, 'package.json'), 'utf8')) as { version: string };
const program = path.join(folder, `moored-${version}-linux-x64/bin/moored`);

before(() => {
  execFileSync(process.execPath, [path.join(projectRoot, 'scripts/release.ts'), '--folder-only', folder], { stdio: ['ignore', 'ignore', 'inherit'], timeout: 60_000 });
});
after(() => rmSync(folder, { recursive: true, force: true }));

test('a release pushes, pulls, runs, and takes its containers back', async () => {
  await withDaemon({ engine: 'moored', program, config: { 'live-restore': true } }, async (daemon) => {
    await using registry = await startRegistry({ netns: daemon.netns });
    const reference = `${registry.host}/busybox:1`;
    await daemon.ok('tag', 'busybox', reference);
    await daemon.ok('push', '-q', reference);
    await daemon.ok('rmi', 'busybox', reference);
    await daemon.ok('pull', '-q', reference);
    await daemon.ok('network', 'create', 'named');
    await daemon.ok('run', '-d', '--name', 'kept', '--network', 'named', '--init', reference, 'sleep', '600');
    await daemon.crash();
    assert.match(await daemon.ok('run', '--rm', '--network', 'named', reference, 'nslookup', '-type=a', 'kept'), /Address: 172\./);
    assert.match(await daemon.ok('version', '--format', '{{.Server.Version}}'), new RegExp(`^${version.replaceAll('.', '\\.')}`));
  });
});
