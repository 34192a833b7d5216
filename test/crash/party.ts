/** All witnesses together. */
import { Counter } from './witnesses/counter.ts';
import { Enders } from './witnesses/enders.ts';
import { Healthy } from './witnesses/healthy.ts';
import { Orphan } from './witnesses/orphan.ts';
import { Probed } from './witnesses/probed.ts';
import { Restarter } from './witnesses/restarter.ts';
import { Steady } from './witnesses/steady.ts';
import type { Stage, Witness } from './witnesses/witness.ts';

export class Party {
  readonly orphan: Orphan;
  readonly #witnesses: readonly Witness[];

  constructor(stage: Stage) {
    this.orphan = new Orphan(stage);
    this.#witnesses = [new Counter(stage), new Probed(stage), new Steady(stage), new Restarter(stage), new Healthy(stage), this.orphan, new Enders(stage)];
  }

  async begin(): Promise<void> {
    for (const witness of this.#witnesses) await witness.begin();
  }

  async work(): Promise<void> {
    await Promise.all(this.#witnesses.map(async (witness) => witness.work?.()));
  }

  async check(): Promise<void> {
    for (const witness of this.#witnesses) await witness.check?.();
  }

  async end(): Promise<void> {
    for (const witness of this.#witnesses) await witness.end();
  }

  abandon(): void {
    for (const witness of this.#witnesses) witness.abandon?.();
  }

  get counts(): Record<string, number> {
    return Object.assign({}, ...this.#witnesses.map(({ counts }) => counts)) as Record<string, number>;
  }
}
