/** The process is killed at each step of a load and a removal: afterwards an image is whole or not there, and nothing else is left. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { makeTar } from '../../test/fixtures/images.ts';
import type { Entry } from '../../test/fixtures/images.ts';
import { openImages } from '../../test/fixtures/imageStore.ts';
import type { ImageFixture } from '../../test/fixtures/imageStore.ts';

const FIXTURE = join(import.meta.dirname, '../../test/fixtures/imageStore.ts');
const NAME = 'small:1';
const STEPS: Record<string, string> = {
  load: 'await fixture.load(process.argv[2]);',
  remove: `await fixture.images.remove('${NAME}', { force: false, noPrune: false, usedBy: [] });`,
};

/** Runs one step in a process of its own; true if it was killed at the failpoint. */
function runs(root: string, step: string, { failpoints, archive }: { failpoints: string; archive: string }): Promise<boolean> {
  // After -e the arguments begin at 1: the root, the archive.
  const script = `const { openImages } = await import(${JSON.stringify(FIXTURE)}); const fixture = await openImages({}, process.argv[1]); ${STEPS[step] ?? ''} process.exit(0);`;
  return new Promise((resolve, reject) => {
    execFile(process.execPath, ['--input-type=module', '-e', script, root, archive], { env: { ...process.env, MOORED_FAILPOINTS: failpoints }, timeout: 60_000 }, (error, _stdout, stderr) => {
      if (error === null) resolve(false);
      else if (error.signal === 'SIGKILL' && !error.killed) resolve(true);
      else reject(new Error(`${step}: ${stderr}`));
    });
  });
}

/** What there is after a restart: nothing, or the image with everything it is made of. */
async function wholeOrGone({ images, layers, root }: ImageFixture): Promise<boolean> {
  const found = await images.list();
  assert.deepEqual(await readdir(join(root, 'images/tmp')), []);
  assert.equal((await readdir(join(root, 'images/blobs/sha256'))).length, found.length);
  assert.equal((await layers.list()).length, found.length * 2);
  for (const image of found) {
    for await (const chunk of await layers.tar(images.topLayer(image) ?? '')) assert.ok(chunk);
  }
  return found.length === 1;
}

/** Opens the store as a restarted daemon does, for as long as `work` takes. */
async function restarted<T>(root: string, work: (fixture: ImageFixture) => Promise<T>): Promise<T> {
  const fixture = await openImages({}, root);
  try {
    return await work(fixture);
  } finally {
    await fixture.layers.close();
  }
}

const POINTS: Record<string, string[]> = {
  load: ['store.rename', 'layers.publish'],
  remove: ['store.rename', 'image.remove', 'image.layer-remove', 'layers.discard'],
};

test('killed at any step', { timeout: 280_000 }, async () => {
  const root = await mkdtemp(join(tmpdir(), 'moored-crash-'));
  const archive = join(root, 'archive.tar');
  await writeFile(archive, smallArchive());
  const remove = async (fixture: ImageFixture): Promise<void> => {
    for (const { id } of await fixture.images.list()) await fixture.images.remove(id, { force: true, noPrune: false, usedBy: [] });
    assert.equal(await wholeOrGone(fixture), false);
  };
  let crashes = 0;
  try {
    for (const [step, points] of Object.entries(POINTS)) {
      for (const point of points) {
        for (let passes = 0, killed = true; killed; passes += 1) {
          if (step === 'remove') await restarted(root, (fixture) => fixture.load(archive));
          killed = await runs(root, step, { failpoints: `${point}=${passes}*off->1*crash`, archive });
          const there = await restarted(root, wholeOrGone);
          if (killed) crashes += 1;
          else assert.equal(there, step === 'load');
          await restarted(root, remove);
        }
      }
    }
    assert.ok(crashes >= 12, `only ${crashes} crashes`);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

/** An image of two small layers. */
function smallArchive(): Buffer {
  const layers = ['one', 'two'].map((name) => makeTar([{ name, type: 'f', content: name }]));
  const diffIds = layers.map((layer) => `sha256:${createHash('sha256').update(layer).digest('hex')}`);
  return makeTar([
    ...layers.map((content, index): Entry => ({ name: `${index}`, type: 'f', content })),
    { name: 'config', type: 'f', content: JSON.stringify({ os: 'linux', architecture: 'amd64', rootfs: { diff_ids: diffIds } }) },
    { name: 'manifest.json', type: 'f', content: JSON.stringify([{ Config: 'config', RepoTags: [NAME], Layers: ['0', '1'] }]) },
  ]);
}
