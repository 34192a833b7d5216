/** An image of 200 MB in 20 layers: load, push, pull and removal; and how loading and running grow with the number of layers. */
import { startRegistry } from '../../test/fixtures/registry.ts';
import { layeredImage, seededRegistry } from '../bigImage.ts';
import type { LayerPlan } from '../bigImage.ts';
import type { Engine } from '../engine.ts';
import { CANNOT, ratioAtMost } from '../rows.ts';
import type { Measurement, Row, Sampler, Sizes } from '../rows.ts';
import { repeat, timed } from '../work.ts';

const plan = ({ data }: Sizes): LayerPlan => ({ layers: 20, filesPerLayer: 50, bytesPerFile: data(200) * 1000 });

export const images: Measurement = {
  name: 'images',
  about: 'load, push, pull (over loopback) and rmi of an image of 200 MB in 20 layers',
  minutes: 5,
  rows: [
    { id: 'image.load', title: 'docker load, 200 MB in 20 layers', unit: 's', ...ratioAtMost(1) },
    { id: 'image.push', title: 'docker push, 200 MB in 20 layers', unit: 's', ...ratioAtMost(1) },
    { id: 'image.pull', title: 'docker pull, 200 MB in 20 layers', unit: 's', ...ratioAtMost(1) },
    { id: 'image.rmi', title: 'docker rmi of 20 layers', unit: 's' },
  ],
  async measure(engine, sampler) {
    const archive = await layeredImage('big:loaded', plan(sampler));
    const root = await seededRegistry(plan(sampler));
    await repeat(sampler.few, () => loadAndPush(engine, sampler, archive));
    await using registry = await startRegistry({ netns: engine.daemon.netns, root });
    const reference = `${registry.host}/big:1`;
    await repeat(sampler.few, async () => {
      sampler.record('image.pull', (await timed(() => engine.cli(['pull', '-q', reference]))) / 1000);
      await engine.cli(['rmi', reference]);
    });
  },
};

async function loadAndPush(engine: Engine, { record, unable }: Sampler, archive: string): Promise<void> {
  record('image.load', (await timed(() => engine.cli(['load', '-q', '-i', archive]))) / 1000);
  await using registry = await startRegistry({ netns: engine.daemon.netns });
  const reference = `${registry.host}/big:pushed`;
  await engine.cli(['tag', 'big:loaded', reference]);
  const began = performance.now();
  const pushed = await engine.daemon.docker(['push', '-q', reference], { timeoutMs: 180_000 });
  if (pushed.code === 0) record('image.push', (performance.now() - began) / 1000);
  else if (CANNOT.test(pushed.stderr)) unable('image.push', pushed.stderr.trim());
  else throw new Error(`${engine.name}: docker push: ${pushed.stderr.trim()}`);
  await engine.cli(['rmi', reference]);
  record('image.rmi', (await timed(() => engine.cli(['rmi', 'big:loaded']))) / 1000);
}

const LAYERS = [1, 20, 60, 100] as const;

export const layers: Measurement = {
  name: 'layers',
  about: 'how load, run and rmi grow with 1 … 100 small layers',
  minutes: 4,
  rows: LAYERS.flatMap((x): Row[] => [
    { id: `layers.load-${x}`, title: `docker load, ${x} small layers`, unit: 'ms', curve: { name: 'docker load, by layers', x } },
    { id: `layers.run-${x}`, title: `docker run --rm --network none, ${x} layers`, unit: 'ms', curve: { name: 'docker run --rm, by layers', x } },
    { id: `layers.rmi-${x}`, title: `docker rmi, ${x} layers`, unit: 'ms', curve: { name: 'docker rmi, by layers', x } },
  ]),
  async measure(engine, { few, record }) {
    for (const x of LAYERS) {
      const archive = await layeredImage(`layers:${x}`, { layers: x, filesPerLayer: 3, bytesPerFile: 10_000 });
      await repeat(few, async () => {
        record(`layers.load-${x}`, await timed(() => engine.cli(['load', '-q', '-i', archive])));
        record(`layers.run-${x}`, await timed(() => engine.cli(['run', '--rm', '--network', 'none', `layers:${x}`, 'true'])));
        record(`layers.rmi-${x}`, await timed(() => engine.cli(['rmi', `layers:${x}`])));
      });
    }
  },
};
