/** Building an image of ten steps. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { scratch } from '../files.ts';
import { CANNOT } from '../rows.ts';
import type { Measurement } from '../rows.ts';
import { repeat } from '../work.ts';

const DOCKERFILE = ['FROM busybox', 'ENV A=1', 'WORKDIR /app', 'COPY files /app/files', 'RUN echo one > one', 'RUN echo two > two', 'RUN cat one two > three', 'LABEL kind=bench', 'USER daemon', 'CMD ["cat", "/app/three"]', ''].join('\n');

export const build: Measurement = {
  name: 'build',
  about: 'docker build of a Dockerfile of ten steps, nothing cached, by the classic builder',
  minutes: 3,
  rows: [{ id: 'build', title: 'docker build, ten steps, nothing cached', unit: 's' }],
  async measure(engine, { few, record, unable }) {
    const context = scratch('build');
    mkdirSync(path.join(context, 'files'));
    writeFileSync(path.join(context, 'Dockerfile'), DOCKERFILE);
    for (let index = 0; index < 100; index += 1) writeFileSync(path.join(context, 'files', `file${index}`), `file ${index}\n`.repeat(100));
    await repeat(few, async () => {
      const began = performance.now();
      const built = await engine.daemon.docker(['build', '--no-cache', '--force-rm', '-q', '-t', 'built', context], { env: { DOCKER_BUILDKIT: '0' }, timeoutMs: 120_000 });
      if (built.code === 0) record('build', (performance.now() - began) / 1000);
      else if (CANNOT.test(built.stderr)) unable('build', 'it cannot build images (SCOPE.md)');
      else throw new Error(`${engine.name}: docker build: ${built.stderr.trim()}`);
    });
  },
};
