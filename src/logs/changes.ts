/** Tells a follower that its log may have more. Level-triggered: a change between two waits is not missed. */
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

/** For what inotify does not tell (file systems of other machines). */
const SAFETY_MS = 1000;
/** Without inotify at all (no watches left, no such folder yet). */
const POLL_MS = 200;

/** `written`: something was added to the file that has the name; `anything`: it may also have been renamed, emptied or made. */
export type Change = 'written' | 'anything';

export class Changes implements Disposable {
  #watcher: FSWatcher | undefined;
  #changed: Change | undefined;
  #wake: () => void = () => {};

  constructor(path: string) {
    const name = basename(path);
    try {
      this.#watcher = watch(dirname(path), (event, changed) => {
        if (changed === name || changed === null) this.#note(event === 'change' && changed !== null ? 'written' : 'anything');
      });
      this.#watcher.on('error', () => this.#stopWatching());
    } catch {
      this.#watcher = undefined;
    }
  }

  notify(): void {
    this.#note('anything');
  }

  /** Resolves when something has changed since the last call, or when it is time to look anyway. */
  async next(): Promise<Change> {
    if (this.#changed === undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, this.#watcher === undefined ? POLL_MS : SAFETY_MS);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
    }
    const change = this.#changed ?? 'anything';
    this.#changed = undefined;
    return change;
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    this.#wake();
  }

  #note(change: Change): void {
    this.#changed = this.#changed === 'anything' ? 'anything' : change;
    this.#wake();
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
