/** Tells a follower that its log may have more. Level-triggered: a change between two waits is not missed. */
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';

/** For what inotify does not tell (file systems of other machines). */
const SAFETY_MS = 1000;
/** Without inotify at all (no watches left, no such folder yet). */
const POLL_MS = 200;

export class Changes implements Disposable {
  #watcher: FSWatcher | undefined;
  #changed = false;
  #wake: () => void = () => {};

  constructor(path: string) {
    const name = basename(path);
    try {
      this.#watcher = watch(dirname(path), (_, changed) => {
        if (changed === name || changed === null) this.notify();
      });
      this.#watcher.on('error', () => this.#stopWatching());
    } catch {
      this.#watcher = undefined;
    }
  }

  notify(): void {
    this.#changed = true;
    this.#wake();
  }

  /** Resolves when something has changed since the last call, or when it is time to look anyway. */
  async next(): Promise<void> {
    if (!this.#changed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, this.#watcher === undefined ? POLL_MS : SAFETY_MS);
      this.#wake = resolve;
      await promise;
      clearTimeout(timer);
    }
    this.#changed = false;
  }

  [Symbol.dispose](): void {
    this.#stopWatching();
    this.#wake();
  }

  #stopWatching(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
  }
}
