/** Reading a log: all of it, its end, what is new. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { dockerClient } from '../../test/fixtures/target.ts';
import type { Engine } from '../engine.ts';
import { scratch } from '../files.ts';
import { ratioAtLeast } from '../rows.ts';
import type { Measurement, Row, Sampler } from '../rows.ts';
import { repeat, timed } from '../work.ts';
import { startWriter } from '../writers.ts';

/** The goals are about short lines, whose cost is per line. */
const KINDS = { short: '71-byte lines', long: '4 KiB lines' } as const;
const MEGABYTES = 50;
/** Sizes of the log for the curves, MB. */
const GROWTH = [10, 50, 200] as const;

export const logRead: Measurement = {
  name: 'log-read',
  about: 'reading a log by the API and the client, its tail, what is new since a time, and how late a follower gets a line',
  minutes: 6,
  rows: [
    ...(Object.keys(KINDS) as (keyof typeof KINDS)[]).flatMap((kind): Row[] => [
      { id: `log-read.api-${kind}`, title: `log read by the API, ${KINDS[kind]}`, unit: 'MB/s', ...(kind === 'short' ? ratioAtLeast(10) : {}) },
      { id: `log-read.cli-${kind}`, title: `docker logs, ${KINDS[kind]}`, unit: 'MB/s', ...(kind === 'short' ? ratioAtLeast(4) : {}) },
    ]),
    ...GROWTH.flatMap((x): Row[] => [
      { id: `log-read.tail-${x}`, title: `last 100 lines of a log of ${x} MB`, unit: 'ms', curve: { name: 'last 100 lines, by MB of log', x } },
      { id: `log-read.since-${x}`, title: `lines since the last moment of a log of ${x} MB`, unit: 'ms', curve: { name: 'lines since the last moment, by MB of log', x } },
    ]),
    { id: 'log-follow.p50', title: 'a line, from its writing to a follower, p50', unit: 'ms', series: 'log-follow' },
    { id: 'log-follow.p99', title: 'a line, from its writing to a follower, p99', unit: 'ms', series: 'log-follow', take: 'p99' },
  ],
  async measure(engine, sampler) {
    for (const kind of ['short', 'long'] as const) await readAll(engine, sampler, kind);
    for (const x of GROWTH) await readEnd(engine, sampler, x);
    await follow(engine, sampler);
  },
};

async function readAll(engine: Engine, { rounds, data, record }: Sampler, kind: 'short' | 'long'): Promise<void> {
  const writer = await startWriter(engine, `reader-${kind}`, { kind, megabytes: data(MEGABYTES) });
  writer.go();
  await writer.complete(3);
  const rate = (milliseconds: number): number => writer.bytes / 1e3 / milliseconds;
  await repeat(Math.min(3, rounds), async () => {
    record(`log-read.api-${kind}`, rate(await timed(() => drain(engine, `/containers/${writer.id}/logs?stdout=1&stderr=1`, writer.bytes))));
    record(`log-read.cli-${kind}`, rate(await timed(() => discarded(engine, ['logs', writer.id]))));
  });
  await engine.removeContainers();
}

/** Reads an answer to its end, which must have at least `bytes`. */
async function drain(engine: Engine, where: string, bytes: number): Promise<void> {
  const answer = await engine.daemon.openRequest('GET', where);
  let received = 0;
  answer.on('data', (chunk: Buffer) => {
    received += chunk.length;
  });
  await once(answer, 'end', { signal: AbortSignal.timeout(180_000) });
  if (received < bytes) throw new Error(`${engine.name}: ${where} gave ${received} bytes of ${bytes}`);
}

/** Runs the client with its output to /dev/null. */
async function discarded(engine: Engine, args: readonly string[]): Promise<void> {
  const child = spawn(dockerClient(), ['-H', `unix://${engine.daemon.socket}`, ...args], { stdio: 'ignore', timeout: 180_000, killSignal: 'SIGKILL' });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`${engine.name}: docker ${args.join(' ')} ended with ${code}`);
}

async function readEnd(engine: Engine, { rounds, data, record }: Sampler, megabytes: number): Promise<void> {
  const writer = await startWriter(engine, `ends-${megabytes}`, { kind: 'short', megabytes: data(megabytes) });
  writer.go();
  await writer.complete(3);
  await repeat(rounds, async () => record(`log-read.tail-${megabytes}`, await timed(() => drain(engine, `/containers/${writer.id}/logs?stdout=1&tail=100`, 7100))));
  const since = (Date.now() / 1000 + 0.001).toFixed(9);
  await repeat(Math.min(2, rounds), async () => record(`log-read.since-${megabytes}`, await timed(() => drain(engine, `/containers/${writer.id}/logs?stdout=1&since=${since}`, 0))));
  await engine.removeContainers();
}

/** Lines go through a pipe of ours into the container and come back by the follower. */
async function follow(engine: Engine, { rounds, record }: Sampler): Promise<void> {
  const folder = scratch('follow');
  const pipe = path.join(folder, 'lines');
  execFileSync('mkfifo', [pipe]);
  const fifo = openSync(pipe, constants.O_RDWR);
  try {
    const id = await engine.run('followed', ['cat', '/pipe/lines'], { host: { Binds: [`${folder}:/pipe`], NetworkMode: 'none' } });
    const answer = await engine.daemon.openRequest('GET', `/containers/${id}/logs?stdout=1&follow=1`);
    let wake = (): void => {};
    let heard = '';
    answer.on('data', (chunk: Buffer) => {
      heard = `${heard}${chunk.toString('latin1')}`.slice(-200);
      wake();
    });
    await repeat(rounds * 20, async (index) => {
      const line = `line ${index} of many\n`;
      const came = new Promise<void>((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`${engine.name}: a follower did not get its line within 10 s`)), 10_000);
        wake = () => {
          if (!heard.includes(line)) return;
          clearTimeout(timer);
          resolve();
        };
      });
      const began = performance.now();
      writeSync(fifo, line);
      await came;
      // The first ones warm up.
      if (index >= 5 || rounds === 1) record('log-follow', performance.now() - began);
      await sleep(5);
    });
    answer.destroy();
  } finally {
    closeSync(fifo);
  }
  await engine.removeContainers();
}
