/** Options as they were at the last start or reload, so that a change can be told, and which containers it does not reach. */
import path from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Logger } from '../base/logger.ts';
import { messageOf } from '../base/errors.ts';
import { elders, noteOptions, optionKey, parseOptionNotes } from '../core/options/reach.ts';
import type { Elder, OptionNotes } from '../core/options/reach.ts';
import type { Config, OptionName } from '../core/options/table.ts';
import { readRecord, writeRecord } from '../store/record.ts';

export const optionNotesFile = (dataRoot: string): string => path.join(dataRoot, 'options.json');

export class OptionWatch {
  readonly #file: string;
  readonly #logger: Logger;
  readonly #clock: Clock;
  #notes: OptionNotes | undefined;
  #waiting: readonly OptionName[] = [];

  private constructor(file: string, deps: { logger: Logger; clock: Clock }) {
    this.#file = file;
    this.#logger = deps.logger;
    this.#clock = deps.clock;
  }

  /** Reads what was noted and logs what changed since. */
  static async open(config: Config, deps: { logger: Logger; clock: Clock }): Promise<OptionWatch> {
    const watch = new OptionWatch(optionNotesFile(config.dataRoot), deps);
    // Notes that cannot be read are taken anew: they tell, and nothing depends on them.
    const read = await readRecord(watch.#file, { schema: 1, parse: parseOptionNotes });
    watch.#notes = read.kind === 'ok' ? read.value : undefined;
    await watch.#note(config);
    return watch;
  }

  /** After a reload. `waiting`: options that the file has otherwise, and that count from the next start. */
  async reload(config: Config, waiting: readonly OptionName[]): Promise<void> {
    this.#waiting = waiting;
    await this.#note(config);
  }

  /** What does not reach all that runs, one line each. */
  lines(running: readonly Elder[]): string[] {
    const waiting = this.#waiting.length === 0 ? [] : [`changed in the configuration file, and for the daemon's next start: ${this.#waiting.map(optionKey).join(', ')}`];
    return [...waiting, ...(this.#notes === undefined ? [] : elders(this.#notes, running))];
  }

  async #note(config: Config): Promise<void> {
    const { notes, changes } = noteOptions(this.#notes, config, this.#clock.nowNs());
    for (const { option, from, to, effect } of changes) this.#logger.info(`option ${option} changed, and counts ${effect}`, { from, to });
    const known = this.#notes !== undefined && changes.length === 0 && Object.keys(notes.options).length === Object.keys(this.#notes.options).length;
    this.#notes = notes;
    if (known) return;
    try {
      await writeRecord(this.#file, notes, { durable: false });
    } catch (error) {
      this.#logger.warn('options could not be noted', { error: messageOf(error) });
    }
  }
}
