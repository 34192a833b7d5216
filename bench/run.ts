/**
 * dockerd beside moored, on private sockets, roots and network namespaces, in turn. Writes build/bench.json and the table in
 * docs/benchmarks.md. `--rounds N` (default 7) per figure, `--fleet N` (default 100) containers, `--only TEXT`.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Daemon } from '../test/fixtures/daemon.ts';
import type { Target } from '../test/fixtures/target.ts';
import { projectRoot } from '../test/fixtures/target.ts';
import { comeback, fleet, listing, logRate, memory, timed } from './measure.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '7' }, fleet: { type: 'string', default: '100' }, only: { type: 'string' }, write: { type: 'boolean', default: false } } });
const rounds = Number(values.rounds);
const count = Number(values.fleet);
const ENGINES: readonly Target[] = ['dockerd', 'moored'];

type Figures = Record<string, number>;

interface Part {
  readonly name: string;
  measure(daemon: Daemon): Promise<Figures>;
}

const PARTS: readonly Part[] = [
  { name: 'idle', measure: (daemon) => Promise.resolve({ 'idle memory (PSS), MB': memory(daemon) / 1024 }) },
  {
    name: 'run',
    measure: async (daemon) => ({
      'docker run --rm, bridge, ms': await timed(rounds, () => daemon.ok('run', '--rm', 'busybox', 'true')),
      'docker run --rm --network none, ms': await timed(rounds, () => daemon.ok('run', '--rm', '--network', 'none', 'busybox', 'true')),
      'docker run -d, ms': await timed(rounds, (round) => daemon.ok('run', '-d', '--name', `d${round}x`, 'busybox', 'sleep', '600')),
      'docker exec, ms': await timed(rounds, () => daemon.ok('exec', 'd0x', 'true')),
      'docker rm -f, ms': await timed(rounds, (round) => daemon.ok('rm', '-f', `d${round}x`)),
    }),
  },
  { name: 'log', measure: async (daemon) => ({ 'log write, 71-byte lines, MB/s': await logRate(daemon, 200) }) },
  {
    name: 'fleet',
    measure: async (daemon) => {
      const idle = memory(daemon);
      const started = await fleet(daemon, count);
      const each = (memory(daemon) - idle) / count / 1024;
      const [p50, p99] = await listing(daemon, 200);
      const back = await comeback(daemon, count);
      await daemon.removeAll();
      return {
        [`start ${count} published containers, s`]: started / 1000,
        'memory per published container (PSS), MB': each,
        [`GET /containers/json with ${count}, p50, ms`]: p50,
        [`GET /containers/json with ${count}, p99, ms`]: p99,
        [`kill -9 to docker ps with ${count}, s`]: back / 1000,
      };
    },
  },
];

async function measure(engine: Target): Promise<Figures> {
  const figures: Figures = {};
  const daemon = new Daemon({ engine, config: { 'live-restore': true } });
  try {
    await daemon.prepare();
    for (const part of PARTS) {
      if (values.only !== undefined && !part.name.includes(values.only)) continue;
      Object.assign(figures, await part.measure(daemon));
      console.log(engine, part.name, figures);
    }
  } finally {
    await daemon.dispose();
  }
  return figures;
}

function table(results: Record<Target, Figures>): string {
  const rows = Object.keys(results.moored).map((name) => {
    const reference = results.dockerd[name] ?? Number.NaN;
    const own = results.moored[name] ?? Number.NaN;
    return `| ${name} | ${format(reference)} | ${format(own)} | ${(own / reference).toFixed(2)} |`;
  });
  return ['| figure | dockerd 20.10 | moored | ratio |', '|---|---:|---:|---:|', ...rows].join('\n');
}

const format = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

const results: Record<Target, Figures> = { dockerd: {}, moored: {} };
for (const engine of ENGINES) results[engine] = await measure(engine);
const text = table(results);
console.log(`\n${text}`);
const machine = `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${readFileSync('/proc/version', 'utf8').split(' ')[2]}`;
mkdirSync(path.join(projectRoot, 'build'), { recursive: true });
writeFileSync(path.join(projectRoot, 'build/bench.json'), JSON.stringify({ when: new Date().toISOString(), machine, rounds, results }, undefined, 2));
if (values.write) {
  const file = path.join(projectRoot, 'docs/benchmarks.md');
  const head = readFileSync(file, 'utf8').split(/\n(?=No run is recorded|Measured )/)[0] ?? '';
  writeFileSync(file, `${head.trimEnd()}\n\nMeasured ${new Date().toISOString().slice(0, 10)} on ${machine}; medians of ${rounds}.\n\n${text}\n`);
}
