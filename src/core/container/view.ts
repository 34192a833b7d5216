/**
 * What a container's journal tells, folded: the daemon's cached view of observed facts. The shim is the writer of the
 * facts; a view can always be made again by folding the journal from its start.
 */
import type { EngineEvent } from '../events.ts';
import type { ExitCode, HealthProbe, JournalEntry, ShimHealth } from '../ports/shim.ts';
import { NO_RUN } from './state.ts';
import type { RunFacts } from './state.ts';

export interface ContainerView {
  /** The last journal entry in it. */
  seq: bigint;
  live: 'no' | 'running' | 'restarting';
  pid: number;
  facts: RunFacts;
  health: ShimHealth;
  /** The probes of a run that has ended. */
  lastHealth?: LastHealth;
}

export interface LastHealth {
  /** Oldest first. */
  probes: readonly HealthProbe[];
  /** Failures in a row. */
  streak: number;
}

export const EMPTY_VIEW: ContainerView = { seq: 0n, live: 'no', pid: 0, facts: NO_RUN, health: 'none' };

/** The view after one more entry. An entry that is in it already changes nothing. */
export function foldEntry(view: ContainerView, entry: JournalEntry): ContainerView {
  if (entry.seq <= view.seq) return view;
  return { ...view, ...changeOf(view, entry), seq: entry.seq };
}

function changeOf(view: ContainerView, entry: JournalEntry): Partial<ContainerView> {
  switch (entry.kind) {
    case 'start':
      return {
        live: 'running',
        pid: entry.pid,
        // An API start begins a new shim with run 1: Docker counts restarts from there.
        facts: { ...view.facts, startedNs: entry.time, finishedNs: entry.run === 1 ? 0n : view.facts.finishedNs, exitCode: 0, oomKilled: false, error: '', restartCount: entry.run - 1 },
      };
    case 'die':
      return {
        live: entry.restarting ? 'restarting' : 'no',
        pid: 0,
        facts: { ...view.facts, startedNs: entry.startedAt, finishedNs: entry.time, exitCode: entry.exitCode, oomKilled: entry.oom },
      };
    case 'restart-failed':
      return { facts: { ...view.facts, error: entry.error } };
    case 'health':
      return { health: entry.status };
    case 'end':
      return { live: 'no', pid: 0 };
    case 'oom':
    case 'exec-create':
    case 'exec-start':
    case 'exec-die':
    case 'log-dropped':
    case 'stop-requested':
    case 'kill':
    case 'other':
      return {};
  }
}

/** What a container's events carry: its labels, its image as the user named it, its name. */
export interface EventSubject {
  id: string;
  name: string;
  image: string;
  labels: Readonly<Record<string, string>>;
}

export const attributesOf = (subject: EventSubject): Record<string, string> => ({ ...subject.labels, image: subject.image, name: subject.name });

/** Docker shows an exit that nobody saw as 255. */
export const shownExitCode = (code: ExitCode): number => (code === 'unknown' ? 255 : code);

/** The events that one journal entry is published as; most are one, some none. `probe`: the health probe's command, of whom its exec entries are. */
export function eventsOf(entry: JournalEntry, subject: EventSubject, probe: string): EngineEvent[] {
  const make = (action: string, more: Record<string, string> = {}): EngineEvent[] => [
    { type: 'container', action, actorId: subject.id, attributes: { ...attributesOf(subject), ...more }, timeNs: entry.time, shimSeq: entry.seq },
  ];
  switch (entry.kind) {
    case 'start':
      return make('start');
    case 'die': {
      const seconds = entry.startedAt === 0n ? 0n : (entry.time - entry.startedAt) / 1_000_000_000n;
      return make('die', { exitCode: String(shownExitCode(entry.exitCode)), execDuration: String(seconds < 0n ? 0n : seconds) });
    }
    case 'oom':
      return make('oom');
    case 'health':
      return make(`health_status: ${entry.status}`);
    case 'exec-create':
      return make(`exec_create: ${probe}`, { execID: entry.exec });
    case 'exec-start':
      return make(`exec_start: ${probe}`, { execID: entry.exec });
    case 'exec-die':
      return make('exec_die', { execID: entry.exec, exitCode: String(shownExitCode(entry.exitCode)) });
    case 'kill':
      return make('kill', { signal: String(entry.signal) });
    case 'restart-failed':
    case 'log-dropped':
    case 'stop-requested':
    case 'end':
    case 'other':
      return [];
  }
}
