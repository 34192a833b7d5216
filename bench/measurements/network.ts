/** Through a published port: throughput, latency, and whether it answers while the daemon is killed and restarted. */
import path from 'node:path';
import { published } from '../engine.ts';
import type { Engine } from '../engine.ts';
import { atMost } from '../rows.ts';
import type { Measurement, Row, Sampler } from '../rows.ts';
import { repeat } from '../work.ts';

const CLIENT = path.join(import.meta.dirname, '../portClient.ts');

interface Place {
  readonly id: string;
  readonly title: string;
  readonly host: string;
  netns(engine: Engine): string;
}

const PLACES: readonly Place[] = [
  { id: 'local', title: 'from localhost', host: '127.0.0.1', netns: (engine) => engine.daemon.netns },
  { id: 'remote', title: 'from another host', host: '10.99.0.1', netns: (engine) => engine.daemon.peer() },
];

/** Starts a container whose port 80 is published as `port`, and waits until the program in it answers. */
async function serve(engine: Engine, name: string, port: number, command: readonly string[]): Promise<void> {
  await engine.run(name, command, published(port));
  const deadline = performance.now() + 10_000;
  while ((await engine.daemon.inside([process.execPath, CLIENT, 'connect', '127.0.0.1', String(port), '1'])).code !== 0) {
    if (performance.now() > deadline) throw new Error(`${engine.name}: ${name} does not answer on port ${port}`);
  }
}

/** The arguments of a server that gives each connection to a command, as its standard input and output. */
const toEach = (...command: readonly string[]): string[] => ['nc', '-ll', '-p', '80', '-e', ...command];

async function client(engine: Engine, place: Place, args: readonly (string | number)[]): Promise<number[]> {
  const { code, stdout, stderr } = await engine.daemon.inside([process.execPath, CLIENT, args[0] as string, place.host, ...args.slice(1).map(String)], { netns: place.netns(engine), timeoutMs: 60_000 });
  if (code !== 0) throw new Error(`${engine.name}: ${args.join(' ')} ${place.title}: ${stderr.trim()}`);
  return JSON.parse(stdout) as number[];
}

export const network: Measurement = {
  name: 'network',
  about: 'throughput and latency through a published port, from localhost and from another host (a namespace with a link)',
  passes: 2,
  minutes: 2,
  rows: PLACES.flatMap(({ id, title }): Row[] => [
    { id: `net.throughput-${id}`, title: `throughput of a published port, ${title}`, unit: 'MB/s' },
    { id: `net.echo-${id}.p50`, title: `round trip through a published port, ${title}, p50`, unit: 'ms', series: `net.echo-${id}` },
    { id: `net.echo-${id}.p99`, title: `round trip through a published port, ${title}, p99`, unit: 'ms', series: `net.echo-${id}`, take: 'p99' },
    { id: `net.connect-${id}`, title: `connection and first byte, ${title}`, unit: 'ms' },
  ]),
  async measure(engine, { rounds, data, record }) {
    await serve(engine, 'zeros', 8001, toEach('cat', '/dev/zero'));
    await serve(engine, 'echo', 8002, toEach('cat'));
    for (const place of PLACES) {
      record(`net.throughput-${place.id}`, ...(await client(engine, place, ['throughput', 8001, Math.max(0.3, data(30) / 10)])));
      record(`net.echo-${place.id}`, ...(await client(engine, place, ['echo', 8002, rounds * 200])));
      record(`net.connect-${place.id}`, ...(await client(engine, place, ['connect', 8002, rounds * 5])));
    }
    await engine.removeContainers();
  },
};

const RESTARTS = 3;

export const probe: Measurement = {
  name: 'probe',
  about: 'a published port probed every 10 ms from both places while the daemon is killed and restarted three times each; failed probes',
  minutes: 3,
  rows: PLACES.flatMap(({ id, title }): Row[] => [
    { id: `probe.${id}`, title: `failed probes across three kills and three restarts, ${title}`, unit: 'probes', take: 'sum', ...atMost(0) },
    { id: `probe.${id}.all`, title: `probes made, ${title}`, unit: 'probes', take: 'sum' },
  ]),
  async measure(engine, sampler) {
    await serve(engine, 'web', 8002, ['httpd', '-f', '-p', '80', '-h', '/tmp']);
    const probing = PLACES.map((place) => engine.daemon.sessionInside([process.execPath, CLIENT, 'probe', place.host, '8002'], place.netns(engine)));
    try {
      await Promise.all(probing.map((session) => session.until('probing\n')));
      await repeat(RESTARTS, async () => {
        await engine.comeback('SIGKILL', 1);
        await engine.comeback('SIGTERM', 1);
      });
      for (const session of probing) session.closeStdin();
      const answers = await Promise.all(probing.map((session) => session.result(20_000)));
      for (const [index, { stdout }] of answers.entries()) recordProbes(sampler, PLACES[index]?.id ?? '', JSON.parse(stdout.split('\n')[1] ?? '[]') as number[]);
    } finally {
      for (const session of probing) session.kill();
    }
    await engine.removeContainers();
  },
};

function recordProbes({ record }: Sampler, place: string, outcomes: readonly number[]): void {
  record(`probe.${place}`, outcomes.filter((outcome) => outcome === 0).length);
  record(`probe.${place}.all`, outcomes.length);
}
