/** docker cp of 10,000 files, both ways. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { scratch } from '../files.ts';
import { ratioAtMost } from '../rows.ts';
import type { Measurement } from '../rows.ts';
import { repeat, timed } from '../work.ts';

export const copy: Measurement = {
  name: 'copy',
  about: 'docker cp of 10,000 files of 1 kB into a running container and out of it',
  minutes: 4,
  rows: [
    { id: 'cp.in', title: 'docker cp of 10,000 files into a container', unit: 's', ...ratioAtMost(1) },
    { id: 'cp.out', title: 'docker cp of 10,000 files out of a container', unit: 's', ...ratioAtMost(1) },
  ],
  async measure(engine, { few, data, record }) {
    const folder = await manyFiles(data(10_000));
    await engine.run('copied', ['sleep', '3600'], { host: { NetworkMode: 'none' } });
    await repeat(few, async (round) => {
      record('cp.in', (await timed(() => engine.cli(['cp', '-q', path.join(folder, 'files'), `copied:/in${round}`]))) / 1000);
      const out = path.join(folder, `out${round}`);
      record('cp.out', (await timed(() => engine.cli(['cp', '-q', `copied:/in${round}`, out]))) / 1000);
      await rm(out, { recursive: true });
    });
    await engine.removeContainers();
  },
};

let made: Promise<string> | undefined;

/** A folder with `files`, a hundred to a folder. Made once. */
function manyFiles(count: number): Promise<string> {
  made ??= make(count);
  return made;
}

async function make(count: number): Promise<string> {
  const folder = scratch('copy');
  await repeat(count, async (index) => {
    const into = path.join(folder, 'files', `d${Math.floor(index / 100)}`);
    if (index % 100 === 0) await mkdir(into, { recursive: true });
    await writeFile(path.join(into, `f${index}`), `${index} `.repeat(200).slice(0, 1000));
  });
  return folder;
}
