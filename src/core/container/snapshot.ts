/** One container at one moment, for whoever shows it. */
import type { Sandbox } from '../ports/network.ts';
import type { HealthProbe } from '../ports/shim.ts';
import type { ContainerPaths } from '../ports/containerStore.ts';
import type { ContainerRecord } from './record.ts';
import { isLive } from './state.ts';
import type { ContainerState } from './state.ts';
import type { ContainerView } from './view.ts';

export interface ContainerSnapshot {
  record: ContainerRecord;
  state: ContainerState;
  view: ContainerView;
  sandbox: Sandbox | null;
  exitCode: number;
  paths: ContainerPaths;
  execIds: string[];
}

/** What only inspect shows, and has to be looked up. */
export interface ContainerDetails {
  healthStreak: number;
  probes: readonly HealthProbe[];
  sizes: { rw: number; rootFs: number } | null;
  networkIds: ReadonlyMap<string, string>;
}

/** Docker's seven words. `starting` is not yet one of them: until the answer it is what it was. */
export type Status = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead';

export function statusOf(snapshot: Pick<ContainerSnapshot, 'state' | 'view'>): Status {
  const { state, view } = snapshot;
  switch (state.kind) {
    case 'starting':
      return view.facts.startedNs === 0n ? 'created' : 'exited';
    case 'broken':
      return state.pid > 0 ? 'running' : 'dead';
    case 'created':
    case 'running':
    case 'paused':
    case 'restarting':
    case 'removing':
    case 'exited':
      return state.kind;
  }
}

/** Docker's `Running`, which is also true of a paused or restarting container. */
export const isRunning = (snapshot: Pick<ContainerSnapshot, 'state'>): boolean => isLive(snapshot.state) && snapshot.state.kind !== 'starting';

/** A container's health as Docker shows it: a stopped one with a probe is `unhealthy`, one without has none. */
export function healthOf(snapshot: Pick<ContainerSnapshot, 'record' | 'state' | 'view'>): 'none' | 'starting' | 'healthy' | 'unhealthy' {
  const test = snapshot.record.config.healthcheck?.test ?? [];
  if (test.length === 0 || test[0] === 'NONE') return 'none';
  if (!isRunning(snapshot)) return snapshot.state.kind === 'created' ? 'starting' : 'unhealthy';
  return snapshot.view.health === 'none' ? 'starting' : snapshot.view.health;
}
