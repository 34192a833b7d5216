/**
 * The first part of a restore: a container of which records, its shim's status and the kernel leave no doubt that it runs
 * as it did is listed by them alone, so that the API need not wait. Its shim is connected to behind it, or as soon as
 * somebody wants more than to look at it. Everything that is not plain is looked at first, as `look` does.
 */
import { isPrivateNetwork } from '../core/container/modes.ts';
import type { ContainerRecord } from '../core/container/record.ts';
import type { Sandbox } from '../core/ports/network.ts';
import type { LoadedContainer } from '../core/ports/containerStore.ts';
import { cgroupPathOf } from './bundle.ts';
import { Container } from './container.ts';
import type { EngineContext } from './context.ts';
import { adoptState } from './resume.ts';

/** Lists it, or gives undefined if it is not plain. Its `restore` is to be set by the caller. */
export function admit(ctx: EngineContext, loaded: LoadedContainer): { container: Container; paused: boolean } | undefined {
  if (loaded.kind !== 'ok' || !loaded.present || loaded.record.desired !== 'running' || loaded.view.live !== 'running') return undefined;
  const { record, view, sandbox } = loaded;
  if (isPrivateNetwork(record.hostConfig.networkMode) && !isOnItsNetworks(record, sandbox)) return undefined;
  const { execDir } = ctx.store.paths(record.id);
  const status = ctx.shims.glance(execDir);
  // Nothing has happened that the view does not know.
  if (status === undefined || status.stopping || status.pid !== view.pid || status.journalSeq !== view.seq) return undefined;
  const container = new Container(record, { kind: 'exited' });
  container.view = view;
  container.sandbox = sandbox;
  container.handle = ctx.shims.handle(execDir);
  adoptState(container);
  const paused = ctx.cgroups.frozenNow(cgroupPathOf(ctx, container));
  if (paused) container.transition({ kind: 'paused' });
  ctx.containers.add(container);
  return { container, paused };
}

/** What `mendEndpoints` would find nothing to do for. */
function isOnItsNetworks(record: ContainerRecord, sandbox: Sandbox | null): boolean {
  if (sandbox === null) return false;
  const wanted = new Set(record.config.networkDisabled ? [] : Object.keys(record.networks));
  return sandbox.endpoints.length === wanted.size && sandbox.endpoints.every(({ networkName }) => wanted.has(networkName));
}
