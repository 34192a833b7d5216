/** The process is killed at each step of a load and a removal: afterwards an image is whole or not there, and nothing else is left. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { layeredArchive } from '../../test/fixtures/images.ts';
import { openImages } from '../../test/fixtures/imageStore.ts';
import type { ImageFixture } from '../../test/fixtures/imageStore.ts';

const FIXTURE = join(import.meta.dirname, '../../test/fixtures/imageStore.ts');
const NAME = 'busybox:layered';
const STEPS: Record<string, string> = {
  load: 'await fixture.load(process.argv[3]);',
  remove: `await fixture.images.remove('${NAME}', { force: false, noPrune: false, usedBy: [] });`,
};

/** Runs one step in a process of its own; true if it was killed at the failpoint. */
function runs(root: string, step: string, { failpoints, archive }: { failpoints: string; archive: string }): Promise<boolean> {
  const script = `const { openImages } = await import(${JSON.stringify(FIXTURE)}); const fixture = await openImages({}, process.argv[1]); process.argv[3] = process.argv[2]; ${STEPS[step] ?? ''} process.exit(0);`;
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

test('killed at any step', { timeout: 280_000 }, async () => {
  const archive = await layeredArchive();
  const root = await mkdtemp(join(tmpdir(), 'moored-crash-'));
  await using whole = await openImages({}, root);
  await whole.layers.close();
  let crashes = 0;
  const restart = async (): Promise<boolean> => {
    const fixture = await openImages({}, root);
    const there = await wholeOrGone(fixture);
    await fixture.layers.close();
    return there;
  };
  const points = (step: string): string[] => (step === 'load' ? ['store.rename', 'layers.publish'] : ['store.rename', 'image.remove', 'image.layer-remove', 'layers.discard']);
  for (const step of ['load', 'remove']) {
    for (const point of points(step)) {
      for (let passes = 0; ; passes += 1) {
        if (step === 'remove') await runs(root, 'load', { failpoints: '', archive });
        const killed = await runs(root, step, { failpoints: `${point}=${passes}*off->1*crash`, archive });
        const there = await restart();
        if (killed) crashes += 1;
        else {
          assert.equal(there, step === 'load');
          await runs(root, 'remove', { failpoints: '', archive }).catch(() => {});
          break;
        }
        await runs(root, 'remove', { failpoints: '', archive }).catch(() => {});
      }
    }
  }
  assert.ok(crashes >= 8, `only ${crashes} crashes`);
});
