/** Carries a measurement out on both engines in turn. One that fails on an engine has failed there; the others go on. */
import type { Target } from '../test/fixtures/target.ts';
import { Engine } from './engine.ts';
import { outcomeOf, resultOf } from './results.ts';
import type { Circumstances, Outcome, Result } from './results.ts';
import type { Measurement, Row, Sampler, Sizes } from './rows.ts';

export const ENGINES: readonly Target[] = ['dockerd', 'moored'];

/** What one engine has given so far. */
interface Takings {
  readonly samples: Map<string, number[]>;
  readonly unable: Map<string, string>;
  failure?: string;
}

export interface RunOptions {
  readonly sizes: Sizes;
  readonly circumstances: Circumstances;
  /** Told what is going on. */
  readonly say: (text: string) => void;
}

/** Both engines are started fresh, live side by side, and are removed. */
export async function carryOut(measurement: Measurement, { sizes, circumstances, say }: RunOptions): Promise<Result[]> {
  const takings: Record<Target, Takings> = { dockerd: newTakings(), moored: newTakings() };
  const engines = new Map<Target, Engine>();
  try {
    for (const name of ENGINES) engines.set(name, await Engine.start(name));
    for (const name of turns(measurement.passes ?? 1)) {
      const engine = engines.get(name);
      if (engine?.usable !== true) continue;
      const began = performance.now();
      const failure = await onePass(measurement, engine, { ...takings[name], sizes }).then(() => undefined, (error: unknown) => (error instanceof Error ? error.message : String(error)));
      say(`  ${measurement.name} on ${name}: ${((performance.now() - began) / 1000).toFixed(1)} s${failure === undefined ? '' : ` FAILED: ${failure}`}`);
      if (failure === undefined) continue;
      takings[name].failure = failure;
      // What it left running would go on beside the other engine's work.
      await engine.dispose();
    }
  } finally {
    await Promise.all([...engines.values()].map((engine) => engine.dispose()));
  }
  return measurement.rows.map((row) => resultOf(row, circumstances, { dockerd: judge(row, takings.dockerd), moored: judge(row, takings.moored) }));
}

const newTakings = (): Takings => ({ samples: new Map(), unable: new Map() });

/** A B B A …: what drifts on the machine hits both alike. */
function turns(passes: number): Target[] {
  return Array.from({ length: passes }, (_, pass) => (pass % 2 === 0 ? ENGINES : ENGINES.toReversed())).flat();
}

async function onePass(measurement: Measurement, engine: Engine, { samples, unable, sizes }: Takings & { sizes: Sizes }): Promise<void> {
  let open = true;
  const sampler: Sampler = {
    ...sizes,
    record: (id, ...values) => {
      if (open) samples.set(id, [...(samples.get(id) ?? []), ...values]);
    },
    unable: (id, reason) => void unable.set(id, reason),
  };
  let timer: NodeJS.Timeout | undefined;
  const work = measurement.measure(engine, sampler);
  // Broken off, it fails in its own time, with nobody waiting.
  work.catch(() => undefined);
  try {
    await Promise.race([
      work,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`broken off after ${measurement.minutes} minutes`)), measurement.minutes * 60_000);
      }),
    ]);
  } finally {
    clearTimeout(timer);
    open = false;
  }
}

function judge(row: Row, { samples, unable, failure }: Takings): Outcome {
  const reason = unable.get(row.id);
  if (reason !== undefined) return { kind: 'unable', reason };
  const found = samples.get(row.series ?? row.id) ?? [];
  if (found.length === 0 && failure !== undefined) return { kind: 'failed', reason: failure };
  return outcomeOf(row, found);
}
