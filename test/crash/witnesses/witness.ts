/** A witness runs through all crashes and has something that only it can tell. */
import type { Daemon } from '../../fixtures/daemon.ts';
import type { Random } from '../random.ts';

export interface Stage {
  readonly daemon: Daemon;
  readonly random: Random;
}

export interface Witness {
  /** With a daemon that serves. */
  begin(): Promise<void>;
  /** Before a crash, beside other work. The daemon may die at any time: what was not answered is not counted on. */
  work?(): Promise<void>;
  /** With the next daemon. */
  check?(): Promise<void>;
  /** With the last daemon: the whole story; removes its containers. */
  end(): Promise<void>;
  /** Stops what would go on without a daemon; when something went wrong. */
  abandon?(): void;
  /** What it saw so far, for the summary. */
  readonly counts: Readonly<Record<string, number>>;
}
