/** What a container may write per second, and what that costs the engine's processes. */
import { execFileSync } from 'node:child_process';
import type { Engine } from '../engine.ts';
import { ratioAtLeast, ratioAtMost } from '../rows.ts';
import type { Goal, Measurement, Row, Sampler } from '../rows.ts';
import { sum } from '../statistics.ts';
import { repeat, upTo } from '../work.ts';
import { startWriter } from '../writers.ts';
import type { WriterOptions } from '../writers.ts';

interface Case extends WriterOptions {
  readonly id: string;
  readonly title: string;
  readonly containers: number;
  /** The goals are about short lines, whose cost is per line. */
  readonly goal?: { readonly goal: Goal };
  readonly repeated: boolean;
}

const CASES: readonly Case[] = [
  { id: 'burst', title: '71-byte lines, 200 MB', kind: 'short', megabytes: 200, containers: 1, goal: ratioAtLeast(8), repeated: true },
  { id: 'long', title: '4 KiB lines, 200 MB', kind: 'long', megabytes: 200, containers: 1, repeated: true },
  { id: 'many', title: '71-byte lines, 20 containers at once, 20 MB each', kind: 'short', megabytes: 20, containers: 20, goal: ratioAtLeast(6), repeated: false },
  { id: 'rotating', title: '71-byte lines, 500 MB, rotated at 10 MB', kind: 'short', megabytes: 500, containers: 1, log: { 'max-size': '10m', 'max-file': '3' }, goal: ratioAtLeast(6), repeated: false },
  { id: 'sustained', title: '71-byte lines, 1 GB', kind: 'short', megabytes: 1000, containers: 1, goal: ratioAtLeast(6), repeated: false },
];

export const logWrite: Measurement = {
  name: 'log-write',
  about: 'log writing (json-file), from the word to write until the last line is in the file, and the processor time of the engine',
  minutes: 6,
  rows: CASES.flatMap(({ id, title, goal }): Row[] => [
    { id: `log-write.${id}`, title: `log write, ${title}`, unit: 'MB/s', ...goal },
    { id: `log-write.${id}.cpu`, title: `processor time, ${title}`, unit: 'CPU-s/GB', ...ratioAtMost(0.15) },
  ]),
  async measure(engine, sampler) {
    for (const one of CASES) await repeat(one.repeated ? Math.min(3, sampler.rounds) : 1, () => write(engine, sampler, one));
  },
};

async function write(engine: Engine, { fleet, data, record }: Sampler, { id, containers, kind, megabytes, log }: Case): Promise<void> {
  const writers = await Promise.all(upTo(fleet(containers)).map((index) => startWriter(engine, `writer-${index}`, { kind, megabytes: data(megabytes), ...(log === undefined ? {} : { log }) })));
  // What earlier work left to be written back is not this one's.
  execFileSync('sync', { timeout: 120_000 });
  const cpu = engine.cpuSeconds();
  const began = performance.now();
  for (const writer of writers) writer.go();
  await Promise.all(writers.map((writer) => writer.complete(3)));
  const seconds = (performance.now() - began) / 1000;
  const bytes = sum(writers.map((writer) => writer.bytes));
  record(`log-write.${id}`, bytes / 1e6 / seconds);
  record(`log-write.${id}.cpu`, (engine.cpuSeconds() - cpu) / (bytes / 1e9));
  await engine.removeContainers();
}
