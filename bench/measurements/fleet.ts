/** Many containers with a published port: starting them, what they hold, restarting the daemon under them. */
import { published } from '../engine.ts';
import type { Engine } from '../engine.ts';
import { ratioAtMost } from '../rows.ts';
import type { Measurement, Row, Sampler } from '../rows.ts';
import { median } from '../statistics.ts';
import { inParallel, repeat, timed, upTo } from '../work.ts';

const FIRST_PORT = 20_000;

const startOne = (engine: Engine, index: number): Promise<string> =>
  engine.run(`fleet-${index}`, ['sleep', '36000'], published(FIRST_PORT + index));

const rowsFor = (count: number): Row[] => [
  { id: `fleet-${count}.serial`, title: `start ${count} published containers, one after another`, unit: 's', ...(count === 100 ? ratioAtMost(0.25) : {}) },
  { id: `fleet-${count}.parallel`, title: `start ${count} published containers, eight at a time`, unit: 's' },
  { id: `fleet-${count}.memory`, title: `memory per published container (PSS), ${count} running`, unit: 'MB', ...ratioAtMost(0.1) },
  { id: `fleet-${count}.restart`, title: `restart, to docker ps with ${count} running`, unit: 's', ...ratioAtMost(0.1) },
  { id: `fleet-${count}.crash`, title: `kill -9, to docker ps with ${count} running`, unit: 's', ...ratioAtMost(0.1) },
  { id: `fleet-${count}.rm`, title: `rm -f of ${count} published containers, eight at a time`, unit: 's' },
];

/** Serial start, memory, restarts, removal; then the parallel start. */
async function measureFleet(engine: Engine, sampler: Sampler, size: number): Promise<void> {
  const { record } = sampler;
  const count = sampler.fleet(size);
  const idle = engine.memory();
  record(`fleet-${size}.serial`, (await timed(() => repeat(count, (index) => startOne(engine, index)))) / 1000);
  record(`fleet-${size}.memory`, (engine.memory() - idle) / count);
  if (size === 100) await measureRequests(engine, sampler);
  for (const [row, signal] of [['restart', 'SIGTERM'], ['crash', 'SIGKILL']] as const) {
    await repeat(sampler.few, async () => record(`fleet-${size}.${row}`, (await engine.comeback(signal, count)) / 1000));
  }
  record(`fleet-${size}.rm`, (await engine.removeContainers()) / 1000);
  record(`fleet-${size}.parallel`, (await timed(() => inParallel(8, upTo(count), (index) => startOne(engine, index)))) / 1000);
}

async function measureRequests(engine: Engine, { rounds, record }: Sampler): Promise<void> {
  await repeat(rounds * 10, async () => {
    record('list-100', await timed(() => engine.api('GET', '/containers/json')));
    record('inspect-100', await timed(() => engine.api('GET', '/containers/fleet-0/json')));
  });
}

export const fleet: Measurement = {
  name: 'fleet',
  about: '100 containers with a published port: start, memory, listing, restart and crash of the daemon, removal',
  minutes: 6,
  rows: [
    ...rowsFor(100),
    { id: 'list-100.p50', title: 'GET /containers/json with 100, p50', unit: 'ms', series: 'list-100', ...ratioAtMost(1) },
    { id: 'list-100.p99', title: 'GET /containers/json with 100, p99', unit: 'ms', series: 'list-100', take: 'p99', ...ratioAtMost(1) },
    { id: 'inspect-100.p50', title: 'GET /containers/ID/json with 100, p50', unit: 'ms', series: 'inspect-100' },
    { id: 'inspect-100.p99', title: 'GET /containers/ID/json with 100, p99', unit: 'ms', series: 'inspect-100', take: 'p99' },
  ],
  measure: (engine, sampler) => measureFleet(engine, sampler, 100),
};

export const largeFleet: Measurement = {
  name: 'large-fleet',
  about: 'the same with 500 (takes about ten minutes)',
  large: true,
  minutes: 14,
  rows: rowsFor(500),
  measure: (engine, sampler) => measureFleet(engine, sampler, 500),
};

const POINTS = [100, 250, 500, 1000] as const;

export const largeListing: Measurement = {
  name: 'large-listing',
  about: 'how listing and restoring grow with 100 … 1000 containers on the default network (takes about ten minutes)',
  large: true,
  minutes: 14,
  rows: POINTS.flatMap((x): Row[] => [
    { id: `grow.list-${x}`, title: `GET /containers/json with ${x}`, unit: 'ms', curve: { name: 'GET /containers/json', x } },
    { id: `grow.crash-${x}`, title: `kill -9, to docker ps with ${x} running`, unit: 's', curve: { name: 'kill -9, to docker ps', x } },
    { id: `grow.start-${x}`, title: `start of one container beside ${x}`, unit: 'ms', curve: { name: 'start of one container', x } },
  ]),
  async measure(engine, { fleet: limited, rounds, record }) {
    let running = 0;
    for (const x of POINTS) {
      // Tried out with N containers, the points are N/10 … N.
      const count = Math.max(1, Math.round((limited(1000) * x) / 1000));
      await inParallel(8, upTo(count - running), (index) => engine.run(`grow-${running + index}`, ['sleep', '36000']));
      running = count;
      const times: number[] = [];
      await repeat(rounds * 2, async () => times.push(await timed(() => engine.api('GET', '/containers/json'))));
      record(`grow.list-${x}`, median(times));
      await repeat(2, async () => record(`grow.crash-${x}`, (await engine.comeback('SIGKILL', count)) / 1000));
      await repeat(3, async () => {
        record(`grow.start-${x}`, await timed(() => engine.run('one-more', ['sleep', '36000'])));
        await engine.api('DELETE', '/containers/one-more?force=1');
      });
    }
  },
};
