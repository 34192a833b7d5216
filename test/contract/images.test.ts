/** Images: load, save, import, tag, remove, history, commit, and a registry on loopback. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { after, test } from 'node:test';
import type { ChildProcess } from 'node:child_process';
import { lines, useDaemon } from '../fixtures/daemon.ts';
import { layeredArchive } from '../fixtures/images.ts';
import { eventually } from '../fixtures/processes.ts';
import { mooredOnly, per } from '../fixtures/target.ts';

const daemon = useDaemon({}, async (fresh) => {
  await fresh.ok('load', '-q', '-i', await layeredArchive());
});
const imageId = async (name: string): Promise<string> => (await daemon.request('GET', `/images/${name}/json`)).json().Id as string;

test('load told what it loaded; list and inspect agree', async () => {
  const list = (await daemon.request('GET', '/images/json')).json();
  assert.deepEqual(list.flatMap(({ RepoTags }: { RepoTags: string[] }) => RepoTags).toSorted(), ['busybox:latest', 'busybox:layered']);
  const image = (await daemon.request('GET', '/images/busybox:layered/json')).json();
  assert.match(image.Id, /^sha256:[0-9a-f]{64}$/);
  assert.deepEqual([image.RepoTags, image.Os, image.RootFS.Type, image.RootFS.Layers.length], [['busybox:layered'], 'linux', 'layers', 2]);
  assert.equal(image.Size, list.find(({ Id }: { Id: string }) => Id === image.Id).Size);
  assert.equal(image.GraphDriver.Name, 'overlay2');
});

test('layers: later ones win, removed files are gone', async () => {
  assert.equal(await daemon.ok('run', '--rm', 'busybox:layered', 'sh', '-c', 'cat /etc/motd; cat /etc/nsswitch.conf; test -e /etc/shadow && echo there || echo gone'), 'second layer\nhosts: files\ngone');
});

test('found by id, short id, name, name with registry', async () => {
  const id = await imageId('busybox');
  for (const name of [id, id.slice(7), id.slice(7, 19), 'busybox:latest', 'docker.io/library/busybox', 'library/busybox:latest']) assert.equal(await imageId(name), id, name);
  const missing = await daemon.request('GET', '/images/no-such/json');
  assert.deepEqual([missing.status, missing.message()], [404, per({ moored: 'No such image: no-such:latest', dockerd: 'no such image: no-such: No such image: no-such:latest' })]);
});

test('tag, and what rm says', async () => {
  await daemon.ok('tag', 'busybox', 'example.org:5000/team/box:v1');
  assert.equal(await imageId('example.org:5000/team/box:v1'), await imageId('busybox'));
  assert.equal(await daemon.ok('rmi', 'example.org:5000/team/box:v1'), 'Untagged: example.org:5000/team/box:v1');
  const answer = await daemon.request('POST', '/images/busybox/tag?repo=Upper&tag=x');
  assert.equal(answer.status, per({ moored: 400, dockerd: answer.status }));
  assert.match(answer.message(), /repository name (\(library\/Upper\) )?must be lowercase/);
});

test('an image that is in use, or has several tags, is not removed', async () => {
  const id = (await imageId('busybox')).slice(7, 19);
  const container = await daemon.ok('run', '-d', 'busybox', 'sleep', '600');
  const refused = await daemon.request('DELETE', '/images/busybox');
  assert.equal(refused.status, 409);
  assert.match(refused.message(), new RegExp(`^conflict: unable to remove repository reference "busybox" \\(must force\\) - container ${container.slice(0, 12)} is using its referenced image ${id}$`));
  const byId = await daemon.request('DELETE', `/images/${id}`);
  assert.equal(byId.status, 409);
  assert.match(byId.message(), new RegExp(`^conflict: unable to delete ${id} \\(cannot be forced\\) - image is being used by running container ${container.slice(0, 12)}$`));
  await daemon.ok('stop', '-t', '0', container);
  assert.match((await daemon.request('DELETE', `/images/${id}`)).message(), /\(must be forced\) - image is being used by stopped container/);
  await daemon.ok('rm', container);
  await daemon.ok('tag', 'busybox', 'other:tag');
  assert.match((await daemon.request('DELETE', `/images/${id}`)).message(), /\(must be forced\) - image is referenced in multiple repositories/);
  await daemon.ok('rmi', 'other:tag');
});

test('commit: what changed is in the image, and rm deletes its layer', async () => {
  await daemon.ok('run', '--name', 'changed', 'busybox', 'sh', '-c', 'echo new > /new; rm /etc/passwd; mkdir /dir');
  assert.deepEqual(lines(await daemon.ok('diff', 'changed')).toSorted(), ['A /dir', 'A /new', 'C /etc', 'D /etc/passwd']);
  const id = await daemon.ok('commit', '-a', 'A. Sailor', '-m', 'why', '-c', 'CMD ["cat", "/new"]', '-c', 'ENV A=b', '-c', 'LABEL x=y', 'changed', 'committed:1');
  assert.match(id, /^sha256:/);
  const image = (await daemon.request('GET', '/images/committed:1/json')).json();
  assert.deepEqual([image.Author, image.Comment, image.Config.Cmd, image.Config.Labels], ['A. Sailor', 'why', ['cat', '/new'], { x: 'y' }]);
  assert.equal(await daemon.ok('run', '--rm', 'committed:1'), 'new');
  assert.equal(await daemon.ok('run', '--rm', 'committed:1', 'sh', '-c', 'ls -d /dir; test -e /etc/passwd || echo gone; echo $A'), '/dir\ngone\nb');
  const history = (await daemon.request('GET', '/images/committed:1/history')).json();
  assert.deepEqual([history[0].Tags, history[0].Comment, history[0].Id], [['committed:1'], 'why', id]);
  assert.equal(history.length, 2);
  await daemon.ok('rm', 'changed');
  const removed = lines(await daemon.ok('rmi', 'committed:1'));
  assert.equal(removed[0], 'Untagged: committed:1');
  assert.ok(removed.includes(`Deleted: ${id}`));
});

test('save and load give the same image again', async () => {
  const id = await imageId('busybox:layered');
  const archive = `${daemon.dir}/saved.tar`;
  await daemon.ok('save', '-o', archive, 'busybox:layered', 'busybox:latest');
  assert.match(execFileSync('tar', ['tf', archive], { encoding: 'utf8' }), /^manifest\.json$/m);
  await daemon.ok('rmi', 'busybox:layered');
  assert.match(await daemon.ok('load', '-i', archive), /Loaded image: busybox:layered/);
  assert.equal(await imageId('busybox:layered'), id);
  execFileSync('gzip', [archive]);
  await daemon.ok('rmi', 'busybox:layered');
  await daemon.ok('load', '-i', `${archive}.gz`);
  assert.equal(await imageId('busybox:layered'), id);
});

test('an archive that is none', async () => {
  const bad = await daemon.request('POST', '/images/load?quiet=1', { body: Buffer.alloc(10_240, 'x'), headers: { 'Content-Type': 'application/x-tar' } });
  assert.ok(bad.status >= 400 || bad.text.includes('errorDetail'), bad.text);
  assert.equal((await daemon.request('GET', '/images/json')).json().length, 2);
});

test('export and import', async () => {
  const id = await daemon.ok('create', 'busybox', 'true');
  await daemon.ok('export', '-o', `${daemon.dir}/root.tar`, id);
  assert.match(execFileSync('tar', ['tf', `${daemon.dir}/root.tar`], { encoding: 'utf8' }), /^bin\/busybox$/m);
  const image = await daemon.ok('import', '-c', 'CMD ["/bin/echo", "imported"]', '-c', 'WORKDIR /tmp', '-m', 'note', `${daemon.dir}/root.tar`, 'imported:1');
  assert.match(image, /^sha256:/);
  assert.equal(await daemon.ok('run', '--rm', 'imported:1'), 'imported');
  assert.equal((await daemon.request('GET', '/images/imported:1/json')).json().RootFS.Layers.length, 1);
  await daemon.ok('rm', id);
  await daemon.ok('rmi', 'imported:1');
});

test('cp: files, folders, both ways, links, and what is not there', async () => {
  const id = await daemon.ok('run', '-d', '-v', '/vol', 'busybox', 'sleep', '600');
  writeFileSync(`${daemon.dir}/local`, 'content');
  await daemon.ok('cp', `${daemon.dir}/local`, `${id}:/tmp/`);
  await daemon.ok('cp', `${daemon.dir}/local`, `${id}:/vol/renamed`);
  assert.equal(await daemon.ok('exec', id, 'cat', '/tmp/local', '/vol/renamed'), 'contentcontent');
  await daemon.ok('cp', `${id}:/vol/renamed`, `${daemon.dir}/back`);
  assert.equal(readFileSync(`${daemon.dir}/back`, 'utf8'), 'content');
  await daemon.ok('exec', id, 'sh', '-c', 'mkdir -p /tree/sub && echo x > /tree/sub/f && ln -s sub/f /tree/link && ln -s /../../../../../../etc/passwd /escape');
  await daemon.ok('cp', `${id}:/tree`, `${daemon.dir}/tree`);
  assert.equal(readFileSync(`${daemon.dir}/tree/sub/f`, 'utf8'), 'x\n');
  await daemon.ok('cp', '-L', `${id}:/tree/link`, `${daemon.dir}/followed`);
  assert.equal(readFileSync(`${daemon.dir}/followed`, 'utf8'), 'x\n');
  await daemon.ok('cp', '-L', `${id}:/escape`, `${daemon.dir}/escaped`);
  assert.equal(readFileSync(`${daemon.dir}/escaped`, 'utf8'), await daemon.ok('exec', id, 'cat', '/etc/passwd').then((text) => `${text}\n`));
  const head = await daemon.request('HEAD', `/containers/${id}/archive?path=/tree/link`);
  const stat = JSON.parse(Buffer.from(String(head.headers['x-docker-container-path-stat']), 'base64').toString());
  assert.deepEqual([stat.name, stat.linkTarget, (stat.mode & 0x8000000) !== 0], ['link', '/tree/sub/f', true]);
  const missing = await daemon.request('GET', `/containers/${id}/archive?path=/nowhere`);
  assert.equal(missing.status, 404);
  assert.match(missing.message(), /Could not find the file \/nowhere in container/);
  const notFolder = await daemon.request('PUT', `/containers/${id}/archive?path=/etc/passwd`, { body: Buffer.alloc(1024), headers: { 'Content-Type': 'application/x-tar' } });
  assert.deepEqual([notFolder.status, notFolder.message()], [per({ moored: 400, dockerd: 500 }), 'extraction point is not a directory']);
  await daemon.ok('rm', '-f', '-v', id);
});

test('stats', async () => {
  const id = await daemon.ok('run', '-d', '-m', '64m', 'busybox', 'sleep', '600');
  const stats = (await daemon.request('GET', `/containers/${id}/stats?stream=0`)).json();
  assert.equal(stats.id, id);
  assert.ok(stats.cpu_stats.system_cpu_usage > stats.precpu_stats.system_cpu_usage);
  assert.equal(stats.memory_stats.limit, 67_108_864);
  assert.ok(stats.memory_stats.usage > 0 && stats.pids_stats.current >= 1);
  assert.ok(stats.networks.eth0.tx_bytes >= 0);
  const once1 = (await daemon.request('GET', `/containers/${id}/stats?stream=0&one-shot=1`)).json();
  assert.ok(once1.cpu_stats.cpu_usage.total_usage > 0);
  assert.match(await daemon.ok('stats', '--no-stream', '--format', '{{.MemUsage}}', id), /\/ 64MiB$/);
  await daemon.ok('rm', '-f', id);
});

const registryFolder = mkdtempSync('/tmp/moored-registry-');
const registries: ChildProcess[] = [];
after(() => {
  for (const registry of registries) registry.kill('SIGKILL');
  rmSync(registryFolder, { recursive: true, force: true });
});

/** Debian's registry on a port of the daemon's loopback; with `auth`, for user "sailor" with password "secret" alone. */
async function startRegistry(port: number, auth: boolean): Promise<string> {
  const root = `${registryFolder}/${port}`;
  // The hash of "secret", made by htpasswd -B.
  const htpasswd = 'sailor:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n';
  writeFileSync(`${registryFolder}/htpasswd`, htpasswd);
  writeFileSync(`${root}.yml`, ['version: 0.1', 'log: {level: error}', `storage: {filesystem: {rootdirectory: ${root}}, delete: {enabled: true}}`, `http: {addr: "127.0.0.1:${port}"}`, ...(auth ? [`auth: {htpasswd: {realm: harbour, path: ${registryFolder}/htpasswd}}`] : [])].join('\n'));
  const registry = spawn('nsenter', [`--net=/run/netns/${daemon.netns}`, 'docker-registry', 'serve', `${root}.yml`], { stdio: 'ignore' });
  registries.push(registry);
  registry.once('error', () => {});
  await eventually(async () => (await daemon.inside(['busybox', 'nc', '-w', '1', '127.0.0.1', String(port)], { stdin: '' })).code === 0, 'the registry');
  return `127.0.0.1:${port}`;
}

test('push and pull', async () => {
  const registry = await startRegistry(15_000, false);
  const name = `${registry}/fleet/box:1`;
  await daemon.ok('tag', 'busybox:layered', name);
  const pushed = await daemon.ok('push', name);
  const digest = /^1: digest: (sha256:[0-9a-f]{64}) size: \d+$/m.exec(pushed)?.[1] ?? assert.fail(pushed);
  assert.match(await daemon.ok('push', name), /Layer already exists/);
  const id = await imageId('busybox:layered');
  await daemon.ok('rmi', name);
  const pulled = await daemon.ok('pull', name);
  assert.match(pulled, new RegExp(`^Digest: ${digest}$`, 'm'));
  assert.match(pulled, new RegExp(`^Status: Downloaded newer image for ${name}$`, 'm'));
  assert.equal(await imageId(name), id);
  assert.match(await daemon.ok('pull', name), /Status: Image is up to date for/);
  assert.ok((await daemon.request('GET', `/images/${name}/json`)).json().RepoDigests.includes(`${registry}/fleet/box@${digest}`));
  await daemon.ok('rmi', name);
  await daemon.ok('pull', '-q', `${registry}/fleet/box@${digest}`);
  assert.equal(await daemon.ok('run', '--rm', `${registry}/fleet/box@${digest}`, 'cat', '/etc/motd'), 'second layer');
  await daemon.docker(['rmi', '-f', `${registry}/fleet/box@${digest}`]);
});

test('run pulls what is not there', async () => {
  const name = '127.0.0.1:15000/fleet/box:1';
  const { code, stdout, stderr } = await daemon.docker(['run', '--rm', name, 'echo', 'pulled']);
  assert.deepEqual([code, stdout], [0, 'pulled\n']);
  assert.match(stderr, /Unable to find image '127\.0\.0\.1:15000\/fleet\/box:1' locally/);
  await daemon.ok('rmi', name);
});

test('pull: what is not there, and no registry at all', async () => {
  const { code, stderr } = await daemon.docker(['pull', '127.0.0.1:15000/fleet/box:2']);
  assert.equal(code, 1);
  assert.match(stderr, /manifest for 127\.0\.0\.1:15000\/fleet\/box:2 not found: manifest unknown/);
  assert.match((await daemon.docker(['pull', '127.0.0.1:15000/fleet/nothing'])).stderr, /not found|does not exist/);
  const refused = await daemon.docker(['pull', '127.0.0.1:1/x']);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /connection refused|ECONNREFUSED/);
  assert.match((await daemon.docker(['pull', 'UPPER'])).stderr, /repository name .*must be lowercase/);
});

test('a registry that wants a password', async () => {
  const registry = await startRegistry(15_001, true);
  const name = `${registry}/private/box:1`;
  await daemon.ok('tag', 'busybox', name);
  assert.match((await daemon.docker(['push', name])).stderr, /no basic auth credentials|unauthorized|authentication required/);
  assert.match((await daemon.docker(['login', '-u', 'sailor', '--password-stdin', registry], { stdin: 'wrong' })).stderr, /unauthorized|401|authentication required/i);
  const login = await daemon.docker(['login', '-u', 'sailor', '--password-stdin', registry], { stdin: 'secret' });
  assert.equal(login.code, 0, login.stderr);
  await daemon.ok('push', '-q', name);
  await daemon.ok('rmi', name);
  await daemon.ok('pull', '-q', name);
  await daemon.ok('logout', registry);
  await daemon.ok('rmi', name);
  assert.notEqual((await daemon.docker(['pull', name])).code, 0);
});

test('filters, prune', async () => {
  const id = await daemon.ok('create', 'busybox', 'true');
  const first = await daemon.ok('commit', '-c', 'LABEL k=v', id, 'pruned:1');
  await daemon.ok('commit', '-c', 'LABEL k=w', id, 'pruned:1');
  const names = async (filter: string): Promise<string[]> => lines(await daemon.ok('images', '-q', '--no-trunc', '-f', filter));
  assert.deepEqual(await names('dangling=true'), [first]);
  assert.deepEqual(await names('label=k=v'), [first]);
  assert.equal((await names('reference=busy*')).length, 2);
  assert.equal((await names('since=busybox:layered')).length, 2);
  const pruned = (await daemon.request('POST', '/images/prune')).json();
  assert.ok(JSON.stringify(pruned.ImagesDeleted).includes(first));
  await daemon.ok('rm', id);
  await daemon.ok('rmi', 'pruned:1');
});

test('nothing is left of what was removed', mooredOnly('an oracle of our own store'), async () => {
  assert.deepEqual((await daemon.request('GET', '/images/json')).json().flatMap(({ RepoTags }: { RepoTags: string[] }) => RepoTags).toSorted(), ['busybox:latest', 'busybox:layered']);
});
